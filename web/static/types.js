// Which type of tumour the slice on show has, for whoever asks.

import { classify } from "./api.js";
import { $, percent, setText } from "./dom.js";
import { working } from "./status.js";

const ABSENT = "This server has no model that names types.";

function told({ label, probabilities, model }) {
  const all = Object.entries(probabilities).sort(([, one], [, other]) => other - one);
  const chances = all.map(([name, share]) => `${name} ${percent(share)}`).join(", ");
  return `Most likely ${label}: ${chances}. Model ${model.version} names one of these whatever it sees, a head without a tumour too.`;
}

export const forgetType = () => setText("types-words", "");

// `state()` gives {file, index} of what is on show. An answer that comes when another slice is on show is left out.
export async function askType(state) {
  const { file, index } = state();
  let words;
  try {
    words = told(await working("Naming the type", (options) => classify(file, index, options)));
  } catch (error) {
    if (error.code !== "model_not_found") throw error;
    words = ABSENT;
  }
  const now = state();
  if (now.file === file && now.index === index) setText("types-words", words);
}
