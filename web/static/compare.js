// Two model versions on the same slice.

import { Case } from "./case.js";
import { $, percent, setText, show } from "./dom.js";
import { drawDifference, drawOverlay } from "./draw.js";
import { coloursOf } from "./labels.js";
import { dice } from "./mask.js";
import { Latest } from "./status.js";

export class Comparison {
  // `other`: the Case that is compared; `coming`: the one that is being opened.
  constructor() {
    this.other = this.coming = null;
    this.run = new Latest();
    this.draws = 0;
  }

  close() {
    this.run.stop();
    this.other = this.coming = null;
    $("compare").value = "";
    show($("comparison"), false);
  }

  // Runs `version` over the scan of `first`, with the settings on show, unless something else is chosen meanwhile.
  async open(first, version, settings) {
    this.close();
    $("compare").value = version;
    const other = (this.coming = new Case(first.file, first.name, { model: first.model, version }));
    const asked = { threshold: settings.threshold, min_lesion_pixels: settings.lesion };
    try {
      await this.run.working(`Running version ${version}`, (options) => other.open(asked, options));
    } catch (error) {
      if (other === this.coming) this.close();
      throw error;
    }
    if (other !== this.coming) return;
    this.other = other;
    show($("comparison"), true);
  }

  // Draws slice `index`; both must have it.
  async show(first, index, settings) {
    const { other } = this;
    if (!other) return;
    const draw = ++this.draws;
    if (!other.drawable(settings)) await other.remeasure(settings);
    await other.ensure(index);
    if (draw !== this.draws || other !== this.other || !first.slices.has(index) || !other.drawable(settings)) return;
    const slice = first.slices.get(index);
    const one = first.maskOf(index, settings);
    const two = other.maskOf(index, settings);
    const names = [first, other].map((item) => `Version ${item.answer.model.version}`);
    drawOverlay($("compare-first"), slice, one, coloursOf(first.labels), settings.opacity, settings.contour);
    drawOverlay($("compare-second"), slice, two, coloursOf(other.labels), settings.opacity, settings.contour);
    drawDifference($("compare-difference"), slice, one, two);
    const coverage = [one, two].map((mask) => percent(mask.reduce((sum, value) => sum + (value ? 1 : 0), 0) / mask.length, 3));
    setText("comparison-title", `${names[0]} and ${names[1].toLowerCase()}`);
    const silent = [first, other].findIndex((item) => item.refused(index));
    if (silent >= 0) setText("comparison-words", `${names[silent]} does not assess this slice.`);
    else setText("comparison-words", `On ${first.count > 1 ? `slice ${index + 1}` : "this slice"} ${coverage[0]} against ${coverage[1]} of the pixels, both at threshold ${Number(settings.threshold.toFixed(4))}; the masks agree to Dice ${dice(one, two).toFixed(3)}.`);
    setText("first-caption", `${names[0]} · ${coverage[0]}`);
    setText("second-caption", `${names[1]} · ${coverage[1]}`);
    setText("only-first", `${names[0].toLowerCase()} only`);
    setText("only-second", `${names[1].toLowerCase()} only`);
  }
}
