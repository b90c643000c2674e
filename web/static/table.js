// The verdicts of a list as a table (CSV) for a spreadsheet.

import { trustOf, reasonsOf } from "./trust.js";

const NOTICE = "Research use only. Not a medical device.";

// A cell that begins like a formula would be run by the spreadsheet: a name from a file must not be.
export function cell(value) {
  const text = value === null || value === undefined ? "" : String(value);
  const safe = typeof value === "number" || !/^[\s]*[=+\-@\t\r\n＝＋－＠]/.test(text) ? text : `'${text}`;
  return /[",;\r\n']/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

const COLUMNS = {
  name: ({ name }) => name,
  outcome: ({ state, code }) => (state === "done" ? "ok" : (code ?? state)),
  verdict: ({ answer }) => answer?.verdict,
  tumor_pixels: ({ answer }) => answer?.tumor_pixels,
  total_pixels: ({ answer }) => answer?.total_pixels,
  tumor_coverage_percent: ({ answer }) => answer?.tumor_coverage_percent,
  max_probability: ({ answer }) => answer?.max_probability,
  tumor_volume_ml: ({ answer }) => answer?.tumor_volume_ml,
  lesions: ({ answer }) => answer?.lesions?.length,
  slices: ({ answer }) => answer?.input.slices,
  threshold: ({ answer }) => answer?.threshold,
  min_lesion_pixels: ({ answer }) => answer?.min_lesion_pixels,
  accepted: ({ trust }) => trust?.accepted,
  reasons: ({ answer, trust }) => trust && reasonsOf(answer).join(" "),
  gate: ({ trust }) => trust?.gate,
  uncertain: ({ trust }) => trust?.uncertain,
  expected_dice: ({ trust }) => trust?.expected_dice,
  model_name: ({ answer }) => answer?.model.name,
  model_version: ({ answer }) => answer?.model.version,
  model_digest: ({ answer }) => answer?.model.digest,
  sha256: ({ answer }) => answer?.input.sha256,
  answered: ({ when }) => when && new Date(when).toISOString(),
  notice: () => NOTICE,
};

// Further columns, of the parts that any of `answers` tells apart: name -> column, as COLUMNS has them.
function partColumns(answers) {
  const columns = {};
  for (const [kind, list] of [["label", "labels"], ["region", "regions"]]) {
    for (const name of new Set(answers.flatMap((answer) => answer[list] ?? []).map((part) => part.name))) {
      const part = ({ answer }) => answer?.[list]?.find((one) => one.name === name);
      columns[`${kind} ${name} pixels`] = (known) => part(known)?.pixels;
      columns[`${kind} ${name} ml`] = (known) => part(known)?.volume_ml;
    }
  }
  return columns;
}

// A row an entry; those without an answer say why.
export function table(entries) {
  const known = entries.map((entry) => {
    const answer = entry.state === "done" ? entry.answer : null;
    return { ...entry, answer, trust: answer && trustOf(answer) };
  });
  const columns = { ...COLUMNS, ...partColumns(known.flatMap(({ answer }) => answer ?? [])) };
  const rows = known.map((one) => Object.values(columns).map((column) => cell(column(one))).join(","));
  return `${[Object.keys(columns).map(cell).join(","), ...rows].join("\r\n")}\r\n`;
}
