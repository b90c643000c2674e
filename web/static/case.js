// One scan with one model version: what the server said of it, and the slices' numbers, fetched in windows.

import { ApiError, segment } from "./api.js";
import { maskOf, measure } from "./mask.js";
import { decodePng } from "./png.js";
import { readTiff } from "./tiff.js";

const ANSWER_BYTES = 28 * 2 ** 20; // the server gives 32 MiB at most and estimates before it starts
const BYTES_PER_PIXEL = { scan: 1.6 * 4 / 3, probability: 4 / 3 };
const KEPT_PIXELS = 60e6; // decoded slices in memory, five bytes a pixel

const fromBase64 = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));

const cost = (outputs) => outputs.reduce((sum, name) => sum + BYTES_PER_PIXEL[name], 0);

// The richest pictures that fit into one answer for at least one slice, and how many slices then fit.
function plan(pixels) {
  const rich = Math.floor(ANSWER_BYTES / (pixels * cost(["scan", "probability"])));
  if (rich) return { outputs: ["scan", "probability"], length: rich };
  return { outputs: ["probability"], length: Math.max(1, Math.floor(ANSWER_BYTES / (pixels * cost(["probability"])))) };
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
  // `gate`: "on" or "off". `answer`: the contract's, set by load() and remeasure(). `slices`: index -> {width, height,
  // scan, steps}, decoded; `steps` is null where the model does not assess the slice.
  constructor(file, name, version, gate = "on") {
    Object.assign(this, { file, name, version, gate, answer: null, slices: new Map(), loading: new Map() });
  }

  async open(settings, options) {
    await this.load(await this.fetch(settings, options), options);
  }

  // The first answer, as it came.
  async fetch(settings, options) {
    const shape = await readTiff(this.file);
    const { outputs, length } = plan(shape ? shape.width * shape.height : 1);
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
    this.plan = { ...plan(this.width * this.height), ...(poor ? { outputs: ["probability"] } : {}) };
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
  get complete() { return this.slices.size === this.count; }

  get assessed() { return this.answer.verdict !== "not_assessed"; }

  // Whether the model has nothing to say of slice `index`.
  refused(index) {
    return this.answer.slices[index].tumor_pixels === null;
  }

  send(settings, outputs, slices, options) {
    const fields = { ...settings, ...gated(this.gate), outputs: outputs.join(","), slices, version: this.version };
    return segment(this.file, fields, { ...options, raw: true });
  }

  // An answer's pictures go to `slices`; -> the answer without them.
  async take(raw, options) {
    const answer = JSON.parse(await raw.text());
    const drawn = answer.slices.filter(({ images }) => images.probability || images.scan);
    this.makeRoom(drawn.length, answer.input);
    await Promise.all(drawn.map((slice) => this.keep(slice)));
    for (const slice of answer.slices) slice.images = {};
    if (options?.signal?.aborted) throw new ApiError("cancelled", "Cancelled."); // while it was decoded
    return answer;
  }

  async ask(settings, outputs, slices, options) {
    return this.take(await this.send(settings, outputs, slices, options), options);
  }

  async keep({ index, images }) {
    const probability = images.probability ? await decodePng(fromBase64(images.probability)) : null;
    const picture = images.scan ? await decodePng(fromBase64(images.scan)) : null;
    const { width, height } = probability ?? picture;
    const scan = picture ? picture.data : await ownPixels(this.file);
    this.slices.set(index, { width, height, scan, steps: probability?.data ?? null, sent: Boolean(picture) });
  }

  // Fetches the window around slice `index` when it is not there; each window costs the server a run.
  async ensure(index, options = {}) {
    if (this.slices.has(index)) return;
    const { length, outputs } = this.plan;
    const first = Math.floor(index / length) * length;
    const span = `${first}-${Math.min(first + length, this.count) - 1}`;
    const { threshold, min_lesion_pixels } = this.answer;
    if (!this.loading.has(first)) {
      const asked = this.ask({ threshold, min_lesion_pixels }, outputs, span, options);
      this.loading.set(first, asked.finally(() => this.loading.delete(first)));
    }
    await this.loading.get(first);
    if (this.slices.has(index)) return;
    const { width, height } = this; // nothing can be drawn of a slice that is not assessed
    this.slices.set(index, { width, height, scan: this.count === 1 ? await ownPixels(this.file) : null, steps: null, sent: false });
  }

  // Only once the pictures are there: when they do not come, those on show are still wanted.
  makeRoom(coming, { width, height }) {
    const most = Math.max(1, Math.floor(KEPT_PIXELS / (width * height)));
    for (const index of this.slices.keys()) {
      if (this.slices.size + coming <= most) return;
      this.slices.delete(index);
    }
  }

  maskOf(index, { threshold, lesion }) {
    const { steps, width, height } = this.slices.get(index);
    if (!steps) return new Uint8Array(width * height);
    return maskOf(steps, width, height, threshold, lesion);
  }

  // {pixels, highest, mean} of a slice with these settings, {refused} where it is not assessed; null where only the
  // server could tell.
  figures(index, settings) {
    if (this.refused(index)) return { refused: true, pixels: 0, highest: 0, mean: null };
    const slice = this.slices.get(index);
    if (slice) return measure(slice.steps, this.maskOf(index, settings));
    if (!this.answered(settings)) return null;
    const { tumor_pixels: pixels, max_probability: highest } = this.answer.slices[index];
    return { pixels, highest, mean: null };
  }

  answered({ threshold, lesion }) {
    return threshold === this.answer.threshold && lesion === this.answer.min_lesion_pixels;
  }

  // Whether figures() can tell of every slice.
  knows(settings) {
    return this.complete || this.answered(settings);
  }

  // Asks the server to measure with other settings, where not all slices are here to do so.
  async remeasure({ threshold, lesion }, options = {}) {
    this.answer = await this.ask({ threshold, min_lesion_pixels: lesion }, ["none"], undefined, options);
  }
}
