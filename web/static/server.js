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

// Fills the picker; version -> model card. Raises ApiError.
export async function loadVersions() {
  const { versions, default: chosen } = await getJson("/api/v1/models").catch((error) => {
    if (error.code === "not_ready") error.code = "not_ready_yet"; // the pill says so already
    throw error;
  });
  const picker = $("version");
  const before = picker.value;
  picker.replaceChildren(...versions.map(({ version }) => option(version, version === chosen ? `${version} (default)` : version)));
  picker.value = versions.some(({ version }) => version === before) ? before : chosen;
  picker.disabled = versions.length < 2;
  return new Map(versions.map(({ version, card }) => [version, card]));
}

// The versions `shown` can be compared with.
export function offerComparison(versions, shown) {
  const others = versions.filter((version) => version !== shown);
  $("compare").replaceChildren(option("", "nothing"), ...others.map((version) => option(version, `version ${version}`)));
  $("compare-box").toggleAttribute("hidden", !others.length);
}
