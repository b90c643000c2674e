// What the model card says of a version: how good it was on whose scans, and where it ends.

import { $, setText, show } from "./dom.js";

const NAMES = { dice_slice_mean: "Dice of tumour slices", sensitivity: "sensitivity", specificity: "specificity" };

function figure({ name, value, low, high }) {
  const interval = low == null ? "" : ` (${low.toFixed(2)}–${high.toFixed(2)})`;
  return `${NAMES[name]} ${value.toFixed(2)}${interval}`;
}

// The figures of the test cases where there are some, else of whatever was judged.
function figures(metrics) {
  const side = metrics.test ?? Object.values(metrics)[0];
  const known = (side?.figures ?? []).filter((one) => one.name in NAMES && one.value != null);
  if (!known.length) return "";
  const cases = Math.max(...known.map((one) => one.cases));
  return `On ${cases} ${side.side ?? "judged"} cases: ${known.map(figure).join(", ")}.`;
}

export function showModel(version, card) {
  const known = card ? figures(card.metrics ?? {}) : "";
  const limits = card?.limits ?? [];
  show($("about"), Boolean(known || limits.length));
  setText("about-title", `About model ${version}`);
  setText("about-figures", known);
  $("about-limits").replaceChildren(...limits.map((text) => Object.assign(document.createElement("li"), { textContent: text })));
}
