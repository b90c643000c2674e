// One scan asked of the server, picture or volume: the answer as it came, and its JSON without the pictures.

import { ApiError, segment } from "./api.js";
import { Case } from "./case.js";
import { pack } from "./scans.js";
import { readZip } from "./zip.js";

const LARGEST = 64 * 2 ** 20;

// [[field, file]] of what is sent.
export const partsOf = (scan) => scan.parts ?? (scan.picture ? [["picture", scan.picture]] : []);

// A code of words.js for a scan not worth sending, else null.
export function objection(scan) {
  if (scan.code) return scan.code;
  const sizes = (scan.files ?? partsOf(scan).map(([, file]) => file)).map(({ size }) => size);
  if (sizes.includes(0)) return "empty_body";
  return sizes.reduce((sum, size) => sum + size, 0) > LARGEST ? "too_large" : null;
}

// What is sent of a volume that is packed.
export function bodyOf({ parts }) {
  if (parts.length === 1 && parts[0][0] === "file") return parts[0][1];
  const form = new FormData();
  for (const [field, file] of parts) form.append(field, file, `${field}.nii`); // not the name: it may be a patient's
  return form;
}

async function askVolume(scan, { model, version, series, gate }, options) {
  const body = bodyOf(scan), fields = { model, version, series, ...(gate === "off" ? { gate } : {}) };
  try {
    return await segment(body, { ...fields, outputs: scan.local ? "none" : "scan" }, { ...options, accept: "application/zip" });
  } catch (error) {
    if (error.code !== "not_assessed") throw error;
    return segment(body, { ...fields, outputs: "none" }, { ...options, raw: true }); // the reasons, without a mask
  }
}

// {answer, files, archive}: the answer and the files beside it, by name; of a volume that is not assessed there are none.
export async function openVolume(raw) {
  const bytes = await raw.arrayBuffer();
  const packed = String.fromCharCode(...new Uint8Array(bytes, 0, 2)) === "PK";
  const files = packed ? await readZip(bytes) : new Map([["result.json", new Uint8Array(bytes)]]);
  const text = files.get("result.json");
  if (!text) throw new ApiError("internal_error", "The answer has no result.json in it.");
  return { answer: JSON.parse(new TextDecoder().decode(text)), files, archive: packed ? raw : null };
}

async function answerOf(scan, raw) {
  const { answer } = scan.picture ? { answer: JSON.parse(await raw.text()) } : await openVolume(raw);
  for (const slice of answer.slices) slice.images = {};
  return answer;
}

// `settings`: {model, version, series, gate}, each may be empty. Throws ApiError.
export async function ask(scan, settings, options) {
  const code = objection(scan);
  if (code) throw new ApiError(code, "");
  await pack(scan);
  const raw = scan.picture
    ? await new Case(scan.picture, scan.name, settings).fetch({}, options)
    : await askVolume(scan, settings, options);
  return { raw, answer: await answerOf(scan, raw) };
}
