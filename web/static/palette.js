// The heatmap's colours, the server's own (handler/render.py): dark to bright, readable in grey and for the colour-blind.

const STOPS = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];

function colour(index) {
  const x = index / 255;
  const k = Math.min(Math.floor(x * 4), 3);
  return STOPS[k].map((low, c) => Math.floor(((STOPS[k + 1][c] - low) / 0.25) * (x - k / 4) + low));
}

// 256 colours, three bytes each.
export const HEAT = Uint8Array.from(Array.from({ length: 256 }, (_, i) => colour(i)).flat());

export const RED = [255, 0, 0], WHITE = [255, 255, 255];
export const BOTH = [232, 238, 242];
export const ONLY_FIRST = [255, 166, 43];
export const ONLY_SECOND = [78, 168, 255];
