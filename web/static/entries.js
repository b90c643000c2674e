// The scans of this tab, each with its name and what was said of it. They are kept over a reload (keep.js).

import { ask, partsOf } from "./ask.js";
import { get, names, put, remove } from "./keep.js";

const UNKEPT_BYTES = 256 * 2 ** 20; // of answers in memory, where they cannot be kept

let made = 0;

// `model`, `version`: which to ask, both may be empty. `state`: waiting, running, done or failed; `code`, `message`: why it failed; `when`, `took`: when it was answered and
// after how long, in ms; `answer`: the contract's without pictures; `raw`: as it came, a Blob, null once it is kept.
export function newEntry(scan, { model, version }) {
  const id = `${Date.now()}-${String(made++).padStart(5, "0")}`;
  const settings = { model, version, series: "", gate: "on" };
  return { id, name: scan.name, scan, state: "waiting", code: null, message: "", ...settings, when: null, took: 0, answer: null, raw: null };
}

// -> whether the entry survives a reload.
export async function save(entry) {
  const { scan, raw, ...facts } = entry;
  if (scan.files && !scan.parts) return false; // it was never sent
  if (!entry.filed) {
    for (const [field, file] of partsOf(scan)) if (!(await put(`file/${entry.id}/${field}`, file))) return false;
    entry.filed = facts.filed = true;
  }
  if (raw && !(await put(`raw/${entry.id}`, raw))) return false;
  if (raw && entry.raw === raw) entry.raw = null;
  const fields = partsOf(scan).map(([field]) => field), local = partsOf(scan).find(([, file]) => file === scan.local)?.[0] ?? null;
  return put(`entry/${entry.id}`, new Blob([JSON.stringify({ ...facts, fields, local })]));
}

export async function drop(entry) {
  for (const start of ["entry/", "raw/", "file/"]) await remove(start + entry.id);
}

// Answers that cannot be kept: the oldest give way, and are asked for again when they are wanted.
export function makeRoom(entries) {
  let bytes = 0;
  for (const entry of [...entries].reverse()) {
    bytes += entry.raw?.size ?? 0;
    if (bytes > UNKEPT_BYTES) entry.raw = null;
  }
}

// The answer as it came; where it is not here any more, it is asked for again.
export async function rawOf(entry, options) {
  const found = entry.raw ?? (await get(`raw/${entry.id}`));
  if (found) return found;
  const { raw } = await ask(entry.scan, { ...entry, version: entry.answer.model.version }, options);
  return (entry.raw = raw);
}

async function scanOf({ id, name, fields, local }) {
  const parts = [];
  for (const field of fields) {
    const found = await get(`file/${id}/${field}`);
    if (!found) return null;
    parts.push([field, new File([found], name)]);
  }
  if (fields[0] === "picture") return { name, picture: parts[0][1] };
  return { name, parts, local: parts.find(([field]) => field === local)?.[1] ?? null };
}

// What the tab had before the reload, oldest first. What was under way then was not answered.
export async function restore() {
  const entries = [];
  for (const name of (await names("entry/")).sort()) {
    const found = await get(name);
    const facts = found && JSON.parse(await found.text());
    const scan = facts && (await scanOf(facts));
    if (!scan) continue;
    const left = ["waiting", "running"].includes(facts.state) ? { state: "failed", code: "interrupted" } : {};
    entries.push({ ...facts, ...left, scan, raw: null });
  }
  return entries;
}
