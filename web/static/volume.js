// A volume: sent with all its sequences, shown in three planes with the mask over it, its lesions in a list.

import { ApiError, segment } from "./api.js";
import { $, describe, number, plural, setText, show } from "./dom.js";
import { offer } from "./save.js";
import { hideError, showError, working } from "./status.js";
import { Viewer } from "./viewer.js";
import { readZip } from "./zip.js";

const CHANNELS = { flair: "FLAIR", t1: "T1", t1c: "T1 with contrast" };
const ml = (value) => `${value.toFixed(value < 10 ? 2 : 1)} ml`;
const mm = (values) => values.map((value) => value.toFixed(0)).join(", ");

let shown = null; // {name, answer, files}
const viewer = new Viewer($("planes"), (place, inside) =>
  setText("place", `Crosshair at ${mm(place)} mm (right, front, head), ${inside ? "in the mask" : "not in the mask"}`),
);

function bodyOf({ parts }) {
  if (parts.length === 1 && parts[0][0] === "file") return parts[0][1];
  const form = new FormData();
  for (const [field, file] of parts) form.append(field, file, `${field}.nii`); // not the name: it may be a patient's
  return form;
}

// Sends `scan`, as sortOut() gives it; -> the answer and the files beside it. `series`: a number, where it has several.
async function ask(scan, fields, options) {
  const outputs = scan.local ? "none" : "scan";
  const answer = await segment(bodyOf(scan), { ...fields, outputs }, { ...options, accept: "application/zip" });
  const files = await readZip(await answer.arrayBuffer());
  const text = files.get("result.json");
  if (!text) throw new ApiError("internal_error", "The answer has no result.json in it.");
  return { answer: JSON.parse(new TextDecoder().decode(text)), files, archive: answer };
}

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

function showAnswer({ name, answer }) {
  const { input, lesions = [], verdict } = answer;
  const tumour = verdict === "tumor_detected", assessed = verdict !== "not_assessed";
  $("volume-verdict-card").classList.toggle("tumor", tumour);
  $("volume-verdict-card").classList.toggle("clear", assessed && !tumour);
  setText("volume-name", name);
  setText("volume-verdict", tumour ? "Tumour detected" : assessed ? "No tumour detected" : "Not assessed");
  setText("volume-ml", answer.tumor_volume_ml === null ? "–" : ml(answer.tumor_volume_ml));
  setText("volume-words", tumour ? `in ${plural(lesions.length, "lesion")} (voxels that touch by a corner belong together)` : "");
  setText("volume-model", `Model ${answer.model.version}, ${answer.model.architecture}`);
  const { geometry } = input;
  describe($("volume-facts"), [
    ["Grid", geometry ? geometry.size.join(" × ") : "unknown"],
    ["Spacing", geometry ? `${geometry.spacing_mm.map((one) => one.toFixed(2)).join(" × ")} mm` : "unknown"],
    ["Orientation", geometry ? geometry.orientation : "unknown"],
    ...(answer.sequences ?? []).map(sequenceText),
  ]);
  $("volume-lesions").replaceChildren(...lesions.map(lesionRow));
  show($("volume-lesions-box"), lesions.length > 0);
  const notes = answer.warnings.map(({ detail }) => Object.assign(document.createElement("li"), { textContent: detail }));
  $("volume-warnings").replaceChildren(...notes);
  show($("save-seg"), [...shown.files.keys()].some((file) => file === "seg.dcm"));
  document.title = `${name}: ${$("volume-verdict").textContent} – BrainSeg`;
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

// Segments and shows `scan`. Throws what showError() understands; `version` and `series` may be empty.
export async function analyseVolume(scan, version, series = "") {
  const result = await working("Uploading the scan", (options) => ask(scan, { version, series }, options));
  const picture = scan.local ? new Uint8Array(await scan.local.arrayBuffer()) : result.files.get("scan.nii.gz");
  shown = { name: scan.name, ...result };
  document.body.classList.add("has-result");
  show($("result"), false);
  show($("volume"), true);
  showAnswer(shown);
  if (picture && result.files.has("mask.nii.gz")) {
    showWindow(await viewer.open(picture, result.files.get("mask.nii.gz")));
    openViewer();
  }
  $("volume").dataset.shown = Number($("volume").dataset.shown ?? 0) + 1;
  $("volume-verdict").focus({ preventScroll: true });
}

export function hideVolume() {
  show($("volume"), false);
  document.title = "BrainSeg – tumour segmentation on MR slices";
}

const stem = () => shown.name.replace(/(\.nii)?\.[^.]+$/, "") || "scan";
const save = (file, suffix, type) => offer(new Blob([shown.files.get(file)], { type }), `${stem()}${suffix}`);

export function connectVolume() {
  for (const radio of document.querySelectorAll("input[name=view]")) {
    radio.addEventListener("change", () => viewer.setView(radio.value));
  }
  $("volume-opacity").addEventListener("input", () => viewer.setOpacity($("volume-opacity").value / 100));
  for (const id of ["window-low", "window-high"]) {
    $(id).addEventListener("input", () => viewer.setWindow(Number($("window-low").value), Number($("window-high").value)));
  }
  $("save-nifti").addEventListener("click", () => save("mask.nii.gz", "-mask.nii.gz", "application/x-nifti"));
  $("save-seg").addEventListener("click", () => save("seg.dcm", "-seg.dcm", "application/dicom"));
  $("save-all").addEventListener("click", () => offer(shown.archive, `${stem()}-brainseg.zip`));
}
