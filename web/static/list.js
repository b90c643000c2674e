// The scans of this tab in a list, a verdict beside each name.

import { $, number, percent, plural, setText, show } from "./dom.js";
import { VERDICTS, timeText } from "./finding.js";
import { reasonWords } from "./reasons.js";
import { reasonsOf, trustOf } from "./trust.js";
import { ml } from "./labels.js";
import { modelText } from "./server.js";
import { words } from "./words.js";

const CLASSES = { tumor_detected: "tumor", no_tumor_detected: "clear", not_assessed: "grey" };
const STATES = { waiting: "Waiting", running: "Being analysed" };
const NAMED = 5; // of the files that are left out

function sizeOf(answer) {
  const slices = answer.input.slices > 1 ? `, ${plural(answer.input.slices, "slice")}` : "";
  if (answer.tumor_volume_ml !== null && answer.tumor_volume_ml !== undefined) return `${ml(answer.tumor_volume_ml)}${slices}`;
  return `${percent(answer.tumor_pixels / answer.total_pixels, 3)} of the scan${slices}`;
}

// {kind, verdict, more} of an entry.
function say({ state, code, answer, when }) {
  if (state === "failed") return { kind: "failed", verdict: words(code).title, more: words(code).help };
  if (state !== "done") return { kind: state, verdict: STATES[state], more: "" };
  const kind = CLASSES[answer.verdict], verdict = VERDICTS[answer.verdict], trust = trustOf(answer);
  const notes = [trust.gate === "off" && "gate off", trust.uncertain && "unsure"].filter(Boolean);
  const size = kind === "grey" ? reasonsOf(answer).map((reason) => reasonWords(reason).what).join(" ") : sizeOf(answer);
  return { kind, verdict, more: [size, ...notes, `model ${modelText(answer.model)}`, timeText(when)].filter(Boolean).join(" · ") };
}

const element = (name, properties) => Object.assign(document.createElement(name), properties);

export class List {
  // `onChoose(entry)` and `onRetry([entry])` are called for a row.
  constructor({ onChoose, onRetry }) {
    Object.assign(this, { onChoose, onRetry, rows: new Map(), shown: null });
  }

  row(entry) {
    const button = element("button", { type: "button", className: "row" });
    for (const part of ["name", "verdict", "more"]) button.append(element("span", { className: `row-${part}` }));
    button.addEventListener("click", () => this.onChoose(entry));
    const again = element("button", { type: "button", className: "button row-again", textContent: "Retry" });
    again.setAttribute("aria-label", `Retry ${entry.name}`);
    again.addEventListener("click", () => this.onRetry([entry]));
    const item = document.createElement("li");
    item.append(button, again);
    $("list-rows").append(item);
    this.rows.set(entry, item);
    return item;
  }

  update(entry) {
    const item = this.rows.get(entry) ?? this.row(entry);
    const { kind, verdict, more } = say(entry);
    item.className = `scan ${kind}`;
    for (const [part, text] of [["name", entry.name], ["verdict", verdict], ["more", more]]) item.querySelector(`.row-${part}`).textContent = text;
    show(item.querySelector(".row-again"), entry.state === "failed" && !["unnamed_sequences", "empty_body", "too_large"].includes(entry.code));
    this.count();
  }

  // Marks the one whose finding is on show.
  mark(entry) {
    for (const [one, item] of this.rows) item.querySelector(".row").setAttribute("aria-current", one === entry ? "true" : "false");
  }

  count() {
    const entries = [...this.rows.keys()];
    const of = (...states) => entries.filter(({ state }) => states.includes(state)).length;
    const failed = of("failed"), open = of("waiting", "running"), done = of("done");
    const tumour = entries.filter(({ state, answer }) => state === "done" && answer.verdict === "tumor_detected").length;
    setText("list-words", `${number(done)} of ${plural(entries.length, "scan")} answered, ${number(tumour)} with tumour${failed ? `, ${number(failed)} failed` : ""}`);
    $("list-bar").value = entries.length ? (done + failed) / entries.length : 0;
    show($("list-bar"), open > 0);
    show($("list-stop"), open > 0);
    show($("list-retry"), failed > 0 && !open);
    for (const id of ["list-zip", "list-csv"]) $(id).disabled = !done;
    show($("list"), entries.length > 1 || !$("list-skipped").hidden);
  }

  // `paths` of what is no scan.
  skip(paths) {
    const named = paths.slice(0, NAMED).join(", ") + (paths.length > NAMED ? ", …" : "");
    setText("list-skipped", paths.length ? `Left out, no scan: ${plural(paths.length, "file")} (${named})` : "");
    show($("list-skipped"), paths.length > 0);
    this.count();
  }
}
