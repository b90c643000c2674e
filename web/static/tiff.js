// How many slices a TIFF has and how large they are, from its directories alone. null for anything that is no TIFF.

const MOST_PAGES = 1000;
const WIDTH = 256, HEIGHT = 257;

function reader(view) {
  const mark = view.getUint16(0);
  const little = mark === 0x4949;
  if (!little && mark !== 0x4d4d) return null;
  const kind = view.getUint16(2, little);
  if (kind !== 42 && kind !== 43) return null;
  const big = kind === 43;
  return {
    start: big ? Number(view.getBigUint64(8, little)) : view.getUint32(4, little),
    count: (at) => (big ? Number(view.getBigUint64(at, little)) : view.getUint16(at, little)),
    pointer: (at) => (big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little)),
    tag: (at) => view.getUint16(at, little),
    // A value of type SHORT (3) lies in the first two bytes of its field, others in four.
    value: (at) => (view.getUint16(at + 2, little) === 3 ? view.getUint16(at + (big ? 12 : 8), little) : view.getUint32(at + (big ? 12 : 8), little)),
    head: big ? 8 : 2,
    entry: big ? 20 : 12,
  };
}

// {slices, width, height} of the first page's size, or null.
export async function readTiff(file) {
  const view = new DataView(await file.arrayBuffer());
  if (view.byteLength < 16) return null;
  const read = reader(view);
  if (!read) return null;
  const found = { slices: 0, width: 0, height: 0 };
  try {
    for (let at = read.start; at && found.slices < MOST_PAGES; found.slices++) {
      const entries = read.count(at);
      for (let k = 0; k < entries && !found.slices; k++) {
        const field = at + read.head + k * read.entry;
        if (read.tag(field) === WIDTH) found.width = read.value(field);
        if (read.tag(field) === HEIGHT) found.height = read.value(field);
      }
      at = read.pointer(at + read.head + entries * read.entry);
    }
  } catch {
    return null; // cut off: the server will say so in its own words
  }
  return found;
}
