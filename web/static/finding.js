// The finding in colour and in words: verdict, coverage, how sure.

import { $, chance, describe, number, percent, plural, setText } from "./dom.js";

function sureWords(total, threshold) {
  if (!total.pixels) {
    const far = total.highest < threshold / 2;
    return far ? "Nothing comes near the threshold." : "Some places come near the threshold: look at the heatmap.";
  }
  if (total.highest > 0.95) return "The core of the finding is close to certain for the model.";
  return total.highest > 0.75 ? "The model is fairly sure of the core of the finding." : "The model is unsure: look closely.";
}

// Sums over slices; null where a slice's figures are not known with these settings.
export function totalOf(figures) {
  if (figures.some((figure) => figure === null)) return null;
  const pixels = figures.reduce((sum, figure) => sum + figure.pixels, 0);
  const known = figures.every((figure) => figure.mean !== null || !figure.pixels);
  const weighted = figures.reduce((sum, figure) => sum + (figure.mean ?? 0) * figure.pixels, 0);
  return { pixels, highest: Math.max(...figures.map((figure) => figure.highest)), mean: pixels && known ? weighted / pixels : null };
}

function gauge(id, share) {
  $(id).style.width = `${100 * (share ?? 0)}%`;
}

export function showFinding({ answer, count }, total, threshold) {
  const pixels = answer.total_pixels;
  const found = total.pixels > 0;
  $("verdict-card").classList.toggle("tumor", found);
  $("verdict-card").classList.toggle("clear", !found);
  setText("verdict", found ? "Tumour detected" : "No tumour detected");
  setText("coverage", ((100 * total.pixels) / pixels).toFixed(3));
  const over = count > 1 ? ` in ${plural(count, "slice")}` : "";
  setText("pixels", `${number(total.pixels)} of ${plural(pixels, "pixel")}${over}`);
  setText("highest", chance(total.highest));
  setText("mean", total.mean === null ? "–" : chance(total.mean));
  gauge("highest-bar", total.highest);
  gauge("mean-bar", total.mean);
  setText("sure-words", sureWords(total, threshold));
  setText("model-version", answer.model.version);
  setText("model-name", `${answer.model.architecture} · ${answer.model.digest.slice(0, 14)}…`);
}

// `sizes`: of the regions in the mask, largest first.
export function showFacts({ answer, milliseconds }, figure, sizes) {
  const { width, height, format } = answer.input;
  const named = sizes.slice(0, 3).map(number).join(", ") + (sizes.length > 3 ? ", …" : "");
  describe($("facts"), [
    ["Tumour", plural(figure.pixels, "pixel")],
    ["Coverage", percent(figure.pixels / (width * height), 3)],
    ["Connected regions", sizes.length ? `${sizes.length} (${named} px)` : "none"],
    ["Highest probability", chance(figure.highest)],
    ["Scan", `${width} × ${height}, ${format.toUpperCase()}`],
    ["Answered in", `${(milliseconds / 1000).toFixed(1)} s`],
  ]);
  $("warnings").replaceChildren(
    ...answer.warnings.map(({ detail }) => Object.assign(document.createElement("li"), { textContent: detail })),
  );
}
