"""Real series with lesions drawn into their pixels: bytes in, reader, masks out, against dcm2niix's NIfTI of the same
files."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import dcm2niix
import nibabel
import numpy as np
import pydicom
import pytest
from scipy import ndimage

from handler.volumes import lesions
from handler.volumes.out import nifti, seg
from handler.volumes.study import read_study
from handler.volumes.volume import DicomSource
from prove.drawn.places import apart, in_mm, placed
from prove.drawn.volumes import zipped
from tests.handler.volumes import seg_rules
from tests.handler.volumes.test_out_seg import ALGORITHM

pytestmark = pytest.mark.slow

SCANS = Path(__file__).parents[3] / ".." / "shared" / "scans"
TOOLS = Path(sys.executable).parent
# Slices (by position), rows, columns: of several slices, flat, and one voxel in a corner.
LESIONS = [np.s_[20:25, 40:60, 80:95], np.s_[61:62, 150:160, 30:33], np.s_[100:101, 5:6, 7:8]]


def real_zip(name: str) -> bytes:
    path = SCANS / f"{name}.zip"
    if not path.exists():
        pytest.skip("../shared/scans is not here: real series are no part of the repository")
    return path.read_bytes()


def drawn(name: str) -> list[tuple[str, bytes]]:
    """The series with lesions as bright as its pixels allow, and everything else at most half of that."""
    with zipfile.ZipFile(io.BytesIO(real_zip(name))) as archive:
        found = [(n, pydicom.dcmread(io.BytesIO(archive.read(n)))) for n in archive.namelist() if n.endswith(".dcm")]
    cosines = np.array(found[0][1].ImageOrientationPatient, float)
    normal = np.cross(cosines[:3], cosines[3:])
    found.sort(key=lambda each: float(normal @ np.array(each[1].ImagePositionPatient, float)))
    pixels = np.stack([dataset.pixel_array for _, dataset in found])
    bright = 2 ** (found[0][1].BitsStored - found[0][1].PixelRepresentation) - 1
    pixels = np.minimum(pixels, bright // 2)
    for place in LESIONS:
        pixels[place] = bright
    files = []
    for (file_name, dataset), frame in zip(found, pixels, strict=True):
        dataset.PixelData = frame.tobytes()
        file = io.BytesIO()
        dataset.save_as(file)
        files.append((file_name, file.getvalue()))
    return files


@pytest.mark.parametrize("name", ["ge-axial-t1", "philips-sagittal-t1"])
def test_every_lesion_lies_where_dcm2niix_has_it(name: str, tmp_path: Path) -> None:
    files = drawn(name)
    volume = read_study({"file": zipped(files)}).flair
    mask = volume.voxels > 0.75 * volume.voxels.max()
    found = lesions.measure(mask, volume.grid)
    ours = np.array([lesion.centroid_mm for lesion in found.found])

    source, out = tmp_path / "dicom", tmp_path / "nifti"
    source.mkdir()
    out.mkdir()
    for number, (_, data) in enumerate(files):
        (source / f"{number}.dcm").write_bytes(data)
    command = [dcm2niix.bin, "-z", "n", "-b", "n", "-p", "n", "-o", out, source]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    (path,) = out.glob("*.nii")
    image = nibabel.load(path)
    voxels = np.asarray(image.dataobj)
    marked = voxels > 0.75 * voxels.max()
    labels, count = ndimage.label(marked, np.ones((3, 3, 3)))
    indices = np.array(ndimage.center_of_mass(marked, labels, range(1, count + 1)))
    theirs = indices @ image.affine[:3, :3].T + image.affine[:3, 3]
    half = min(volume.grid.spacing_mm) / 2

    written = nibabel.Nifti1Image.from_bytes(gzip.decompress(nifti.encode(volume, mask, ALGORITHM)))
    as_nifti = in_mm(np.asarray(written.dataobj).T > 0, written.affine)
    data = seg.encode(volume, mask, ALGORITHM)
    dataset = pydicom.dcmread(io.BytesIO(data))
    as_seg = placed(dataset)
    marked_mm = in_mm(marked.T, image.affine)
    far = {
        "centroids": apart(ours, theirs),
        "voxels of the NIfTI": apart(as_nifti, marked_mm),
        "voxels of the SEG": apart(as_seg, marked_mm),
    }
    print(
        f"{name}: {count} lesions, mm apart { ({k: round(v, 5) for k, v in far.items()}) }, half a voxel is {half:.3f}"
    )
    assert count == len(found.found) == len(LESIONS)
    assert max(far.values()) <= half
    assert isinstance(volume.source, DicomSource)
    assert seg_rules.broken(dataset, volume.source.datasets, volume.grid.size[2]) == []
    (tmp_path / "seg.dcm").write_bytes(data)
    ran = subprocess.run([TOOLS / "dciodvfy", tmp_path / "seg.dcm"], capture_output=True, text=True, check=False)
    assert "Error" not in ran.stderr + ran.stdout
