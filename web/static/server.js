// What the page shows of the server: ready or not, and which model versions there are.

import { getJson } from "./api.js";
import { $, setText } from "./dom.js";

const POLL_READY = 20_000, POLL_DOWN = 3_000;

let onReady = () => {};
let ready = false, timer;

function sign(report) {
  ready = report?.status === "ready";
  $("ready").classList.toggle("ready", ready);
  $("ready").classList.toggle("down", !ready);
  setText("ready-text", ready ? "Ready" : report ? "Getting ready" : "Not reachable");
  $("ready").title = report?.reasons.join("; ") ?? "";
}

async function poll() {
  clearTimeout(timer);
  const report = await getJson("/api/v1/status").catch(() => null);
  const before = ready; // lost() may have been called meanwhile
  sign(report);
  if (ready && !before) onReady();
  timer = setTimeout(poll, ready ? POLL_READY : POLL_DOWN);
}

// `then` is called whenever the server has become ready.
export function watchReady(then) {
  onReady = then;
  poll();
}

// A request could not reach the server: it is not called ready until it says so again.
export function lost() {
  sign(null);
  clearTimeout(timer);
  timer = setTimeout(poll, POLL_DOWN);
}

const option = (value, text) => Object.assign(document.createElement("option"), { value, textContent: text });

let usual = "brainseg"; // the model that answers where none is named

// By which loadVersions() knows the model of an answer: of the usual one its version alone.
export const keyOf = ({ name, version }) => (name === usual ? version : `${name}/${version}`);

// The name of a model as the contract's field `model` has it; empty for the usual one.
export const fieldOf = ({ name }) => (name === usual ? "" : name);

// In words: "2.1", "brainseg-regions 0.1".
export const modelText = ({ name, version }) => (name === usual ? version : `${name} ${version}`);

// How many parts a model tells apart, for the head of its group.
function groupText({ name, versions }) {
  const labels = versions.find(({ card }) => card?.activation)?.card.labels;
  return labels ? `${name}: ${labels.length} parts of a tumour` : `${name}: tumour or none`;
}

function optionsOf(model, several) {
  return model.versions.map(({ version }) => {
    const named = several ? `${model.name} ${version}` : version;
    const marked = model.name === usual && version === model.default; // what answers where nothing is chosen
    return option(keyOf({ name: model.name, version }), marked ? `${named} (default)` : named);
  });
}

function groupOf(model) {
  const group = Object.assign(document.createElement("optgroup"), { label: groupText(model) });
  group.append(...optionsOf(model, true));
  return group;
}

// Fills the picker; keyOf() -> {model, version, card} of all versions of all models. Raises ApiError.
export async function loadVersions() {
  const found = await getJson("/api/v1/models").catch((error) => {
    if (error.code === "not_ready") error.code = "not_ready_yet"; // the pill says so already
    throw error;
  });
  usual = found.name;
  const models = [found, ...(found.beside ?? [])];
  const known = new Map(models.flatMap(({ name, versions }) =>
    versions.map(({ version, card }) => [keyOf({ name, version }), { model: fieldOf({ name }), version, card }])));
  const picker = $("version");
  const before = picker.value;
  picker.replaceChildren(...(models.length > 1 ? models.map(groupOf) : optionsOf(found, false)));
  picker.value = known.has(before) ? before : keyOf({ name: usual, version: found.default });
  picker.disabled = known.size < 2;
  return known;
}

// The versions that `shown`, a model of an answer, can be compared with: of the same model.
export function offerComparison(known, shown) {
  const others = [...known.values()].filter(({ model, version }) => model === fieldOf(shown) && version !== shown.version).map(({ version }) => version);
  $("compare").replaceChildren(option("", "nothing"), ...others.map((version) => option(version, `version ${version}`)));
  $("compare-box").toggleAttribute("hidden", !others.length);
}
