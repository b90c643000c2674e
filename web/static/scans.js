// What was dropped or chosen -> what is sent: one picture, or a volume as one file or as named sequences.

import { ApiError } from "./api.js";
import { writeZip } from "./zip.js";

const PICTURE = /\.(png|jpe?g|tiff?)$/i;
const NIFTI = /\.nii(\.gz)?$/i;
const JUNK = /^(\.|DICOMDIR$|Thumbs\.db$)/i;

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

// By the first bytes: "nifti" (gzip too), "dicom", "zip", else null: a picture, or nothing we know.
export async function volumeKind(file) {
  const bytes = new Uint8Array(await file.slice(0, 352).arrayBuffer());
  if (text(bytes, 128, 132) === "DICM") return "dicom";
  if (text(bytes, 0, 4) === "PK\x03\x04") return "zip";
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "nifti";
  if (["n+1", "ni1"].includes(text(bytes, 344, 347)) || ["n+2", "ni2"].includes(text(bytes, 4, 7))) return "nifti";
  return null;
}

function sequenceOf(name) {
  if (/flair/i.test(name)) return "flair";
  if (/t1[^a-z0-9]*(c|gd|ce|kontrast|contrast|post|km)/i.test(name)) return "t1c";
  return /t1/i.test(name) ? "t1" : null;
}

// NIfTI files of one patient, told apart by what their names say.
function named(files) {
  const parts = files.map((file) => [sequenceOf(file.name), file]);
  const names = parts.map(([part]) => part);
  if (names.includes(null) || new Set(names).size < names.length || !names.includes("flair")) throw new ApiError("unnamed_sequences", "");
  return { parts, name: parts.find(([part]) => part === "flair")[1].name };
}

// -> {picture: File} or {parts: [[field, Blob]], name, local}. `local`: the file to show, where the browser can show it.
// Throws ApiError.
export async function sortOut(given, folder = "") {
  const files = given.filter((file) => file.size && !JUNK.test(file.name));
  if (!files.length) throw new ApiError("empty_body", "");
  if (files.length === 1) {
    const [file] = files;
    const kind = await volumeKind(file);
    if (!kind) return { picture: file };
    return { parts: [["file", file]], name: file.name, local: kind === "nifti" ? file : null };
  }
  if (files.every((file) => NIFTI.test(file.name))) {
    const { parts, name } = named(files);
    return { parts, name, local: parts.find(([part]) => part === "flair")[1] };
  }
  if (files.some((file) => PICTURE.test(file.name))) throw new ApiError("several_pictures", "");
  return { parts: [["file", await writeZip(files)]], name: folder || `${files.length} files`, local: null };
}

async function below(entry) {
  if (entry.isFile) return [await new Promise((resolve, reject) => entry.file(resolve, reject))];
  const reader = entry.createReader(), found = [];
  for (;;) { // readEntries gives at most a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const one of some) found.push(...(await below(one)));
  }
}

// Files of a drop, folders searched below, and the name of the folder if there was one.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return { files: [...transfer.files], folder: "" };
  const files = [];
  for (const entry of entries) files.push(...(await below(entry)));
  return { files, folder: entries.find((entry) => entry.isDirectory).name };
}
