// Which study a DICOM file belongs to, from its head alone: files of several patients in one folder must not go out as one.

const HEAD_BYTES = 2 ** 18;
const DEFLATED = "1.2.840.10008.1.2.1.99", IMPLICIT = "1.2.840.10008.1.2", BIG = "1.2.840.10008.1.2.2";
const STUDY = 0x0020000d, SYNTAX = 0x00020010, ITEM = 0xfffee000, ITEM_END = 0xfffee00d, SEQUENCE_END = 0xfffee0dd;
const LONG = new Set(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]);
const OPEN = 0xffffffff; // a length that is not given

const textOf = (view, at, length) => String.fromCharCode(...new Uint8Array(view.buffer, at, length)).replace(/[\0 ]+$/, "");

// The element at `at`: {tag, length, value}, `value` being where its value begins.
function elementAt(view, at, implicit) {
  const tag = view.getUint16(at, true) * 65536 + view.getUint16(at + 2, true);
  if (implicit || tag >= ITEM) return { tag, length: view.getUint32(at + 4, true), value: at + 8 };
  if (LONG.has(textOf(view, at + 4, 2))) return { tag, length: view.getUint32(at + 8, true), value: at + 12 };
  return { tag, length: view.getUint16(at + 6, true), value: at + 8 };
}

// Where the element ends, one of open length being walked through.
function endOf(view, { length, value }, implicit) {
  if (length !== OPEN) return value + length;
  for (let at = value; ; ) {
    const inner = elementAt(view, at, implicit);
    if (inner.tag === SEQUENCE_END || inner.tag === ITEM_END) return inner.value;
    at = endOf(view, inner, implicit);
  }
}

function find(view, start, implicit, wanted) {
  for (let at = start; ; ) {
    const element = elementAt(view, at, implicit);
    if (element.tag === wanted) return textOf(view, element.value, element.length);
    if (element.tag > wanted) return null;
    at = endOf(view, element, implicit);
  }
}

// The Study Instance UID, or null where it cannot be read.
export async function studyOf(file) {
  const view = new DataView(await file.slice(0, HEAD_BYTES).arrayBuffer());
  try {
    const syntax = find(view, 132, false, SYNTAX);
    if (!syntax || [DEFLATED, BIG].includes(syntax)) return null;
    const group = elementAt(view, 132, false); // (0002,0000): how long the file's own elements are
    const start = group.value + group.length + view.getUint32(group.value, true);
    return find(view, start, syntax === IMPLICIT, STUDY) || null;
  } catch (error) {
    if (error instanceof RangeError) return null; // cut off, or no DICOM after all
    throw error;
  }
}
