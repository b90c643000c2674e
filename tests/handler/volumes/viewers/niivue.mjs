// Where NiiVue puts what is not 0 in NIfTI files: node niivue.mjs FILE... > FOUND.json: for each file [x, y, z] in mm.
import { readFileSync } from 'node:fs';

globalThis.window ??= globalThis;
console.warn = console.log = console.info = (...words) => console.error(...words);
const { NVImage } = await import('@niivue/niivue');

const found = [];
for (const path of process.argv.slice(2)) {
  const data = readFileSync(path);
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const image = await NVImage.new(buffer, path);
  // As it is drawn: voxels turned to RAS, with the matrix for that.
  const [, columns, rows] = image.dimsRAS;
  const places = [];
  image.img2RAS().forEach((value, n) => {
    if (!value) return;
    const voxel = [n % columns, Math.floor(n / columns) % rows, Math.floor(n / columns / rows)];
    places.push(Array.from(image.vox2mm(voxel, image.matRAS)));
  });
  found.push(places);
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
