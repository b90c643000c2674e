// The sliders. `threshold` (0..1), `lesion` (pixels), `opacity` (0..1) and `contour` are what is to be drawn.

import { $, plural, setText } from "./dom.js";

// `onChange(changed)` is called with those that were moved.
export function openSettings(onChange) {
  const settings = { threshold: 0.5, lesion: 0, opacity: 0.5, contour: false, model: 0.5 };

  function words() {
    const own = settings.threshold === settings.model;
    setText("threshold-value", `${Number(settings.threshold.toFixed(4))}${own ? " (model’s)" : ""}`);
    setText("lesion-value", settings.lesion > 1 ? plural(settings.lesion, "pixel") : "any");
    setText("opacity-value", `${Math.round(100 * settings.opacity)} %`);
    $("threshold-reset").disabled = own;
  }

  function change(values) {
    Object.assign(settings, values);
    words();
    onChange(values);
  }

  // A new scan: the model's own threshold, which may lie between two steps of the slider, and smallest lesion.
  settings.open = (threshold, lesion) => {
    Object.assign(settings, { threshold, lesion, model: threshold });
    $("threshold").value = threshold;
    $("lesion").max = Math.max(500, 2 * lesion);
    $("lesion").value = lesion;
    words();
  };

  $("threshold").addEventListener("input", (event) => change({ threshold: Number(event.target.value) }));
  $("threshold-reset").addEventListener("click", () => {
    $("threshold").value = settings.model;
    change({ threshold: settings.model });
    $("threshold").focus();
  });
  $("lesion").addEventListener("input", (event) => change({ lesion: Number(event.target.value) }));
  $("opacity").addEventListener("input", (event) => change({ opacity: Number(event.target.value) / 100 }));
  for (const choice of document.querySelectorAll('input[name="style"]')) {
    choice.addEventListener("change", () => change({ contour: choice.value === "contour" }));
  }
  words();
  return settings;
}
