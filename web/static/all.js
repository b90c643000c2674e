// Everything of a list in one archive: a folder a scan with its mask and its measurements, and the table.

import { segment } from "./api.js";
import { openVolume } from "./ask.js";
import { rawOf } from "./entries.js";
import { preparePicture } from "./picture.js";
import { encodeGreyPng } from "./png.js";
import { greyOf, stem } from "./save.js";
import { table } from "./table.js";
import { writeZip } from "./zip.js";

const asJson = (answer) => new Blob([JSON.stringify(answer, null, 1)], { type: "application/json" });
const clean = (name) => stem(name).replace(/[^\p{L}\p{N}._-]+/gu, "_").replace(/^\.+/, "_");

// [[name, Blob]] of the masks, at the settings of the answer.
async function masksOf(item, options) {
  if (!item.assessed) return [];
  const { threshold, min_lesion_pixels: lesion, model } = item.answer;
  if (!item.complete) {
    const fields = { threshold, min_lesion_pixels: lesion, model: item.model, version: model.version, ...(item.gate === "off" ? { gate: "off" } : {}) };
    return [["mask.tiff", await segment(item.file, fields, { ...options, accept: "image/tiff" })]];
  }
  const masks = [];
  for (let index = 0; index < item.count; index++) {
    if (item.refused(index)) continue;
    const pixels = greyOf(item, index, { threshold, lesion });
    const name = item.count > 1 ? `mask-${String(index).padStart(3, "0")}.png` : "mask.png";
    masks.push([name, await encodeGreyPng(item.width, item.height, pixels)]);
  }
  return masks;
}

async function filesOf(entry, options) {
  const raw = await rawOf(entry, options);
  if (entry.scan.picture) return [["result.json", asJson(entry.answer)], ...(await masksOf(await preparePicture(entry, raw, options), options))];
  const { files } = await openVolume(raw);
  return [...files].filter(([name]) => name !== "scan.nii.gz").map(([name, bytes]) => [name, new Blob([bytes])]);
}

export const asTable = (entries) => new Blob(["\ufeff", table(entries)], { type: "text/csv" }); // the mark tells Excel that it is UTF-8

// A zip of those that are answered.
export async function archive(entries, { onUpload, ...options }) {
  const members = [["results.csv", asTable(entries)]];
  const done = entries.filter(({ state }) => state === "done");
  for (const [index, entry] of done.entries()) {
    onUpload?.(index / done.length);
    const folder = `${String(index + 1).padStart(3, "0")}-${clean(entry.name)}`;
    for (const [name, blob] of await filesOf(entry, options)) members.push([`${folder}/${name}`, blob]);
  }
  return writeZip(members);
}
