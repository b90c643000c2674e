// What of the slice on show moves the answer: asked for by hand, drawn over the scan, with how far it can be believed.

import { explain } from "./api.js";
import { $, setText, show } from "./dom.js";
import { Latest } from "./status.js";

const NAMES = { verdict: "the verdict", area: "the area" };

export class Why {
  // `of`: [case, slice] of what is shown or asked for, null where nothing is.
  constructor() {
    this.of = null;
    this.run = new Latest();
  }

  close() {
    this.run.stop();
    this.of = null;
    show($("why-panel"), false);
  }

  // Gone when it is not of what is on show.
  keepFor(item, index) {
    if (this.of && (this.of[0] !== item || this.of[1] !== index)) this.close();
  }

  async open(item, index, threshold) {
    const of = [item, index], question = document.querySelector("input[name=question]:checked").value;
    this.run.stop();
    this.of = of;
    const gate = item.gate === "off" ? { gate: "off" } : {};
    const fields = { model: item.model, version: item.version, threshold, question, slice: index, ...gate };
    let answer;
    try {
      answer = await this.run.working(`Asking what moves ${NAMES[question]}`, (options) => explain(item.file, fields, options));
    } catch (error) {
      if (this.of === of) this.close();
      throw error;
    }
    if (this.of !== of) return;
    this.show(answer, item.count);
  }

  show({ images, said, deletion, question, slice, notice }, count) {
    const where = count > 1 ? ` on slice ${slice + 1}` : "";
    setText("why-title", `What moves ${NAMES[question]}${where}`);
    $("why-picture").src = `data:image/png;base64,${images.overlay}`;
    $("why-picture").alt = `The scan, bright where the answer hangs on it. ${deletion.said}`;
    setText("why-said", said);
    setText("why-believed", deletion.said);
    $("why-believed").classList.toggle("doubted", !deletion.faithful);
    setText("why-notice", notice);
    show($("why-panel"), true);
    $("why-title").focus({ preventScroll: true });
    $("why-panel").scrollIntoView({ block: "nearest" });
  }
}
