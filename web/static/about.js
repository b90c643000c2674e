// What the model card says of a version: how good it was on whose scans, and where it ends.

import { $, plural, setText, show } from "./dom.js";

const NAMES = { dice_slice_mean: "Dice of tumour slices", sensitivity: "sensitivity", specificity: "specificity" };

function figure({ name, value, low, high }) {
  const interval = low == null ? "" : ` (${low.toFixed(2)}–${high.toFixed(2)})`;
  return `${NAMES[name]} ${value.toFixed(2)}${interval}`;
}

// The figures of the test cases where there are some, else of whatever was judged.
function figures(metrics) {
  const side = metrics.test ?? Object.values(metrics).find((one) => one?.figures);
  const regions = (side?.figures ?? []).filter((one) => one.kind === "region" && one.dice != null);
  if (regions.length) return `Dice on ${plural(regions[0].patients, "patient")}${side.side === "left out" ? " left out of a training like this one" : ""}: ${regions.map(({ name, dice }) => `${name} ${dice.toFixed(2)}`).join(", ")}.`;
  const known = (side?.figures ?? []).filter((one) => one.name in NAMES && one.value != null);
  if (!known.length) return "";
  const cases = Math.max(...known.map((one) => one.cases));
  return `On ${cases} ${side.side ?? "judged"} cases: ${known.map(figure).join(", ")}.`;
}

// `prefix`: of the ids, "" or "volume-"; `named`: the model in words.
export function showModel(prefix, named, card) {
  const known = card ? figures(card.metrics ?? {}) : "";
  const limits = card?.limits ?? [];
  show($(`${prefix}about`), Boolean(known || limits.length));
  setText(`${prefix}about-title`, `About model ${named}`);
  setText(`${prefix}about-figures`, known);
  $(`${prefix}about-limits`).replaceChildren(...limits.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}
