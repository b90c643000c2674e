// What of the slice on show moves the answer: asked for by hand, drawn over the scan, with how far it can be believed.

import { explain } from "./api.js";
import { $, setText, show } from "./dom.js";
import { Latest, guarded } from "./status.js";

const NAMES = { verdict: "the verdict", area: "the area" };

export class Why {
  // `prefix`: of the panel's elements. `what`: says what is on show, null where nothing is: {of: [case, slice], file,
  // fields, count}, with `fields` as of explain() in api.js and `count` slices.
  constructor(prefix, what) {
    Object.assign(this, { prefix, what, of: null, run: new Latest() });
  }

  connect() {
    const ask = () => guarded(() => this.open());
    $(`${this.prefix}why`).addEventListener("click", ask);
    for (const radio of document.querySelectorAll(`input[name=${this.prefix}question]`)) radio.addEventListener("change", ask);
  }

  close() {
    this.run.stop();
    this.of = null;
    show($(`${this.prefix}why-panel`), false);
  }

  // Gone when it is not of what is on show.
  keepFor(item, index) {
    if (this.of && (this.of[0] !== item || this.of[1] !== index)) this.close();
  }

  async open() {
    const what = this.what();
    if (!what) return;
    const { of, file, fields, count } = what, question = document.querySelector(`input[name=${this.prefix}question]:checked`).value;
    this.run.stop();
    this.of = of;
    let answer;
    try {
      answer = await this.run.working(`Asking what moves ${NAMES[question]}`, (options) => explain(file, { ...fields, question, slice: of[1] }, options));
    } catch (error) {
      if (this.of === of) this.close();
      throw error;
    }
    if (this.of !== of) return;
    this.show(answer, count);
  }

  show({ images, said, deletion, question, slice, notice }, count) {
    const { prefix } = this, where = count > 1 ? ` on slice ${slice + 1}` : "";
    setText(`${prefix}why-title`, `What moves ${NAMES[question]}${where}`);
    $(`${prefix}why-picture`).src = `data:image/png;base64,${images.overlay}`;
    $(`${prefix}why-picture`).alt = `The scan, bright where the answer hangs on it. ${deletion.said}`;
    setText(`${prefix}why-said`, said);
    setText(`${prefix}why-believed`, deletion.said);
    $(`${prefix}why-believed`).classList.toggle("doubted", !deletion.faithful);
    setText(`${prefix}why-notice`, notice);
    show($(`${prefix}why-panel`), true);
    $(`${prefix}why-title`).focus({ preventScroll: true });
    $(`${prefix}why-panel`).scrollIntoView({ block: "nearest" });
  }
}
