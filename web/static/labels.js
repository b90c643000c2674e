// The parts that a model with labels tells apart: their colours, and a legend with how much there is of each.

import { $, chance, number, plural, setText, show } from "./dom.js";
import { RED } from "./palette.js";

const byte = (value) => Math.min(255, Math.max(0, Math.floor(Number(value)) || 0)); // a card's colours are whole numbers; they go into a style

export const colourOf = ({ colour }) => [0, 1, 2].map((channel) => byte(colour[channel]));

// Of the mask's values, [0] being none; `labels`: the answer's, null for tumour alone.
export const coloursOf = (labels) => [[0, 0, 0], ...(labels ? labels.map(colourOf) : [RED])];

// The part that a value of the mask is, in words; empty for none.
export const partName = (labels, value) => (labels && value ? (labels.find((label) => label.value === value)?.name ?? "") : "");

const element = (name, properties = {}) => Object.assign(document.createElement(name), properties);

function swatch(label) {
  const mark = element("span", { className: "swatch" });
  mark.style.backgroundColor = `rgb(${colourOf(label).join(" ")})`;
  mark.setAttribute("aria-hidden", "true"); // the name is beside it
  return mark;
}

export const ml = (value) => `${value.toFixed(value < 10 ? 2 : 1)} ml`;

function sizeText({ pixels, volume_ml: volume }) {
  if (pixels === null) return "–";
  return volume === null ? plural(pixels, "pixel") : ml(volume);
}

function row(marks, found) {
  const line = element("tr"), name = element("th", { scope: "row" });
  const together = element("span", { className: "swatches" });
  together.append(...marks.map(swatch));
  name.append(together, element("span", { textContent: found.name }));
  const sure = found.max_probability === null ? "–" : chance(found.max_probability);
  line.append(name, element("td", { textContent: sizeText(found) }), element("td", { textContent: sure }));
  return line;
}

// A line a label of an answer and, below, a line a region, with the colours that it is made of. Hidden without labels.
export function showParts(prefix, { labels, regions, warnings = [] }) {
  show($(`${prefix}parts`), Boolean(labels));
  const missing = warnings.find(({ code }) => code === "missing_sequence"); // another stands in for it: the parts mean little
  setText(`${prefix}parts-missing`, missing ? `Do not rely on the parts: ${missing.detail}.` : "");
  if (!labels) return;
  const own = (region) => labels.filter(({ value }) => region.labels.includes(value));
  $(`${prefix}parts-labels`).replaceChildren(...labels.map((label) => row([label], label)));
  $(`${prefix}parts-regions`).replaceChildren(...(regions ?? []).map((region) => row(own(region), region)));
  const many = (regions ?? []).length > 0;
  show($(`${prefix}parts-regions`), many);
  setText(`${prefix}parts-words`, many ? "Below the line: regions, made of the parts whose colours they have." : "");
}

// [[name, size]] of the parts on one slice, `found` being its labels in the answer.
export const partsOfSlice = (labels, found) =>
  (labels && found ? found.map(({ value, pixels }) => [partName(labels, value), pixels === null ? "–" : `${number(pixels)} px`]) : []);
