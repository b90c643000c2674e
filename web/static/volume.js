// A volume on show: three planes with the mask over it, its lesions in a list.

import { bodyOf, openVolume } from "./ask.js";
import { ApiError } from "./api.js";
import { $, describe, plural, setText, show } from "./dom.js";
import { nameVerdict, showWarnings, timeText } from "./finding.js";
import { coloursOf, ml, partName, showParts } from "./labels.js";
import { offer, stem } from "./save.js";
import { modelText } from "./server.js";
import { showTrust } from "./trust.js";
import { Viewer } from "./viewer.js";
import { Why } from "./why.js";

const CHANNELS = { flair: "FLAIR", t1: "T1", t1c: "T1 with contrast" };
const mm = (values) => values.map((value) => value.toFixed(0)).join(", ");

let shown = null; // {entry, answer, files, archive, picture}
let crosshair = null; // in mm, null while there is none
const viewer = new Viewer($("planes"), (place, value) => {
  crosshair = place;
  why.keepFor(shown, sliceOnShow());
  const where = value ? `in ${partName(shown?.answer.labels, value) || "the mask"}` : "not in the mask";
  setText("place", `Crosshair at ${mm(place)} mm (right, front, head), ${where}`);
});

// Of the file, counted from 0: where the crosshair is, or the one with most tumour.
function sliceOnShow() {
  if (!shown) return null;
  const { input, slices } = shown.answer, { geometry } = input;
  if (!crosshair || !geometry) return slices.reduce((most, one, index) => (one.tumor_pixels > (slices[most].tumor_pixels ?? 0) ? index : most), 0);
  const [i, j, k, origin] = [0, 1, 2, 3].map((column) => geometry.affine_ras.slice(0, 3).map((row) => row[column]));
  const across = [1, 2, 0].map((one, at) => i[one] * j[(at + 2) % 3] - i[(at + 2) % 3] * j[one]);
  const along = (vector) => vector.reduce((sum, one, at) => sum + one * across[at], 0);
  const slice = Math.round(along(crosshair.map((one, at) => one - origin[at])) / along(k));
  return Math.min(geometry.size[2] - 1, Math.max(0, slice));
}

const why = new Why("volume-", () => {
  const { entry, answer } = shown, { model, series, gate } = entry;
  const fields = { model, version: answer.model.version, series, ...(gate === "off" ? { gate } : {}) };
  return { of: [shown, sliceOnShow()], file: bodyOf(entry.scan), fields, count: answer.input.slices };
});

function lesionRow(lesion, index) {
  const button = Object.assign(document.createElement("button"), { type: "button", className: "lesion" });
  const size = document.createElement("strong"), where = document.createElement("span");
  size.textContent = `${index + 1}: ${ml(lesion.volume_ml)}`;
  where.textContent = `${lesion.longest_mm.toFixed(0)} mm across, ${plural(lesion.voxels, "voxel")}, around ${mm(lesion.centroid_mm)} mm`;
  button.append(size, where);
  button.addEventListener("click", () => viewer.goTo(lesion.centroid_mm));
  const item = document.createElement("li");
  item.append(button);
  return item;
}

// Why it was taken for what it is, and what was done to it.
function sequenceText({ channel, reason, resampled }) {
  const moved = resampled && resampled !== "none" ? [`laid onto the FLAIR: ${resampled.replaceAll("_", " ")}`] : [];
  return [CHANNELS[channel] ?? channel, [reason, ...moved].filter(Boolean).join("; ")];
}

function showAnswer({ entry, answer, files }) {
  const { input, verdict } = answer, lesions = answer.lesions ?? [];
  const assessed = verdict !== "not_assessed";
  nameVerdict("volume-", entry.name, verdict);
  showTrust("volume-", answer, true);
  for (const one of document.querySelectorAll("#volume .of-a-mask")) show(one, assessed);
  setText("volume-ml", answer.tumor_volume_ml === null ? "–" : ml(answer.tumor_volume_ml));
  setText("volume-words", lesions.length ? `in ${plural(lesions.length, "lesion")} (voxels that touch by a corner belong together)` : "");
  setText("volume-model", `Model ${modelText(answer.model)}, ${answer.model.architecture}`);
  showParts("volume-", assessed ? answer : {});
  const { geometry } = input;
  describe($("volume-facts"), [
    ["Grid", geometry ? geometry.size.join(" × ") : "unknown"],
    ["Spacing", geometry ? `${geometry.spacing_mm.map((one) => one.toFixed(2)).join(" × ")} mm` : "unknown"],
    ["Orientation", geometry ? geometry.orientation : "unknown"],
    ["Answered", timeText(entry.when)],
    ...(answer.sequences ?? []).map(sequenceText),
  ]);
  $("volume-lesions").replaceChildren(...lesions.map(lesionRow));
  show($("volume-lesions-box"), lesions.length > 0);
  showWarnings("volume-warnings", answer.warnings);
  show($("save-seg"), files.has("seg.dcm"));
}

function showWindow([low, high]) {
  for (const [id, value] of [["window-low", low], ["window-high", high]]) {
    Object.assign($(id), { min: low - (high - low) / 2, max: high + (high - low), step: (high - low) / 200, value });
  }
}

function openViewer() {
  viewer.setOpacity($("volume-opacity").value / 100);
  for (const radio of document.querySelectorAll("input[name=view]")) radio.checked = radio.value === "planes";
  viewer.setView("planes");
  const [largest] = [...(shown.answer.lesions ?? [])].sort((a, b) => b.volume_ml - a.volume_ml);
  if (largest) viewer.goTo(largest.centroid_mm);
}

// What is to be shown of an entry, from its answer `raw`.
export async function prepareVolume(entry, raw, { signal } = {}) {
  const opened = await openVolume(raw), { local } = entry.scan;
  const picture = local ? new Uint8Array(await local.arrayBuffer()) : (opened.files.get("scan.nii.gz") ?? null);
  if (signal?.aborted) throw new ApiError("cancelled", "Cancelled.");
  return { entry, picture, ...opened };
}

export async function presentVolume(prepared) {
  why.close();
  [shown, crosshair] = [prepared, null];
  const { picture, files } = prepared;
  show($("volume"), true);
  showAnswer(shown);
  show($("volume-planes"), Boolean(picture));
  if (picture) {
    const range = await viewer.open(picture, files.get("mask.nii.gz") ?? null, coloursOf(prepared.answer.labels));
    if (prepared !== shown) return;
    showWindow(range);
    openViewer();
  }
  $("volume").dataset.shown = Number($("volume").dataset.shown ?? 0) + 1;
}

export function hideVolume() {
  why.close();
  shown = null;
  show($("volume"), false);
}

// The three planes without and with the mask, for paper: what WebGL draws is gone when a printer asks.
export function drawForPaper() {
  if (shown?.picture) viewer.copyTo($("paper-scan"), $("paper-mask"));
}

const save = (file, suffix, type) => offer(new Blob([shown.files.get(file)], { type }), `${stem(shown.entry.name)}${suffix}`);

export function connectVolume() {
  why.connect();
  for (const radio of document.querySelectorAll("input[name=view]")) {
    radio.addEventListener("change", () => viewer.setView(radio.value));
  }
  $("volume-opacity").addEventListener("input", () => viewer.setOpacity($("volume-opacity").value / 100));
  for (const id of ["window-low", "window-high"]) {
    $(id).addEventListener("input", () => viewer.setWindow(Number($("window-low").value), Number($("window-high").value)));
  }
  $("save-nifti").addEventListener("click", () => save("mask.nii.gz", "-mask.nii.gz", "application/x-nifti"));
  $("save-seg").addEventListener("click", () => save("seg.dcm", "-seg.dcm", "application/dicom"));
  $("save-all").addEventListener("click", () => offer(shown.archive, `${stem(shown.entry.name)}-brainseg.zip`));
}
