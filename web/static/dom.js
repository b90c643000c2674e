// Small helpers for the page.

export const $ = (id) => document.getElementById(id);

export const show = (element, visible) => element.toggleAttribute("hidden", !visible);

export function setText(id, text) {
  const element = $(id);
  if (element.textContent !== text) element.textContent = text; // equal text would be read out again
}

export const number = (value) => value.toLocaleString("en-US");
export const percent = (share, digits = 1) => `${(100 * share).toFixed(digits)} %`;
// A probability: one that is not 1 is never shown as 100 %.
export const chance = (share) => (share > 0.9995 && share < 1 ? "> 99.9 %" : percent(share));
export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

// [[term, description]] as the children of a <dl>.
export function describe(list, pairs) {
  list.replaceChildren(
    ...pairs.map(([term, text]) => {
      const row = document.createElement("div");
      row.append(Object.assign(document.createElement("dt"), { textContent: term }));
      row.append(Object.assign(document.createElement("dd"), { textContent: text }));
      return row;
    }),
  );
}

// Calls `work` at most once a frame, with the last arguments.
export function perFrame(work) {
  let waiting = null;
  return (...given) => {
    if (!waiting) requestAnimationFrame(() => {
      const last = waiting;
      waiting = null;
      work(...last);
    });
    waiting = given;
  };
}

// Calls `work` once `delay` ms have passed without another call.
export function settled(work, delay) {
  let timer;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...given), delay);
  };
}
