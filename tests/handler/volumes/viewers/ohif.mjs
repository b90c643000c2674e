// Where OHIF's adapter puts SEGs: node ohif.mjs CASES.json > FOUND.json
// CASES.json: a list of {seg, series, rows, columns, iop, spacing, images: [{uid, frame, ipp}]}, images in the order of
// the slices. FOUND.json: for each case and image the [row, column] of its labelled pixels.
import { readFileSync } from 'node:fs';
import { cache, metaData } from '@cornerstonejs/core';
import { createLabelmapsFromDICOMBuffer } from '@cornerstonejs/adapters/cornerstone3D/Segmentation/labelmapImagesFromBuffer';

console.warn = console.log = console.info = (...words) => console.error(...words);
const known = new Map();
const custom = new Map();
const provider = {
  get(type, id) {
    const found = known.get(id);
    if (!found) return custom.get(id);
    const { image, source: { series, rows, columns, iop, spacing } } = found;
    return {
      generalImageModule: { sopInstanceUID: image.uid },
      generalSeriesModule: { seriesInstanceUID: series, modality: 'MR' },
      imagePlaneModule: {
        imagePositionPatient: image.ipp, imageOrientationPatient: iop, rows, columns, pixelSpacing: spacing,
        rowCosines: iop.slice(0, 3), columnCosines: iop.slice(3),
        rowPixelSpacing: spacing[0], columnPixelSpacing: spacing[1], frameOfReferenceUID: '1.2',
      },
      imagePixelModule: {
        bitsAllocated: 16, bitsStored: 16, highBit: 15, samplesPerPixel: 1, pixelRepresentation: 0,
        photometricInterpretation: 'MONOCHROME2', rows, columns,
      },
      instance: {
        SOPInstanceUID: image.uid, SeriesInstanceUID: series, Rows: rows, Columns: columns,
        ImagePositionPatient: image.ipp, ImageOrientationPatient: iop, PixelSpacing: spacing,
      },
    }[type];
  },
  addCustomMetadata: (id, type, value) => custom.set(id, value),
};
metaData.addProvider((type, id) => provider.get(type, id), 10000);

async function look(source, number) {
  const name = (image) => `wadors:http://pacs/${number}/instances/${image.uid}/frames/${image.frame ?? 1}`;
  const ids = source.images.map(name);
  ids.forEach((id, n) => known.set(id, { image: source.images[n], source }));
  const data = readFileSync(source.seg);
  const buffer = data.buffer.slice(data.byteOffset, data.byteOffset + data.byteLength);
  const options = { segImageId: `seg:${number}` };
  const { labelMapImages } = await createLabelmapsFromDICOMBuffer(ids, buffer, provider, options);
  const found = labelMapImages.flat().map((image) => {
    const places = [];
    image.getPixelData().forEach((value, n) => {
      if (value) places.push([Math.floor(n / source.columns), n % source.columns]);
    });
    return places;
  });
  cache.purgeCache();
  return found;
}

const found = [];
for (const [number, source] of JSON.parse(readFileSync(process.argv[2], 'utf8')).entries()) {
  found.push(await look(source, number));
}
process.stdout.write(JSON.stringify(found), () => process.exit(0));
