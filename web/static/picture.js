// A picture or a stack on show: settings that redraw it at once, slices, another version beside it, downloads.

import { Case } from "./case.js";
import { Comparison } from "./compare.js";
import { $, perFrame, settled, show } from "./dom.js";
import { drawHeatmap, drawMask, drawOverlay, drawScale, drawScan } from "./draw.js";
import { showFacts, showFinding, totalOf } from "./finding.js";
import { coloursOf, showParts } from "./labels.js";
import { regions } from "./mask.js";
import { WHITE } from "./palette.js";
import { openReadout } from "./readout.js";
import { saveJson, saveMask, saveStack } from "./save.js";
import { openSettings } from "./settings.js";
import { Stack } from "./stack.js";
import { Latest, guarded, working } from "./status.js";
import { showTrust } from "./trust.js";
import { askType, forgetType } from "./types.js";
import { Why } from "./why.js";

const FIGURES_DELAY = 120; // ms of rest before all slices are measured anew
const OF_A_MASK = ["mask", "overlay", "heatmap"];

let current = null; // the Case on show
const comparison = new Comparison();
const why = new Why("", () => {
  const { file, model, version, gate, count } = current, { index } = stack;
  return { of: [current, index], file, count, fields: { model, version, threshold: settings.threshold, ...(gate === "off" ? { gate } : {}) } };
});
const stack = new Stack(() => {
  forgetType();
  drawSoon();
});
const measuring = new Latest();
const settings = openSettings((changed) => {
  drawSoon();
  if (!("threshold" in changed || "lesion" in changed)) return;
  if (!current?.knows(settings)) $("save-json").disabled = true;
  measureSoon();
});

const drawSoon = perFrame(() => guarded(draw));
const measureSoon = settled(() => guarded(measureAll), FIGURES_DELAY);

// A mask can be saved while its slice is here and on show.
function offerMask() {
  $("save-png").disabled = stack.shown !== stack.index || !current.slices.get(stack.shown)?.steps;
  $("save-tiff").disabled = !current.assessed;
}

// Slice `index`, with what else is in its window. Where it does not come, the one on show is the one chosen again.
async function fetchSlice(item, index) {
  offerMask();
  try {
    await working(`Fetching slices around ${index + 1}`, (options) => item.ensure(index, options));
  } catch (error) {
    if (item === current && index === stack.index) stack.back();
    throw error;
  } finally {
    if (current) offerMask();
  }
}

async function draw() {
  const item = current, { index } = stack;
  if (!item || !item.drawable(settings)) return;
  if (!item.has(index)) await fetchSlice(item, index);
  if (item !== current || index !== stack.index || !item.drawable(settings)) return;
  stack.drawn();
  why.keepFor(item, index);
  offerMask();
  const slice = item.slices.get(index);
  const mask = item.maskOf(index, settings);
  drawScan($("scan"), slice);
  for (const id of OF_A_MASK) show($(id).closest("figure"), Boolean(slice.steps));
  if (slice.steps) {
    const colours = coloursOf(item.labels);
    drawMask($("mask"), slice, mask, item.labels ? colours : [colours[0], WHITE]);
    drawOverlay($("overlay"), slice, mask, colours, settings.opacity, settings.contour);
    drawHeatmap($("heatmap"), slice);
    drawScale($("scale"), settings.threshold);
  }
  item.threshold = settings.threshold;
  showFacts(item, item.figures(index, settings), regions(mask, slice.width, slice.height), item.answered(settings) ? item.answer.slices[index] : null);
  if (item.count === 1) finish([item.figures(0, settings)]);
  await comparison.show(item, index, settings);
}

function finish(figures) {
  const total = totalOf(figures);
  if (total) showFinding(current, total, settings.threshold);
  if (total) showTrust("", current.answer, current.answered(settings));
  if (total) showParts("", current.answer);
  $("save-json").disabled = !total;
  if (current.count > 1) stack.showFigures(figures);
}

const allFigures = () => Array.from({ length: current.count }, (_, index) => current.figures(index, settings));

async function measureAll() {
  const item = current;
  if (!item || (item.count === 1 && !item.labels)) return;
  measuring.stop(); // with settings that are not on show any more
  finish(allFigures());
  if (!item.knows(settings)) {
    await measuring.working(item.count > 1 ? "Measuring all slices" : "Measuring", (options) => item.remeasure(settings, options));
    if (item === current) finish(allFigures());
  }
  if (item.labels) drawSoon(); // by the new mask
}

// What is to be shown of an entry, from its answer `raw`.
export async function preparePicture(entry, raw, options) {
  const item = new Case(entry.scan.picture, entry.name, entry);
  await item.load(raw, options);
  return Object.assign(item, { milliseconds: entry.took, when: entry.when });
}

// What the canvases show, for those who do not see it.
function nameCanvases(labels) {
  $("mask").setAttribute("aria-label", labels ? "The mask, its parts in their colours" : "The mask: white where tumour was found");
  $("overlay").setAttribute("aria-label", labels ? "The scan with the parts of the mask in their colours" : "The scan with the mask in red");
}

export function presentPicture(item) {
  current = item;
  nameCanvases(item.labels);
  comparison.close();
  forgetType();
  why.close();
  settings.open(item.answer.threshold, item.answer.min_lesion_pixels);
  show($("result"), true);
  for (const one of document.querySelectorAll("#result .of-a-mask")) show(one, item.assessed);
  $("result").dataset.shown = Number($("result").dataset.shown ?? 0) + 1;
  stack.open(item.count, item.richest);
  finish(allFigures());
  drawSoon();
}

export function hidePicture() {
  current = null;
  comparison.close();
  why.close();
  show($("result"), false);
}

async function compare() {
  const version = $("compare").value;
  if (version) await comparison.open(current, version, settings);
  else comparison.close();
  await draw();
}

export function connectPicture() {
  openReadout(() => ({ slice: current?.slices.get(stack.shown), settings, labels: current?.labels }));
  $("types-ask").addEventListener("click", () => guarded(() => askType(() => ({ file: current?.file, index: stack.index }))));
  $("compare").addEventListener("change", () => guarded(compare));
  why.connect();
  $("save-png").addEventListener("click", () => guarded(() => saveMask(current, stack.shown, settings)));
  $("save-tiff").addEventListener("click", () => guarded(() => working("Drawing the masks", () => saveStack(current, settings))));
  $("save-json").addEventListener("click", () => guarded(() => saveJson(current, allFigures(), settings)));
}
