// The page: scans in, a finding out for each, the one that was chosen on show.

import { showModel } from "./about.js";
import { archive, asTable } from "./all.js";
import { setKey } from "./api.js";
import { ask } from "./ask.js";
import { $, setText, show } from "./dom.js";
import { makeRoom, newEntry, rawOf, restore, save } from "./entries.js";
import { openIntake } from "./intake.js";
import { forget, sweep } from "./keep.js";
import { List } from "./list.js";
import { connectPicture, hidePicture, preparePicture, presentPicture } from "./picture.js";
import { Queue } from "./queue.js";
import { offer } from "./save.js";
import { sortOut } from "./scans.js";
import { fieldOf, keyOf, loadVersions, lost, modelText, offerComparison, watchReady } from "./server.js";
import { Latest, cancelAll, guarded, hideError, reconnected, showError, working } from "./status.js";
import { connectVolume, drawForPaper, hideVolume, prepareVolume, presentVolume } from "./volume.js";

const SHOWN = "brainseg-shown"; // which entry is on show, over a reload

const entries = []; // of this tab, see entries.js
let shown = null; // the one on show
let awaited = false; // the first answer of several scans is to be shown by itself
let versions = new Map(); // what can be chosen, as loadVersions() has it
let last = null; // what to do again, with other settings
let saving = Promise.resolve(), cleared = false;
const opening = new Latest();
const list = new List({ onChoose: choose, onRetry: retry });
const queue = new Queue(answer, changed);

// {model, version} of the picker; empty while nothing is known.
function chosenModel() {
  const { model = "", version = "" } = versions.get($("version").value) ?? {};
  return { model, version };
}

// Asks the server for what `entry` says; it then holds the answer.
async function answer(entry, options) {
  const begin = performance.now();
  const found = await ask(entry.scan, entry, options);
  Object.assign(entry, found, { state: "done", code: null, message: "", when: Date.now(), took: performance.now() - begin });
}

const prepare = (entry, raw, options) => (entry.scan.picture ? preparePicture : prepareVolume)(entry, raw, options);

function keep(entry) {
  if (!entries.includes(entry)) entries.push(entry);
  saving = saving.then(async () => {
    const kept = !cleared && (await save(entry));
    makeRoom(entries);
    setText("kept-words", kept ? "Kept in this tab, encrypted, until it is closed." : "Gone when the page is left.");
  });
}

async function take(files) {
  hideError();
  await guarded(async () => {
    const { scans, skipped } = await sortOut(files);
    const found = scans.map((scan) => newEntry(scan, chosenModel()));
    list.skip(skipped);
    if (found.length === 1) return analyse(found[0]);
    cancelAll();
    awaited = true;
    return queue.add(found);
  });
}

// One scan, at once and on show; what was on show stays when it fails. `changes`: other settings for it.
function analyse(entry, changes = {}) {
  last = (more = {}) => analyse(entry, { ...changes, ...more });
  hideError();
  cancelAll();
  awaited = false;
  return guarded(async () => {
    const next = { ...entry, ...changes };
    const prepared = await working("Uploading the scan", async (options) => {
      await answer(next, options);
      return prepare(next, next.raw, options);
    });
    Object.assign(entry, next);
    keep(entry);
    list.update(entry);
    await present(entry, prepared, true);
  });
}

// A scan of the list has another state.
function changed(entry, problem) {
  if (!entries.includes(entry)) entries.push(entry);
  list.update(entry);
  if (problem) return lost(); // it goes on when the server is there again
  if (["done", "failed"].includes(entry.state)) keep(entry);
  if (entry.code === "unauthorized") showError(entry);
  if (entry.state === "done" && awaited) choose(entry);
}

function retry(some) {
  hideError();
  queue.add(some);
}

function choose(entry) {
  if (entry.state === "failed") {
    last = (more = {}) => retry([Object.assign(entry, more)]);
    return showError(entry);
  }
  if (entry.state !== "done") return null;
  const byHand = !awaited;
  awaited = false;
  last = (more = {}) => analyse(entry, more);
  if (byHand) hideError();
  return guarded(async () => {
    const prepared = await opening.working("Opening the result", async (options) => prepare(entry, await rawOf(entry, options), options));
    await present(entry, prepared, byHand);
  });
}

async function present(entry, prepared, byHand) {
  shown = entry;
  sessionStorage.setItem(SHOWN, entry.id);
  document.body.classList.add("has-result");
  list.mark(entry);
  nameVersions();
  const prefix = entry.scan.picture ? "" : "volume-";
  if (entry.scan.picture) {
    hideVolume();
    presentPicture(prepared);
  } else {
    hidePicture();
    await presentVolume(prepared);
  }
  if (!byHand) return;
  $(`${prefix}verdict`).focus({ preventScroll: true });
  $(`${prefix}verdict-card`).scrollIntoView({ block: "nearest" });
  $(`${prefix}verdict`).scrollIntoView({ block: "nearest" }); // the card may be taller than what is seen
}

function nameVersions() {
  const { model } = shown.answer;
  offerComparison(versions, model);
  show($("scope"), !fieldOf(model)); // said of the usual model; another's card says it above
  for (const prefix of ["", "volume-"]) showModel(prefix, modelText(model), versions.get(keyOf(model))?.card);
}

async function resume() {
  await sweep();
  const before = await restore();
  entries.unshift(...before);
  for (const entry of before) list.update(entry);
  const wanted = before.find(({ id }) => id === sessionStorage.getItem(SHOWN));
  if (wanted?.state !== "done" || shown || queue.busy) return;
  setText("kept-words", "Kept in this tab, encrypted, until it is closed.");
  awaited = true;
  await choose(wanted);
}

async function clear() {
  cleared = true;
  queue.stop();
  cancelAll();
  await saving;
  await forget();
  sessionStorage.removeItem(SHOWN);
  location.reload();
}

function connectList() {
  $("list-stop").addEventListener("click", () => queue.stop());
  $("list-retry").addEventListener("click", () => retry(entries.filter(({ state }) => state === "failed")));
  $("list-csv").addEventListener("click", () => offer(asTable(entries), "brainseg-results.csv"));
  $("list-zip").addEventListener("click", () => guarded(async () => offer(await working("Collecting the results", (options) => archive(entries, options)), "brainseg-results.zip")));
  $("clear").addEventListener("click", clear);
  addEventListener("beforeunload", (event) => queue.busy && !cleared && event.preventDefault());
}

function connect() {
  openIntake(take, showError);
  connectPicture();
  connectVolume();
  connectList();
  $("version").addEventListener("change", () => shown && analyse(shown, { ...chosenModel(), gate: "on" }));
  for (const id of ["gate-off", "volume-gate-off"]) $(id).addEventListener("click", () => analyse(shown, { gate: "off" }));
  for (const id of ["print", "volume-print"]) $(id).addEventListener("click", () => print());
  addEventListener("beforeprint", drawForPaper);
  $("error-again").addEventListener("click", () => {
    hideError();
    last?.();
  });
  $("series-form").addEventListener("submit", (event) => {
    event.preventDefault();
    last?.({ series: $("series").value });
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    setKey($("key").value.trim());
    hideError();
    const refused = entries.filter(({ code }) => code === "unauthorized");
    begin().then(() => (refused.length ? retry(refused) : last?.()));
  });
  const { style } = document.documentElement, header = document.querySelector(".top");
  new ResizeObserver(() => style.setProperty("--top", `${header.offsetHeight}px`)).observe(header);
}

async function begin() {
  await guarded(async () => {
    versions = await loadVersions();
    if (shown) nameVersions();
  });
}

connect();
watchReady(() => {
  reconnected();
  queue.go();
  return versions.size || begin();
});
begin();
resume();
