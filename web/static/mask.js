// Probability steps -> mask, by the server's own rule (handler/measure.py), so that both draw the same pixels.

export const STEPS = 65535;

function find(parent, label) {
  let root = label;
  while (parent[root] !== root) root = parent[root];
  while (parent[label] !== root) [parent[label], label] = [root, parent[label]];
  return root;
}

// Labels of 8-connected components (0: outside) and the union-find forest they belong to.
function label(mask, width, height) {
  const labels = new Int32Array(mask.length);
  const parent = [0];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (!mask[i]) continue;
      // The neighbours already seen: left, and the three above.
      const around = [x > 0 ? labels[i - 1] : 0];
      if (y > 0) around.push(labels[i - width], x > 0 ? labels[i - width - 1] : 0, x + 1 < width ? labels[i - width + 1] : 0);
      let root = 0;
      for (const other of around) {
        if (!other) continue;
        const found = find(parent, other);
        if (!root) root = found;
        else if (found !== root) parent[Math.max(found, root)] = root = Math.min(found, root);
      }
      if (!root) parent.push((root = parent.length));
      labels[i] = root;
    }
  }
  return { labels, parent };
}

function dropSmall(mask, width, height, smallest) {
  if (smallest <= 1) return mask;
  const { labels, parent } = label(mask, width, height);
  const sizes = new Int32Array(parent.length);
  for (let i = 0; i < labels.length; i++) if (labels[i]) sizes[(labels[i] = find(parent, labels[i]))]++;
  for (let i = 0; i < mask.length; i++) if (labels[i] && sizes[labels[i]] < smallest) mask[i] = 0;
  return mask;
}

// Sizes of the 8-connected regions in pixels, largest first.
export function regions(mask, width, height) {
  const { labels, parent } = label(mask, width, height);
  const sizes = new Map();
  for (const one of labels) {
    if (!one) continue;
    const root = find(parent, one);
    sizes.set(root, (sizes.get(root) ?? 0) + 1);
  }
  return [...sizes.values()].sort((a, b) => b - a);
}

// `steps`: Uint16Array (probability * 65535); returns a Uint8Array, 1 where there is tumour.
export function maskOf(steps, width, height, threshold, smallest) {
  const cut = Math.floor(threshold * STEPS);
  const mask = new Uint8Array(steps.length);
  for (let i = 0; i < steps.length; i++) mask[i] = steps[i] > cut ? 1 : 0;
  return dropSmall(mask, width, height, smallest);
}

// {pixels, highest, mean}: probabilities in 0..1; `mean` is that inside the mask, null when the mask is empty.
export function measure(steps, mask) {
  let pixels = 0, highest = 0, sum = 0;
  for (let i = 0; i < steps.length; i++) {
    if (steps[i] > highest) highest = steps[i];
    if (mask[i]) {
      pixels++;
      sum += steps[i];
    }
  }
  return { pixels, highest: highest / STEPS, mean: pixels ? sum / pixels / STEPS : null };
}

// How much two masks agree: 2 |A and B| / (|A| + |B|), 1 when both are empty.
export function dice(first, second) {
  let both = 0, sum = 0;
  for (let i = 0; i < first.length; i++) {
    both += first[i] && second[i] ? 1 : 0; // whatever the parts
    sum += (first[i] ? 1 : 0) + (second[i] ? 1 : 0);
  }
  return sum ? (2 * both) / sum : 1;
}
