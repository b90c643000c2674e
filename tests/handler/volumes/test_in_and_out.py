"""A landmark mask in and out: files as sent, through the reader, to the files that come back, in millimetres."""

from __future__ import annotations

import gzip
import io

import nibabel
import numpy as np
import pydicom
import pytest

from handler.volumes import lesions
from handler.volumes.out import nifti, seg
from handler.volumes.study import read_study
from prove.drawn.places import apart, in_mm, placed
from prove.drawn.volumes import ORIENTATIONS, dicom_enhanced, dicom_zip, phantom, rotation
from prove.drawn.volumes import nifti as nifti_of
from tests.handler.volumes import seg_rules
from tests.handler.volumes.test_out_real import real_zip
from tests.handler.volumes.test_out_seg import ALGORITHM

SENT = {"NIfTI": nifti_of, "classic DICOM": dicom_zip, "Enhanced DICOM": dicom_enhanced}


@pytest.mark.parametrize("degrees", [0.0, 17.0])
@pytest.mark.parametrize(
    "kind", ["NIfTI", *(pytest.param(kind, marks=pytest.mark.slow) for kind in SENT if kind != "NIfTI")]
)
def test_the_right_voxel_in_every_orientation(kind: str, degrees: float) -> None:
    farthest, right = 0.0, 0
    for turn in ORIENTATIONS:
        scan = phantom((16, 13, 6), turn=rotation(degrees) @ turn)
        volume = read_study({"file": SENT[kind](scan)}).flair
        mask = volume.voxels >= 1000
        expected = scan.landmarks_mm()
        written = nibabel.Nifti1Image.from_bytes(gzip.decompress(nifti.encode(volume, mask, ALGORITHM)))
        found = [in_mm(np.asarray(written.dataobj).T > 0, written.affine)]
        found.append(np.array([lesion.centroid_mm for lesion in lesions.measure(mask, volume.grid).found]))
        if kind != "NIfTI":
            found.append(placed(pydicom.dcmread(io.BytesIO(seg.encode(volume, mask, ALGORITHM)))))
        far = max(apart(points, expected) for points in found)
        farthest, right = max(farthest, far), right + (far <= min(volume.grid.spacing_mm) / 2)
    print(f"{kind}, tilted by {degrees:g}: {right} of {len(ORIENTATIONS)} right, farthest {farthest:.5f} mm")
    assert right == len(ORIENTATIONS)
    assert farthest < 0.01


def test_a_real_enhanced_series_of_four_points_in_time() -> None:
    """Each point is a volume over frames of its own; the mask names those and no other."""
    named = set()
    for number in (1, 2, 3, 4):
        volume = read_study({"file": real_zip("siemens-xa10-enhanced")}, series=number).flair
        mask = np.zeros(volume.grid.shape, bool)
        mask[1, 10:20, 10:30] = True
        dataset = pydicom.dcmread(io.BytesIO(seg.encode(volume, mask, ALGORITHM)))
        assert seg_rules.broken(dataset, volume.source.datasets, volume.grid.size[2]) == []  # type: ignore[union-attr]
        assert apart(placed(dataset), in_mm(mask, volume.grid.affine_ras)) < 0.01
        for group in dataset.PerFrameFunctionalGroupsSequence:
            source = group.DerivationImageSequence[0].SourceImageSequence[0]
            named.add((number, source.ReferencedSOPInstanceUID, source.ReferencedFrameNumber))
    print(f"4 masks name {len(named)} frames, {len({each[1:] for each in named})} of them different")
    assert len(named) == len({each[1:] for each in named}) == 24
