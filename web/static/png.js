// PNG without a canvas, which would read 16 bits as 8 and change colours: samples come out as they are in the file.

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
const GREY = 0;
const CHANNELS = { 0: 1, 2: 3 };

const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  let c = n;
  for (let k = 0; k < 8; k++) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
  return c;
});

function crc32(bytes) {
  let c = 0xffffffff;
  for (const byte of bytes) c = CRC[(c ^ byte) & 255] ^ (c >>> 8);
  return (c ^ 0xffffffff) >>> 0;
}

async function through(stream, bytes) {
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(stream)).arrayBuffer());
}

function readChunks(bytes) {
  if (SIGNATURE.some((value, i) => bytes[i] !== value)) throw new Error("not a PNG");
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = { width: view.getUint32(16), height: view.getUint32(20), bits: bytes[24], colour: bytes[25] };
  if (!(header.colour in CHANNELS) || ![8, 16].includes(header.bits) || bytes[28]) throw new Error("a PNG of another kind");
  const data = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    if (String.fromCharCode(...bytes.subarray(at + 4, at + 8)) === "IDAT") data.push(bytes.subarray(at + 8, at + 8 + length));
    at += 12 + length;
  }
  return { ...header, data: new Blob(data) };
}

function paeth(left, up, corner) {
  const guess = left + up - corner;
  const dl = Math.abs(guess - left), du = Math.abs(guess - up), dc = Math.abs(guess - corner);
  return dl <= du && dl <= dc ? left : du <= dc ? up : corner;
}

// One row in place; `prior` is the row above, all zeros for the first. `step`: bytes a pixel.
function unfilter(kind, row, prior, step) {
  if (kind > 4) throw new Error("a PNG filter that does not exist");
  if (kind === 0) return;
  for (let i = 0; i < row.length; i++) {
    const left = i < step ? 0 : row[i - step];
    const up = prior[i];
    if (kind === 1) row[i] += left;
    else if (kind === 2) row[i] += up;
    else if (kind === 3) row[i] += (left + up) >> 1;
    else row[i] += paeth(left, up, i < step ? 0 : prior[i - step]);
  }
}

// bytes -> {width, height, channels, data}: data is a Uint16Array for 16 bits, else a Uint8Array, row by row.
export async function decodePng(bytes) {
  const { width, height, bits, colour, data } = readChunks(bytes);
  const raw = await through(new DecompressionStream("deflate"), data);
  const channels = CHANNELS[colour];
  const step = (channels * bits) / 8;
  const stride = width * step;
  if (raw.length < height * (stride + 1)) throw new Error("a PNG that is cut off");
  const samples = new Uint8Array(height * stride);
  let prior = new Uint8Array(stride);
  for (let y = 0; y < height; y++) {
    const row = samples.subarray(y * stride, (y + 1) * stride);
    row.set(raw.subarray(y * (stride + 1) + 1, (y + 1) * (stride + 1)));
    unfilter(raw[y * (stride + 1)], row, prior, step);
    prior = row;
  }
  if (bits === 8) return { width, height, channels, data: samples };
  const wide = new Uint16Array(samples.length / 2);
  for (let i = 0; i < wide.length; i++) wide[i] = (samples[2 * i] << 8) | samples[2 * i + 1];
  return { width, height, channels, data: wide };
}

function chunk(kind, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  for (let i = 0; i < 4; i++) bytes[4 + i] = kind.charCodeAt(i);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

// An 8-bit grey PNG of `data` (Uint8Array, width * height), as a Blob.
export async function encodeGreyPng(width, height, data) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, GREY], 8);
  const rows = new Uint8Array(height * (width + 1));
  for (let y = 0; y < height; y++) rows.set(data.subarray(y * width, (y + 1) * width), y * (width + 1) + 1);
  const packed = await through(new CompressionStream("deflate"), rows);
  const parts = [new Uint8Array(SIGNATURE), chunk("IHDR", header), chunk("IDAT", packed), chunk("IEND", new Uint8Array(0))];
  return new Blob(parts, { type: "image/png" });
}
