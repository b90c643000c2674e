// The finding in colour and in words: verdict, coverage, how sure.

import { $, chance, describe, number, percent, plural, setText, show } from "./dom.js";
import { partsOfSlice } from "./labels.js";
import { modelText } from "./server.js";

function sureWords(total, threshold) {
  if (!total.pixels) {
    const far = total.highest < threshold / 2;
    return far ? "Nothing comes near the threshold." : "Some places come near the threshold: look at the heatmap.";
  }
  if (total.highest > 0.95) return "The core of the finding is close to certain for the model.";
  return total.highest > 0.75 ? "The model is fairly sure of the core of the finding." : "The model is unsure: look closely.";
}

// Sums over slices; null where a slice's figures are not known with these settings.
export function totalOf(figures) {
  if (figures.some((figure) => figure === null)) return null;
  if (figures.every(({ refused }) => refused)) return { pixels: 0, highest: null, mean: null };
  const pixels = figures.reduce((sum, figure) => sum + figure.pixels, 0);
  const known = figures.every((figure) => figure.mean !== null || !figure.pixels);
  const weighted = figures.reduce((sum, figure) => sum + (figure.mean ?? 0) * figure.pixels, 0);
  return { pixels, highest: Math.max(...figures.map((figure) => figure.highest)), mean: pixels && known ? weighted / pixels : null };
}

function gauge(id, share) {
  $(id).style.width = `${100 * (share ?? 0)}%`;
}

export const VERDICTS = { tumor_detected: "Tumour detected", no_tumor_detected: "No tumour detected", not_assessed: "Not assessed" };

export function colourVerdict(card, verdict) {
  card.classList.toggle("tumor", verdict === "tumor_detected");
  card.classList.toggle("clear", verdict === "no_tumor_detected");
  card.classList.toggle("grey", verdict === "not_assessed");
}

// The verdict beside the name it is of, in the title too.
export function nameVerdict(prefix, name, verdict) {
  colourVerdict($(`${prefix}verdict-card`), verdict);
  setText(`${prefix}verdict`, VERDICTS[verdict]);
  setText(`${prefix}name`, name);
  document.title = `${name}: ${VERDICTS[verdict]} – BrainSeg`;
}

export function showFinding({ answer, name, count, assessed }, total, threshold) {
  const pixels = answer.total_pixels;
  nameVerdict("", name, assessed ? (total.pixels ? "tumor_detected" : "no_tumor_detected") : "not_assessed");
  for (const one of document.querySelectorAll("#verdict-card .measured")) show(one, assessed);
  setText("coverage", ((100 * total.pixels) / pixels).toFixed(3));
  const over = count > 1 ? ` in ${plural(count, "slice")}` : "";
  setText("pixels", `${number(total.pixels)} of ${plural(pixels, "pixel")}${over}`);
  setText("highest", total.highest === null ? "–" : chance(total.highest));
  setText("mean", total.mean === null ? "–" : chance(total.mean));
  gauge("highest-bar", total.highest);
  gauge("mean-bar", total.mean);
  setText("sure-words", sureWords(total, threshold));
  setText("model-version", modelText(answer.model));
  setText("model-name", `${answer.model.architecture} · ${answer.model.digest.slice(0, 14)}…`);
}

const two = (value) => String(value).padStart(2, "0");

// Local time, the same in every country: 2026-11-28 05:12.
export function timeText(when) {
  const at = new Date(when);
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}`;
}

export function showWarnings(id, warnings) {
  $(id).replaceChildren(...warnings.map(({ detail }) => Object.assign(document.createElement("li"), { textContent: detail })));
}

// `sizes`: of the regions in the mask, largest first.
// `slice`: what the answer says of it, where it was made with these settings.
export function showFacts({ answer, milliseconds, when, threshold, labels }, figure, sizes, slice) {
  const quality = slice?.trust;
  const { width, height, format } = answer.input;
  const named = sizes.slice(0, 3).map(number).join(", ") + (sizes.length > 3 ? ", …" : "");
  const measured = [
    ["Tumour", plural(figure.pixels, "pixel")],
    ...partsOfSlice(labels, slice?.labels),
    ["Coverage", percent(figure.pixels / (width * height), 3)],
    ["Connected regions", sizes.length ? `${sizes.length} (${named} px)` : "none"],
    ["Highest probability", chance(figure.highest)],
    ["Threshold", String(Number(threshold.toFixed(4)))],
    ...(quality?.expected_dice != null ? [["Expected Dice", `${quality.expected_dice.toFixed(2)}${quality.uncertain ? ", unsure" : ""}`]] : []),
  ];
  describe($("facts"), [
    ...(figure.refused ? [["Tumour", "not assessed"]] : measured),
    ["Scan", `${width} × ${height}, ${format.toUpperCase()}`],
    ["Answered", `${timeText(when)}, in ${(milliseconds / 1000).toFixed(1)} s`],
  ]);
  showWarnings("warnings", answer.warnings);
}
