// Zip archives: a study of DICOM files goes out as one, everything about a volume comes in as one, a list is saved as one.

const LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50;
const STORED = 0, DEFLATED = 8;

const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  let value = n;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

function crc32(bytes) {
  let value = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) value = TABLE[(value ^ bytes[i]) & 255] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}

async function inflate(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function endOf(view) {
  for (let at = view.byteLength - 22; at >= 0 && at > view.byteLength - 66_000; at--) {
    if (view.getUint32(at, true) === END) return at;
  }
  throw new Error("not a zip archive");
}

// Name -> bytes of the members of `buffer`, an ArrayBuffer, by its directory.
export async function readZip(buffer) {
  const view = new DataView(buffer), members = new Map();
  const end = endOf(view);
  let at = view.getUint32(end + 16, true);
  for (let count = view.getUint16(end + 10, true); count > 0; count--) {
    if (view.getUint32(at, true) !== CENTRAL) throw new Error("a damaged zip archive");
    const method = view.getUint16(at + 10, true), size = view.getUint32(at + 20, true);
    const nameLength = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    const name = new TextDecoder().decode(new Uint8Array(buffer, at + 46, nameLength));
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    const packed = new Uint8Array(buffer, start, size);
    if (method !== STORED && method !== DEFLATED) throw new Error(`a zip archive packed by method ${method}`);
    members.set(name, method === DEFLATED ? await inflate(packed) : packed);
    at += 46 + nameLength + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
  }
  return members;
}

function header(signature, length, fields) {
  const view = new DataView(new ArrayBuffer(length));
  view.setUint32(0, signature, true);
  for (const [at, value, bytes] of fields) bytes === 2 ? view.setUint16(at, value, true) : view.setUint32(at, value, true);
  return view.buffer;
}

// [[name, Blob]] as one archive, stored as they are.
export async function writeZip(members) {
  const parts = [], directory = [];
  let offset = 0;
  for (const [called, blob] of members) {
    const bytes = new Uint8Array(await blob.arrayBuffer());
    const name = new TextEncoder().encode(called);
    const sizes = (at) => [[at, crc32(bytes), 4], [at + 4, bytes.length, 4], [at + 8, bytes.length, 4], [at + 12, name.length, 2]];
    // 0x0800: the name is UTF-8.
    parts.push(header(LOCAL, 30, [[4, 20, 2], [6, 0x0800, 2], [12, 0x21, 2], ...sizes(14)]), name, bytes);
    directory.push(header(CENTRAL, 46, [[4, 20, 2], [6, 20, 2], [8, 0x0800, 2], [14, 0x21, 2], ...sizes(16), [42, offset, 4]]), name);
    offset += 30 + name.length + bytes.length;
  }
  const size = directory.reduce((sum, part) => sum + part.byteLength, 0);
  const count = [[8, members.length, 2], [10, members.length, 2]];
  return new Blob([...parts, ...directory, header(END, 22, [...count, [12, size, 4], [16, offset, 4]])], { type: "application/zip" });
}
