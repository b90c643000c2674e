// Downloads: the mask and the measurements as they are on show.

import { segment } from "./api.js";
import { encodeGreyPng } from "./png.js";

export function offer(blob, name) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// Without what is before the last slash, which a file's name cannot have, and without the ending.
export const stem = (name) => name.split("/").at(-1).replace(/(\.nii)?\.[^.]+$/, "") || "scan";

const round = (value, digits) => Number(value.toFixed(digits));

// The mask of slice `index` as the server draws it: 0 or 255, of a model with labels their values.
export function greyOf(item, index, settings) {
  const mask = item.maskOf(index, settings);
  return item.labels ? mask : mask.map((value) => 255 * value);
}

export async function saveMask(item, index, settings) {
  const mask = greyOf(item, index, settings);
  const suffix = item.count > 1 ? `-slice-${index}` : "";
  offer(await encodeGreyPng(item.width, item.height, mask), `${stem(item.name)}${suffix}-mask.png`);
}

// The masks of all slices, which the server draws with the same settings.
export async function saveStack(item, settings) {
  const fields = { threshold: settings.threshold, min_lesion_pixels: settings.lesion, model: item.model, version: item.answer.model.version, ...(item.gate === "off" ? { gate: "off" } : {}) };
  offer(await segment(item.file, fields, { accept: "image/tiff" }), `${stem(item.name)}-mask.tiff`);
}

// The contract's answer without pictures, brought to the settings on show. `figures`: one a slice.
export function jsonOf(item, figures, settings) {
  const size = item.width * item.height;
  const slices = figures.map(({ refused, pixels, highest }, index) => ({
    ...item.answer.slices[index],
    index,
    ...(refused ? {} : { tumor_pixels: pixels, tumor_coverage_percent: round((100 * pixels) / size, 3), max_probability: round(highest, 5) }),
    images: {},
  }));
  if (!item.assessed) return { ...item.answer, slices };
  const pixels = slices.reduce((sum, slice) => sum + (slice.tumor_pixels ?? 0), 0);
  return {
    ...item.answer,
    threshold: settings.threshold,
    min_lesion_pixels: settings.lesion,
    verdict: pixels ? "tumor_detected" : "no_tumor_detected",
    tumor_pixels: pixels,
    tumor_coverage_percent: round((100 * pixels) / item.answer.total_pixels, 3),
    ...(item.answered(settings) || !item.answer.trust ? {} : { trust: { ...item.answer.trust, tumor_pixels_interval: null } }),
    slices,
  };
}

export function saveJson(item, figures, settings) {
  const text = JSON.stringify(jsonOf(item, figures, settings), null, 1);
  offer(new Blob([text], { type: "application/json" }), `${stem(item.name)}.json`);
}
