// What was dropped or chosen -> scans, each of which is sent by itself: a picture, or a volume as one file or as named
// sequences. `given`: [{file, path}], the path being below what was dropped.

import { ApiError } from "./api.js";
import { studyOf } from "./dicom.js";
import { writeZip } from "./zip.js";

const PICTURE = /\.(png|jpe?g|tiff?)$/i;
const JUNK = /^(\.|DICOMDIR$|Thumbs\.db$)/i;
const FLAIR = /flair/i, T1C = /t1[^a-z0-9]*(contrast|kontrast|post|gd|ce|km|c)/i, T1 = /t1/i;

const text = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));
const folderOf = (path) => path.split("/").slice(0, -1).join("/");

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
  if (FLAIR.test(name)) return "flair";
  if (T1C.test(name)) return "t1c";
  return T1.test(name) ? "t1" : null;
}

const alone = ({ file, path, kind }) => ({ name: path, parts: [["file", file]], local: kind === "nifti" ? file : null });

// Sequences of one examination under their names; a name twice, or no FLAIR, is nothing that could be guessed.
function examination(some) {
  if (some.length === 1) return alone(some[0]);
  const parts = some.map(({ file }) => [sequenceOf(file.name), file]);
  const flair = some.find(({ file }) => sequenceOf(file.name) === "flair");
  if (!flair || new Set(parts.map(([part]) => part)).size < parts.length) return { name: some.map(({ path }) => path).join(", "), code: "unnamed_sequences" };
  return { name: flair.path, parts, local: flair.file };
}

// What the name is without the sequence: the files of one examination share it.
const stemOf = ({ file, path }) => `${folderOf(path)}/${file.name.replace(/\.nii(\.gz)?$/i, "").replace(FLAIR, "").replace(T1C, "").replace(T1, "").replace(/[^a-z0-9]+/gi, "-").replace(/^-|-$/g, "")}`;

function examinations(niftis) {
  const folders = Map.groupBy(niftis, ({ path }) => folderOf(path));
  return [...folders.values()].flatMap((some) => {
    const sequences = some.map(({ file }) => sequenceOf(file.name));
    if (!sequences.includes(null) && new Set(sequences).size === some.length && sequences.includes("flair")) return [examination(some)];
    const named = Map.groupBy(some.filter(({ file }) => sequenceOf(file.name)), stemOf);
    return [...[...named.values()].map(examination), ...some.filter(({ file }) => !sequenceOf(file.name)).map(alone)];
  });
}

function commonFolder(some) {
  const [first, ...others] = some.map(({ path }) => folderOf(path).split("/"));
  let depth = 0;
  while (depth < first.length && others.every((other) => other[depth] === first[depth])) depth++;
  return first.slice(0, depth).join("/");
}

// Files of a study go out as one archive, which is made when its turn has come.
function study(some) {
  if (some.length === 1) return alone(some[0]);
  return { name: commonFolder(some) || `${some.length} files`, files: some.map(({ file }) => file), local: null };
}

export async function pack(scan) {
  if (!scan.files || scan.parts) return;
  const members = scan.files.map((file, index) => [`${String(index + 1).padStart(5, "0")}.dcm`, file]); // not the name: it may be a patient's
  scan.parts = [["file", await writeZip(members)]];
}

async function studies(dicoms, unknown) {
  const groups = new Map();
  for (const one of dicoms) {
    const key = (await studyOf(one.file)) ?? "";
    groups.set(key, [...(groups.get(key) ?? []), one]);
  }
  // Files without DICOM's mark may be DICOM all the same; of which study, is clear where there is one.
  if (unknown.length && groups.size <= 1) groups.set([...groups.keys()][0] ?? "", [...([...groups.values()][0] ?? []), ...unknown]);
  return { scans: [...groups.values()].map(study), skipped: groups.size > 1 ? unknown : [] };
}

// Two scans of one name would be told apart by nothing.
function distinct(scans) {
  const counts = new Map();
  for (const scan of scans) {
    const before = counts.get(scan.name) ?? 0;
    counts.set(scan.name, before + 1);
    if (before) scan.name = `${scan.name} (${before + 1})`;
  }
  return scans;
}

// -> {scans, skipped}. `scans`: {name, picture: File}, {name, parts: [[field, Blob]], local}, {name, files, local}, which
// pack() makes parts of, or {name, code}, of which nothing can be made. `local`: the file to show, where the browser can show it. `skipped`: paths of what is no scan.
export async function sortOut(given) {
  const known = given.filter(({ file }) => !JUNK.test(file.name));
  const some = known.filter(({ file }) => file.size), empty = known.filter(({ file }) => !file.size);
  if (!some.length) throw new ApiError("empty_body", "");
  const kinds = await Promise.all(some.map(async (one) => ({ ...one, kind: await volumeKind(one.file) })));
  const picture = ({ file, path }) => ({ name: path, picture: file });
  if (kinds.length === 1) return { scans: [kinds[0].kind ? alone(kinds[0]) : picture(kinds[0])], skipped: empty.map(({ path }) => path) };
  const of = Map.groupBy(kinds, ({ kind, file }) => kind ?? (PICTURE.test(file.name) ? "picture" : "unknown"));
  const { picture: pictures = [], nifti = [], zip = [], dicom = [], unknown = [] } = Object.fromEntries(of);
  const others = [...pictures.map(picture), ...examinations(nifti), ...zip.map(alone)];
  const asDicom = dicom.length > 0 || !others.length;
  const found = asDicom ? await studies(dicom, unknown) : { scans: [], skipped: unknown };
  return { scans: distinct([...others, ...found.scans]), skipped: [...empty, ...found.skipped].map(({ path }) => path) };
}

async function below(entry) {
  if (entry.isFile) return [{ file: await new Promise((resolve, reject) => entry.file(resolve, reject)), path: entry.fullPath.slice(1) }];
  const reader = entry.createReader(), found = [];
  for (;;) { // readEntries gives at most a hundred at a time
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return found;
    for (const one of some) found.push(...(await below(one)));
  }
}

const byPath = (a, b) => a.path.localeCompare(b.path, "en", { numeric: true });

export const chosen = (files) => [...files].map((file) => ({ file, path: file.webkitRelativePath || file.name })).sort(byPath);

// Files of a drop, folders searched below.
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.some((entry) => entry.isDirectory)) return chosen(transfer.files);
  const files = [];
  for (const entry of entries) files.push(...(await below(entry)));
  return files.sort(byPath);
}
