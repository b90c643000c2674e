// The slices of a stack: which have tumour, which is on show, and which is wanted.

import { $, setText, show } from "./dom.js";

const TUMOR = "#ff8080", NOTHING = "#33414c", UNKNOWN = "#232d35", REFUSED = "#8a97a3", HERE = "#6cc7d6";
const WHEEL_STEP = 40; // pixels of wheel or trackpad a slice

// 1, 2, 3, 5 -> "1–3, 5"
function spans(numbers) {
  const found = [];
  for (const n of numbers) {
    const last = found.at(-1);
    if (last && last[1] === n - 1) last[1] = n;
    else found.push([n, n]);
  }
  return found.map(([a, b]) => (a === b ? `${a}` : `${a}–${b}`)).join(", ");
}

// What a slice shows, for those who do not see it.
function inWords(figure) {
  if (!figure) return "being measured";
  if (figure.refused) return "not assessed";
  return figure.pixels ? "tumour" : "no tumour";
}

export class Stack {
  // `onSlice(index)` is called when another slice is chosen. `index`: of that one; `shown`: of the one in the pictures,
  // which the label names, until the one chosen is there.
  constructor(onSlice) {
    this.count = 0;
    this.index = this.shown = 0;
    this.figures = [];
    this.onSlice = onSlice;
    $("slice").addEventListener("input", (event) => this.go(Number(event.target.value)));
    $("strip").addEventListener("pointerdown", (event) => this.pick(event));
    $("strip").addEventListener("pointermove", (event) => event.buttons && this.pick(event));
    $("viewer").addEventListener("keydown", (event) => this.key(event));
    $("viewer").addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.turned = 0;
    new ResizeObserver(() => this.draw()).observe($("strip"));
  }

  open(count, index) {
    Object.assign(this, { count, index, shown: index, figures: [] });
    $("slice").max = count - 1;
    show($("stack"), count > 1);
    this.mark();
  }

  // The pictures are of the slice that was chosen.
  drawn() {
    this.shown = this.index;
    this.mark();
  }

  // The slice that was chosen does not come.
  back() {
    this.index = this.shown;
    this.mark();
    this.draw();
  }

  go(index) {
    const wanted = Math.min(Math.max(index, 0), this.count - 1);
    if (wanted === this.index) return;
    this.index = wanted;
    this.mark();
    this.draw();
    this.onSlice(wanted);
  }

  mark() {
    $("slice").value = this.index;
    setText("slice-value", `${this.shown + 1} of ${this.count}`);
    $("slice").setAttribute("aria-valuetext", `slice ${this.index + 1} of ${this.count}, ${inWords(this.figures[this.index])}`);
  }

  pick(event) {
    const { left, width } = $("strip").getBoundingClientRect();
    this.go(Math.floor(((event.clientX - left) / width) * this.count));
  }

  key(event) {
    const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
    const end = { Home: 0, End: this.count - 1 }[event.key];
    if (this.count < 2 || (step === undefined && end === undefined)) return;
    event.preventDefault();
    this.go(end ?? this.index + step);
  }

  wheel(event) {
    if (this.count < 2 || event.ctrlKey) return;
    event.preventDefault();
    this.turned += event.deltaY * (event.deltaMode ? 30 : 1);
    const steps = Math.trunc(this.turned / WHEEL_STEP);
    this.turned -= steps * WHEEL_STEP;
    if (steps) this.go(this.index + steps);
  }

  // `figures`: one a slice, null where not known.
  showFigures(figures) {
    this.figures = figures;
    const where = (is) => figures.flatMap((figure, index) => (figure && is(figure) ? [index + 1] : []));
    const found = where(({ pixels }) => pixels), refused = where((figure) => figure.refused);
    const unknown = figures.includes(null) ? "; others are being measured" : "";
    const unsaid = refused.length ? `; not assessed: ${spans(refused)}` : "";
    const assessed = this.count - refused.length;
    const nothing = refused.length ? `No tumour on ${assessed} of ${this.count} slices` : "No tumour on any slice";
    if (!assessed) setText("stack-words", "No slice is assessed");
    else setText("stack-words", `${found.length ? `Tumour on ${found.length} of ${this.count} slices: ${spans(found)}` : nothing}${unsaid}${unknown}`);
    this.mark();
    this.draw();
  }

  draw() {
    const canvas = $("strip");
    if (this.count < 2 || !canvas.clientWidth) return;
    const scale = devicePixelRatio || 1;
    canvas.width = canvas.clientWidth * scale;
    canvas.height = canvas.clientHeight * scale;
    const context = canvas.getContext("2d");
    const { width, height } = canvas;
    const most = Math.max(1, ...this.figures.map((figure) => figure?.pixels ?? 0));
    const step = width / this.count;
    const gap = step > 6 * scale ? 2 * scale : 0;
    for (let i = 0; i < this.count; i++) {
      const figure = this.figures[i];
      const share = figure?.pixels ? 0.15 + 0.75 * (figure.pixels / most) : 0.06;
      context.fillStyle = figure?.pixels ? TUMOR : figure?.refused ? REFUSED : figure ? NOTHING : UNKNOWN;
      context.fillRect(i * step + gap / 2, height * (1 - share), Math.max(1, step - gap), height * share);
    }
    context.strokeStyle = HERE;
    context.lineWidth = 2 * scale;
    context.strokeRect(this.index * step + scale, scale, Math.max(step - 2 * scale, 2 * scale), height - 2 * scale);
  }
}
