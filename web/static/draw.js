// Pictures onto canvases, pixel by pixel from the numbers: no scaling, no smoothing, no colour management.

import { BOTH, HEAT, ONLY_FIRST, ONLY_SECOND } from "./palette.js";

// Calls `paint(out)`, out being the RGBA bytes, and shows the result on `canvas`.
function put(canvas, width, height, paint) {
  canvas.width = width;
  canvas.height = height;
  canvas.classList.toggle("coarse", width < 400);
  const image = new ImageData(width, height);
  image.data.fill(255);
  paint(image.data);
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// `grey` is what an unknown scan is drawn as.
function copyScan(out, scan, grey = 0) {
  for (let i = 0, o = 0; o < out.length; i += 3, o += 4) {
    out[o] = scan ? scan[i] : grey;
    out[o + 1] = scan ? scan[i + 1] : grey;
    out[o + 2] = scan ? scan[i + 2] : grey;
  }
}

function blend(out, at, [r, g, b], opacity) {
  out[at] = Math.floor(out[at] * (1 - opacity) + r * opacity);
  out[at + 1] = Math.floor(out[at + 1] * (1 - opacity) + g * opacity);
  out[at + 2] = Math.floor(out[at + 2] * (1 - opacity) + b * opacity);
}

// Whether pixel i of the mask touches another value, or the picture's border, by a side.
function onEdge(mask, i, width, height) {
  const x = i % width, y = (i - x) / width, own = mask[i];
  return !x || !y || x === width - 1 || y === height - 1 || [i - 1, i + 1, i - width, i + width].some((other) => mask[other] !== own);
}

export function drawScan(canvas, { width, height, scan }) {
  put(canvas, width, height, (out) => copyScan(out, scan, 40));
}

// `colours`: of the mask's values, [0] being none's.
export function drawMask(canvas, { width, height }, mask, colours) {
  put(canvas, width, height, (out) => {
    for (let i = 0; i < mask.length; i++) for (let c = 0; c < 3; c++) out[4 * i + c] = colours[mask[i]][c];
  });
}

// `colours`: as of drawMask(). `opacity` 0..1; at one half a filled overlay is the server's, pixel for pixel. A contour
// is thin, so it is drawn twice as opaque.
export function drawOverlay(canvas, { width, height, scan }, mask, colours, opacity, contour) {
  put(canvas, width, height, (out) => {
    copyScan(out, scan, 40);
    for (let i = 0; i < mask.length; i++) {
      if (mask[i] && (!contour || onEdge(mask, i, width, height))) blend(out, 4 * i, colours[mask[i]], contour ? Math.min(1, 2 * opacity) : opacity);
    }
  });
}

export function drawHeatmap(canvas, { width, height, steps }) {
  put(canvas, width, height, (out) => {
    for (let i = 0; i < steps.length; i++) {
      const from = 3 * (steps[i] >> 8);
      out[4 * i] = HEAT[from];
      out[4 * i + 1] = HEAT[from + 1];
      out[4 * i + 2] = HEAT[from + 2];
    }
  });
}

export function drawDifference(canvas, { width, height, scan }, first, second) {
  put(canvas, width, height, (out) => {
    copyScan(out, scan, 40);
    for (let i = 0; i < first.length; i++) {
      blend(out, 4 * i, [0, 0, 0], 0.55); // so that the colours stand out
      if (first[i] || second[i]) blend(out, 4 * i, first[i] && second[i] ? BOTH : first[i] ? ONLY_FIRST : ONLY_SECOND, 0.8);
    }
  });
}

// The colour scale with a line at the threshold.
export function drawScale(canvas, threshold) {
  const { width, height } = canvas;
  put(canvas, width, height, (out) => {
    for (let i = 0; i < width * height; i++) {
      const x = i % width;
      const line = Math.abs(x - threshold * (width - 1)) < 1;
      for (let c = 0; c < 3; c++) out[4 * i + c] = line ? 255 : HEAT[3 * Math.floor((256 * x) / width) + c];
    }
  });
}
