// NiiVue with our choices: a scan and its mask on one grid, three planes and the surface.

let niivue = null; // the module, three megabytes: fetched with the first volume

const TUMOUR = { R: [0, 255], G: [0, 74], B: [0, 74], A: [0, 255], I: [0, 255] };
const SAMPLES = 200_000;

// A NiiVue colour map, 0..255 over the values 0..n, with a step between each two: no value gets the mixed colour of two.
export function stepsOf(colours) {
  const most = colours.length - 1, map = { R: [], G: [], B: [], A: [], I: [] };
  for (const [value, colour] of colours.entries()) {
    const from = value ? Math.floor((255 * (value - 0.5)) / most) + 1 : 0;
    const to = value < most ? Math.floor((255 * (value + 0.5)) / most) : 255;
    for (const at of [from, to]) {
      for (const [channel, key] of ["R", "G", "B"].entries()) map[key].push(colour[channel]);
      map.A.push(value ? 255 : 0);
      map.I.push(at);
    }
  }
  return map;
}

export const VIEWS = { planes: 3, axial: 0, coronal: 1, sagittal: 2, surface: 4 };

// From the 1st to the 99.5th percentile of what is not background: NiiVue's own window looks at the middle half only.
export function windowOf(voxels) {
  const step = Math.max(1, Math.floor(voxels.length / SAMPLES));
  let lowest = Infinity;
  for (let i = 0; i < voxels.length; i += step) lowest = Math.min(lowest, voxels[i]);
  const some = [];
  for (let i = 0; i < voxels.length; i += step) if (voxels[i] > lowest) some.push(voxels[i]);
  if (!some.length) return [lowest, lowest + 1];
  some.sort((a, b) => a - b);
  const at = (share) => some[Math.min(some.length - 1, Math.floor(share * some.length))];
  const low = at(0.01), high = at(0.995);
  return high > low ? [low, high] : [low, low + 1];
}

export class Viewer {
  constructor(canvas, onPlace) {
    Object.assign(this, { canvas, onPlace, nv: null, window: [0, 1], opacity: 0.5 });
  }

  async start() {
    if (this.nv) return;
    niivue ??= await import("/static/vendor/niivue-0.69.0.js");
    this.nv = new niivue.Niivue({
      isNearestInterpolation: true, // exact edges
      backColor: [0, 0, 0, 1],
      crosshairColor: [0.35, 0.78, 0.86, 0.8],
      crosshairWidth: 0.5,
      crosshairWidthUnit: "mm",
      show3Dcrosshair: true,
      multiplanarForceRender: true,
      multiplanarLayout: 2,
      isRadiologicalConvention: true,
      dragAndDropEnabled: false,
      loadingText: "",
      logLevel: "error",
    });
    this.nv.onLocationChange = ({ mm, values }) => this.onPlace([...mm].slice(0, 3), Math.round(values?.[1]?.value ?? 0));
    await this.nv.attachToCanvas(this.canvas);
  }

  // `scan` and `mask`: the bytes of NIfTI files on one grid; `mask` is null where there is none. `colours`: of the mask's
  // values, [0] being none's.
  async open(scan, mask, colours) {
    await this.start();
    for (const old of [...this.nv.volumes].reverse()) this.nv.removeVolume(old);
    const load = (bytes, name, options) => niivue.NVImage.loadFromFile({ file: new File([bytes], name), name, ...options });
    const image = await load(scan, "scan.nii.gz", { colormap: "gray" });
    this.window = windowOf(image.img);
    [image.cal_min, image.cal_max] = this.window;
    this.nv.addVolume(image);
    this.nv.addColormap("tumour", colours.length > 2 ? stepsOf(colours) : TUMOUR);
    if (mask) this.nv.addVolume(await load(mask, "mask.nii.gz", { colormap: "tumour", opacity: this.opacity, cal_min: 0, cal_max: colours.length - 1 }));
    this.nv.updateGLVolume();
    return this.window;
  }

  setWindow(low, high) {
    const [image] = this.nv.volumes;
    [image.cal_min, image.cal_max] = [low, Math.max(high, low + 1e-6)];
    this.nv.updateGLVolume();
  }

  setOpacity(share) {
    this.opacity = share;
    if (this.nv?.volumes.length > 1) this.nv.setOpacity(1, share);
  }

  setView(name) {
    this.nv.setSliceType(VIEWS[name]);
  }

  // What is on show, without the mask onto one canvas and with it onto the other: copied before the browser forgets it.
  copyTo(plain, marked) {
    for (const [target, opacity] of [[plain, 0], [marked, this.opacity]]) {
      if (this.nv.volumes.length > 1) this.nv.setOpacity(1, opacity);
      this.nv.drawScene();
      Object.assign(target, { width: this.canvas.width, height: this.canvas.height });
      target.getContext("2d").drawImage(this.canvas, 0, 0);
    }
  }

  // Moves the crosshair to `mm`, RAS+ as the answer has it.
  goTo(mm) {
    this.nv.scene.crosshairPos = this.nv.mm2frac(mm);
    this.nv.createOnLocationChange();
    this.nv.drawScene();
  }
}
