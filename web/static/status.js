// What is going on, and what went wrong.

import { $, setText, show } from "./dom.js";
import { lost } from "./server.js";
import { words } from "./words.js";

const SHOW_AFTER = 150; // ms; what is over sooner needs no bar

const AGAIN = ["offline", "reconnected", "worker_lost", "queue_full", "not_ready", "rate_limited", "timeout", "out_of_memory", "internal_error", "interrupted", "cancelled"];

let told = null; // the code on show

export function hideError() {
  told = null;
  show($("error"), false);
}

// The server is there again: that it cannot be reached is not true any more.
export function reconnected() {
  if (told === "offline") showError({ code: "reconnected", message: "" });
}

// `error`: {code, message}; one without a code is the page's own fault.
export function showError({ code, message }) {
  const { title, help } = words(code);
  setText("error-title", title);
  setText("error-help", help);
  setText("error-detail", message ?? "");
  show($("key-form"), code === "unauthorized");
  show($("series-form"), code === "several_series");
  show($("error-again"), AGAIN.includes(code));
  told = code;
  if (code === "offline") lost();
  show($("error"), true);
  $("error").scrollIntoView({ block: "nearest" });
  if (code === "unauthorized") $("key").focus();
}

const active = new Set();

// What is under way has no more use: another scan came in.
export function cancelAll() {
  for (const controller of active) controller.abort();
}

// Runs `work({onUpload, signal})` under a progress bar that can cancel it, as can `controller`.
export async function working(title, work, controller = new AbortController()) {
  const bar = $("progress-bar");
  const begin = performance.now();
  let uploaded = false;
  bar.removeAttribute("value");
  setText("progress-text", title);
  const cancel = () => controller.abort();
  active.add(controller);
  const appear = setTimeout(() => {
    show($("progress"), true);
    $("progress").scrollIntoView({ block: "nearest" });
  }, SHOW_AFTER);
  const tick = setInterval(() => {
    if (uploaded) setText("progress-text", `Analysing, ${Math.round((performance.now() - begin) / 1000)} s`);
  }, 1000);
  $("cancel").addEventListener("click", cancel);
  const onUpload = (share) => {
    if (share < 1) bar.value = share;
    else {
      uploaded = true;
      bar.removeAttribute("value");
    }
  };
  try {
    return await work({ onUpload, signal: controller.signal });
  } finally {
    clearTimeout(appear);
    clearInterval(tick);
    $("cancel").removeEventListener("click", cancel);
    active.delete(controller);
    show($("progress"), active.size > 0);
  }
}

// Runs for one purpose, of which only the latest counts.
export class Latest {
  // What is under way has no more use.
  stop() {
    this.controller?.abort();
  }

  // As working(), and cancels the run before.
  working(title, work) {
    this.stop();
    this.controller = new AbortController();
    return working(title, work, this.controller);
  }
}

$("error-close").addEventListener("click", hideError);

// Shows what goes wrong in `work`; what is cancelled, or said by the server's sign already, is nothing wrong.
export async function guarded(work) {
  try {
    await work();
  } catch (error) {
    if (!["cancelled", "not_ready_yet"].includes(error.code)) showError(error);
    if (!error.code) throw error;
  }
}
