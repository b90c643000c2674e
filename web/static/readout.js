// The probability under the pointer, or where a finger tapped.

import { $, percent, setText } from "./dom.js";
import { partName } from "./labels.js";
import { STEPS } from "./mask.js";

const CANVASES = ["scan", "mask", "overlay", "heatmap"];

// `state()` gives {slice, settings, labels}; slice is undefined while none is on show.
export function openReadout(state) {
  function read({ target, clientX, clientY }) {
    const { slice, settings, labels } = state();
    if (!slice?.steps) return;
    const box = target.getBoundingClientRect();
    const x = Math.min(slice.width - 1, Math.max(0, Math.floor(((clientX - box.left) / box.width) * slice.width)));
    const y = Math.min(slice.height - 1, Math.max(0, Math.floor(((clientY - box.top) / box.height) * slice.height)));
    const at = y * slice.width + x, probability = slice.steps[at] / STEPS;
    const side = probability > settings.threshold ? "above" : "not above";
    const part = slice.values ? partName(labels, slice.values[at]) : "";
    setText("readout", `x ${x}, y ${y}: probability ${percent(probability, 2)}, ${side} the threshold${part && `: ${part}`}`);
  }
  for (const id of CANVASES) {
    $(id).addEventListener("pointermove", read);
    $(id).addEventListener("click", read); // a tap moves nothing
  }
}
