// One scan with one model version: what the server said of it, and the slices' numbers, fetched in windows.

import { ApiError, segment } from "./api.js";
import { maskOf, measure } from "./mask.js";
import { decodePng } from "./png.js";
import { readTiff } from "./tiff.js";

const ANSWER_BYTES = 28 * 2 ** 20; // the server gives 32 MiB at most and estimates before it starts
const BYTES_PER_PIXEL = { scan: 1.6 * 4 / 3, probability: 4 / 3, mask: 0.02 * 4 / 3 };
const KEPT_PIXELS = 60e6; // decoded slices in memory, five bytes a pixel

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

const cost = (outputs) => outputs.reduce((sum, name) => sum + BYTES_PER_PIXEL[name], 0);

// The richest pictures that fit into one answer for at least one slice, and how many slices then fit.
function plan(pixels, labelled) {
  const drawn = labelled ? ["probability", "mask"] : ["probability"];
  const fit = (outputs) => Math.floor(ANSWER_BYTES / (pixels * cost(outputs)));
  const rich = ["scan", ...drawn];
  return fit(rich) ? { outputs: rich, length: fit(rich) } : { outputs: drawn, length: Math.max(1, fit(drawn)) };
}

// The scan as the browser itself shows it, for pictures too large to be sent back.
async function ownPixels(file) {
  try {
    const bitmap = await createImageBitmap(file);
    const context = new OffscreenCanvas(bitmap.width, bitmap.height).getContext("2d");
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, bitmap.width, bitmap.height);
    return data.filter((_, i) => i % 4 !== 3);
  } catch {
    return null;
  }
}

// The gate's own word is the rule and is not sent: servers before it know no such field.
const gated = (gate) => (gate === "off" ? { gate } : {});

export class Case {
  // `model`, `version`: as the contract has them, empty for the usual ones; `gate`: "on" or "off". `answer`: the
  // contract's, set by load() and remeasure(). `slices`: index -> {width, height, scan, steps, values, of}, decoded:
  // `steps` is null where the model does not assess the slice; `values` is the mask of a model with labels, else null,
  // and `of` the settings it was made with.
  constructor(file, name, { model = "", version = "", gate = "on" }) {
    Object.assign(this, { file, name, model, version, gate, answer: null, slices: new Map(), loading: new Map() });
  }

  async open(settings, options) {
    await this.load(await this.fetch(settings, options), options);
  }

  // The first answer, as it came.
  async fetch(settings, options) {
    const shape = await readTiff(this.file);
    const { outputs, length } = plan(shape ? shape.width * shape.height : 1, this.model !== "");
    const whole = !shape || shape.slices <= length;
    try {
      return await this.send(settings, whole ? outputs : ["none"], undefined, options);
    } catch (error) {
      if (error.code !== "response_too_large" || !whole) throw error;
      return this.send(settings, ["probability"], undefined, options);
    }
  }

  // What fetch() gave, now or before a reload, and the slice to begin with.
  async load(raw, options) {
    this.answer = await this.take(raw, options);
    this.version = this.answer.model.version; // the default may change, and pictures must be of what was measured
    const poor = [...this.slices.values()].some(({ sent }) => !sent);
    const { outputs, length } = plan(this.width * this.height, Boolean(this.labels));
    this.plan = { outputs: poor ? outputs.filter((name) => name !== "scan") : outputs, length };
    // One that nobody knew to have labels was not asked for its mask.
    if (this.labels) for (const [index, { steps, values }] of this.slices) if (steps && !values) this.slices.delete(index);
    await this.ensure(this.richest, options);
  }

  get width() { return this.answer.input.width; }
  get height() { return this.answer.input.height; }
  get count() { return this.answer.input.slices; }
  // The slice to begin with: the one with most tumour.
  get richest() {
    const pixels = this.answer.slices.map((slice) => slice.tumor_pixels ?? -1);
    return Math.max(0, pixels.indexOf(Math.max(...pixels)));
  }
  // What the values of the mask are; null where it is of tumour alone.
  get labels() { return this.answer.labels ?? null; }
  get complete() { return this.slices.size === this.count; }

  // Whether slice `index` is here, of a model with labels by the settings of the answer.
  has(index) {
    const slice = this.slices.get(index);
    return Boolean(slice) && (!slice.values || slice.of === this.settled);
  }

  get settled() { return `${this.answer.threshold} ${this.answer.min_lesion_pixels}`; }

  get assessed() { return this.answer.verdict !== "not_assessed"; }

  // Whether the model has nothing to say of slice `index`.
  refused(index) {
    return this.answer.slices[index].tumor_pixels === null;
  }

  send(settings, outputs, slices, options) {
    const fields = { ...settings, ...gated(this.gate), outputs: outputs.join(","), slices, model: this.model, version: this.version };
    return segment(this.file, fields, { ...options, raw: true });
  }

  // An answer's pictures go to `slices`; -> the answer without them.
  async take(raw, options) {
    const answer = JSON.parse(await raw.text());
    const drawn = answer.slices.filter(({ images }) => images.probability || images.scan);
    this.makeRoom(drawn.length, answer.input);
    await Promise.all(drawn.map((slice) => this.keep(slice, answer)));
    for (const slice of answer.slices) slice.images = {};
    if (options?.signal?.aborted) throw new ApiError("cancelled", "Cancelled."); // while it was decoded
    return answer;
  }

  async ask(settings, outputs, slices, options) {
    return this.take(await this.send(settings, outputs, slices, options), options);
  }

  async keep({ index, images }, { labels, threshold, min_lesion_pixels }) {
    const decoded = async (name) => (images[name] ? decodePng(fromBase64(images[name])) : null);
    const [probability, picture] = [await decoded("probability"), await decoded("scan")];
    const values = labels ? ((await decoded("mask"))?.data ?? null) : null;
    const { width, height } = probability ?? picture;
    const scan = picture ? picture.data : await ownPixels(this.file);
    const of = `${threshold} ${min_lesion_pixels}`;
    this.slices.set(index, { width, height, scan, steps: probability?.data ?? null, values, of, sent: Boolean(picture) });
  }

  // Fetches the window around slice `index` when it is not there; each window costs the server a run.
  async ensure(index, options = {}) {
    if (this.has(index)) return;
    const { length, outputs } = this.plan;
    const first = Math.floor(index / length) * length;
    const span = `${first}-${Math.min(first + length, this.count) - 1}`;
    const { threshold, min_lesion_pixels } = this.answer;
    const window = `${first} ${this.labels ? this.settled : ""}`;
    if (!this.loading.has(window)) {
      const asked = this.ask({ threshold, min_lesion_pixels }, outputs, span, options);
      this.loading.set(window, asked.finally(() => this.loading.delete(window)));
    }
    await this.loading.get(window);
    if (this.has(index)) return;
    const { width, height } = this; // nothing can be drawn of a slice that is not assessed
    const scan = this.count === 1 ? await ownPixels(this.file) : null;
    this.slices.set(index, { width, height, scan, steps: null, values: null, of: "", sent: false });
  }

  // Only once the pictures are there: when they do not come, those on show are still wanted.
  makeRoom(coming, { width, height }) {
    const most = Math.max(1, Math.floor(KEPT_PIXELS / (width * height)));
    for (const index of this.slices.keys()) {
      if (this.slices.size + coming <= most) return;
      this.slices.delete(index);
    }
  }

  // Uint8Array, 1 where there is tumour; of a model with labels their values, as the server drew them.
  maskOf(index, { threshold, lesion }) {
    const { steps, values, width, height } = this.slices.get(index);
    if (!steps) return new Uint8Array(width * height);
    if (values) return values;
    return maskOf(steps, width, height, threshold, lesion);
  }

  // {pixels, highest, mean} of a slice with these settings, {refused} where it is not assessed; null where only the
  // server could tell, as it always is of a model with labels.
  figures(index, settings) {
    if (this.refused(index)) return { refused: true, pixels: 0, highest: 0, mean: null };
    const slice = this.slices.get(index);
    if (slice && (!this.labels || (this.answered(settings) && this.has(index)))) return measure(slice.steps, this.maskOf(index, settings));
    if (!this.answered(settings)) return null;
    const { tumor_pixels: pixels, max_probability: highest } = this.answer.slices[index];
    return { pixels, highest, mean: null };
  }

  answered({ threshold, lesion }) {
    return threshold === this.answer.threshold && lesion === this.answer.min_lesion_pixels;
  }

  // Whether there can be a mask by these settings: of a model with labels only the server makes it.
  drawable(settings) {
    return !this.labels || this.answered(settings);
  }

  // Whether figures() can tell of every slice.
  knows(settings) {
    return (this.complete && !this.labels) || this.answered(settings);
  }

  // Asks the server to measure with other settings, where not all slices are here to do so.
  async remeasure({ threshold, lesion }, options = {}) {
    this.answer = await this.ask({ threshold, min_lesion_pixels: lesion }, ["none"], undefined, options);
  }
}
