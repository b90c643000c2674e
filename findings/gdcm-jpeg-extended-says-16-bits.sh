#!/usr/bin/env bash
# python-gdcm 3.2.6 changes 12 bits stored in 16 to JPEG Extended (process 2 and 4) with 16 as the precision in the frame header,
# where lossy JPEG knows 8 and 12. gdcm reads its own file back, so a round trip through it shows nothing; pylibjpeg-libjpeg 2.5.0
# refuses it. Send JPEG Lossless, JPEG-LS or JPEG 2000 instead.
# Seen: precision 16; gdcm: difference 0; pylibjpeg-libjpeg: RuntimeError
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check python-gdcm==3.2.6 pydicom==3.0.2 pylibjpeg-libjpeg==2.5.0 numpy==2.4.6
cd "$folder"
venv/bin/python - <<"PY"
import gdcm
import libjpeg
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset

made = Dataset()
made.file_meta = FileMetaDataset()
made.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
made.file_meta.MediaStorageSOPClassUID = made.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
made.file_meta.MediaStorageSOPInstanceUID = made.SOPInstanceUID = "2.25.1"
made.StudyInstanceUID, made.SeriesInstanceUID, made.Modality = "2.25.2", "2.25.3", "MR"
made.Rows = made.Columns = 16
made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
voxels = np.arange(256, dtype=np.uint16).reshape(16, 16) * 8
made.PixelData = voxels.tobytes()
made.save_as("plain.dcm", enforce_file_format=True)

reader = gdcm.ImageReader()
reader.SetFileName("plain.dcm")
assert reader.Read()
change = gdcm.ImageChangeTransferSyntax()
change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGExtendedProcess2_4))
change.SetInput(reader.GetImage())
assert change.Change()
writer = gdcm.ImageWriter()
writer.SetFileName("extended.dcm")
writer.SetFile(reader.GetFile())
writer.SetImage(change.GetOutput())
assert writer.Write()

again = gdcm.ImageReader()
again.SetFileName("extended.dcm")
assert again.Read()
back = np.frombuffer(again.GetImage().GetBuffer().encode("utf-8", "surrogateescape"), np.uint16).reshape(16, 16)
difference = int(np.abs(back.astype(int) - voxels).max())
changed = pydicom.dcmread("extended.dcm")
assert changed.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.51" and changed.BitsStored == 12
frame = next(pydicom.encaps.generate_frames(changed.PixelData, number_of_frames=1))
precision = frame[frame.index(b"\xff\xc1") + 4]
assert (precision, difference) == (16, 0), f"changed: precision {precision}, difference {difference}"
try:
    libjpeg.decode(frame)
except RuntimeError as error:
    assert "precision" in str(error), error
else:
    raise SystemExit("changed: libjpeg takes it")
print(f"precision {precision}; gdcm: difference {difference}; pylibjpeg-libjpeg: RuntimeError")
PY
