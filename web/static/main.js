// The page: a scan in, a finding out, and settings that redraw it at once.

import { showModel } from "./about.js";
import { setKey } from "./api.js";
import { Case } from "./case.js";
import { Comparison } from "./compare.js";
import { $, perFrame, settled, show } from "./dom.js";
import { drawHeatmap, drawMask, drawOverlay, drawScale, drawScan } from "./draw.js";
import { showFacts, showFinding, totalOf } from "./finding.js";
import { objection, openIntake } from "./intake.js";
import { regions } from "./mask.js";
import { openReadout } from "./readout.js";
import { saveJson, saveMask, saveStack } from "./save.js";
import { loadVersions, offerComparison, watchReady } from "./server.js";
import { openSettings } from "./settings.js";
import { sortOut } from "./scans.js";
import { Stack } from "./stack.js";
import { Latest, cancelAll, hideError, showError, working } from "./status.js";
import { analyseVolume, connectVolume, hideVolume } from "./volume.js";

const FIGURES_DELAY = 120; // ms of rest before all slices are measured anew

let current = null; // the Case on show
let versions = new Map(); // version -> its model card, null where unknown
let shownVolume = null; // what sortOut() made of it
let last = null; // what to do again once a key is entered
const comparison = new Comparison();
const stack = new Stack(() => drawSoon());
const measuring = new Latest();
const settings = openSettings((changed) => {
  drawSoon();
  if (!("threshold" in changed || "lesion" in changed)) return;
  if (!current?.knows(settings)) $("save-json").disabled = true;
  measureSoon();
});

const drawSoon = perFrame(() => guarded(draw));
const measureSoon = settled(() => guarded(measureAll), FIGURES_DELAY);

async function guarded(work) {
  try {
    await work();
  } catch (error) {
    if (!["cancelled", "not_ready_yet"].includes(error.code)) showError(error);
    if (!error.code) throw error;
  }
}

// A mask can be saved while its slice is here and on show.
function offerMask() {
  $("save-png").disabled = stack.shown !== stack.index || !current.slices.has(stack.shown);
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
    offerMask();
  }
}

async function draw() {
  const item = current, { index } = stack;
  if (!item) return;
  if (!item.slices.has(index)) await fetchSlice(item, index);
  if (item !== current || index !== stack.index) return;
  stack.drawn();
  offerMask();
  const slice = item.slices.get(index);
  const mask = item.maskOf(index, settings);
  drawScan($("scan"), slice);
  drawMask($("mask"), slice, mask);
  drawOverlay($("overlay"), slice, mask, settings.opacity, settings.contour);
  drawHeatmap($("heatmap"), slice);
  drawScale($("scale"), settings.threshold);
  showFacts(item, item.figures(index, settings), regions(mask, slice.width, slice.height));
  if (item.count === 1) finish([item.figures(0, settings)]);
  await comparison.show(item, index, settings);
}

function finish(figures) {
  const total = totalOf(figures);
  if (total) showFinding(current, total, settings.threshold);
  $("save-json").disabled = !total;
  if (current.count > 1) stack.showFigures(figures);
}

const allFigures = () => Array.from({ length: current.count }, (_, index) => current.figures(index, settings));

async function measureAll() {
  const item = current;
  if (!item || item.count === 1) return;
  measuring.stop(); // with settings that are not on show any more
  finish(allFigures());
  if (item.knows(settings)) return;
  await measuring.working("Measuring all slices", (options) => item.remeasure(settings, options));
  if (item === current) finish(allFigures());
}

// Whatever came in: a picture, or a volume with all its files.
async function analyseFiles(files, folder) {
  hideError();
  cancelAll();
  await guarded(async () => {
    const scan = await sortOut(files, folder);
    if (scan.picture) return analyse(scan.picture);
    return volume(scan);
  });
}

function volume(scan, series = "", version = $("version").value) {
  last = (chosen = series) => volume(scan, chosen, version);
  hideError();
  cancelAll();
  return guarded(async () => {
    const code = objection(...scan.parts.map(([, file]) => file));
    if (code) throw Object.assign(new Error(""), { code });
    await analyseVolume(scan, versions.has(version) ? version : "", series);
    current = null;
    shownVolume = scan;
  });
}

async function analyse(file, version = $("version").value) {
  last = () => analyse(file, version);
  hideError();
  cancelAll();
  const code = objection(file);
  if (code) return showError({ code, message: "" });
  const item = new Case(file, file.name, versions.has(version) ? version : undefined);
  const begin = performance.now();
  await guarded(async () => {
    await working("Uploading the scan", (options) => item.open({}, options));
    item.milliseconds = performance.now() - begin;
    present(item);
  });
}

function present(item) {
  current = item;
  comparison.close();
  settings.open(item.answer.threshold, item.answer.min_lesion_pixels);
  nameVersions();
  document.body.classList.add("has-result");
  hideVolume();
  show($("result"), true);
  $("result").dataset.shown = Number($("result").dataset.shown ?? 0) + 1;
  stack.open(item.count, item.richest);
  finish(allFigures());
  drawSoon();
  $("verdict").focus({ preventScroll: true });
  $("verdict-card").scrollIntoView({ block: "nearest" });
}

function nameVersions() {
  const { version } = current.answer.model;
  offerComparison([...versions.keys()], version);
  showModel(version, versions.get(version));
}

async function compare() {
  const version = $("compare").value;
  if (version) await comparison.open(current, version, settings);
  else comparison.close();
  await draw();
}

function connect() {
  openIntake(analyseFiles, showError);
  connectVolume();
  openReadout(() => ({ slice: current?.slices.get(stack.shown), settings }));
  $("version").addEventListener("change", () => (current ? analyse(current.file) : shownVolume && volume(shownVolume)));
  $("compare").addEventListener("change", () => guarded(compare));
  $("save-png").addEventListener("click", () => guarded(() => saveMask(current, stack.shown, settings)));
  $("save-tiff").addEventListener("click", () => guarded(() => working("Drawing the masks", () => saveStack(current, settings))));
  $("save-json").addEventListener("click", () => guarded(() => saveJson(current, allFigures(), settings)));
  $("series-form").addEventListener("submit", (event) => {
    event.preventDefault();
    last?.($("series").value);
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey($("key").value.trim());
    hideError();
    begin().then(() => last?.());
  });
}

async function begin() {
  await guarded(async () => {
    versions = await loadVersions();
    if (current) nameVersions();
  });
}

connect();
watchReady(() => versions.size || begin());
begin();
