// How far an answer can be trusted, in plain words: why a scan is not assessed, that the gate was off, that the model is
// unsure. A version without a gate says nothing.

import { $, number, percent, setText, show } from "./dom.js";
import { reasonWords } from "./reasons.js";

const NONE = { accepted: null, score: null, reasons: [], gate: "none", uncertain: null, expected_dice: null };

export const trustOf = (answer) => ({ ...NONE, ...answer.trust });

// Codes of the scan, and of those of its slices that are not assessed, each once.
export function reasonsOf(answer) {
  const { reasons } = trustOf(answer);
  const slices = answer.slices.filter(({ trust }) => trust?.accepted === false).flatMap(({ trust }) => trust.reasons);
  return [...new Set([...reasons, ...slices])];
}

function reasonItem(code) {
  const { what, instead } = reasonWords(code);
  const item = document.createElement("li");
  item.append(Object.assign(document.createElement("strong"), { textContent: what }), ` ${instead}`);
  return item;
}

const span = ([low, high], digits) => `${number(Number(low.toFixed(digits)))} and ${number(Number(high.toFixed(digits)))}`;

// With `settled` the measurements on show are the answer's own; the interval belongs to no others.
function sizeWords(trust, settled) {
  if (!settled || !trust.interval_level) return "";
  const level = percent(trust.interval_level, 0);
  if (trust.tumor_volume_ml_interval) return `The tumour’s volume lies between ${span(trust.tumor_volume_ml_interval, 2)} ml (${level} interval).`;
  if (trust.tumor_pixels_interval) return `The tumour’s area lies between ${span(trust.tumor_pixels_interval, 0)} pixels (${level} interval).`;
  return "";
}

function gateWords(answer, trust) {
  if (answer.verdict === "not_assessed") return "The model was not made for what came in, so it says nothing about a tumour.";
  const refused = answer.slices.filter((slice) => slice.tumor_pixels === null).length;
  if (trust.gate === "off" && trust.accepted === false) return "The gate was off. This scan is not what the model knows: the mask may mean nothing.";
  if (trust.gate === "off") return "The gate was off for this scan.";
  return refused ? `${refused} of ${number(answer.slices.length)} slices are not what the model knows and are not assessed.` : "";
}

function doubtWords(answer, trust) {
  if (!trust.uncertain || answer.verdict === "not_assessed") return "";
  const expected = trust.expected_dice === null ? "" : ` It expects its mask to agree with an expert’s to Dice ${trust.expected_dice.toFixed(2)}.`;
  return `The model is unsure of this scan: look closely.${expected}`;
}

// `prefix`: of the ids, "" or "volume-".
export function showTrust(prefix, answer, settled) {
  const trust = trustOf(answer);
  const gate = gateWords(answer, trust), doubt = doubtWords(answer, trust);
  const size = answer.verdict === "not_assessed" ? "" : sizeWords(trust, settled);
  setText(`${prefix}trust-gate`, gate);
  setText(`${prefix}trust-doubt`, doubt);
  setText(`${prefix}trust-size`, size);
  for (const [name, text] of [["gate", gate], ["doubt", doubt], ["size", size]]) show($(`${prefix}trust-${name}`), Boolean(text));
  $(`${prefix}trust-reasons`).replaceChildren(...(gate ? reasonsOf(answer).map(reasonItem) : []));
  const refused = trust.gate === "on" && answer.slices.some((slice) => slice.tumor_pixels === null);
  show($(`${prefix}gate-off`), answer.verdict === "not_assessed" || refused);
  show($(`${prefix}trust`), Boolean(gate || doubt || size));
  $(`${prefix}trust`).classList.toggle("warns", Boolean(doubt) || trust.gate === "off");
}
