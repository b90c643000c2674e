"""NIfTI in: every voxel where nibabel puts it, and a refusal for what others pass over in silence."""

from __future__ import annotations

import io

import nibabel
import numpy as np
import pytest

from handler.errors import RequestError
from handler.volumes.nifti import read_nifti
from tests.volumes import ORIENTATIONS, SENTINEL, brightest, nifti, phantom, rotation


def code_of(data: bytes) -> str:
    with pytest.raises(RequestError) as refusal:
        read_nifti(data)
    assert SENTINEL not in refusal.value.detail
    return refusal.value.code


@pytest.mark.parametrize("degrees", [0, 17])
@pytest.mark.parametrize("version", [1, 2])
def test_every_orientation_lies_where_nibabel_puts_it(degrees: float, version: int) -> None:
    for turn in ORIENTATIONS:
        scan = phantom(turn=rotation(degrees) @ turn)
        data = nifti(scan, version=version)
        volume = read_nifti(data)
        kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
        theirs = kind.from_bytes(data)
        assert np.array_equal(volume.voxels, np.asarray(theirs.dataobj).T)
        found = brightest(volume.voxels)
        assert tuple(found) == scan.landmarks
        assert np.abs(volume.grid.to_mm(np.array(found, float)) - scan.landmarks_mm()).max() < 1e-3
        assert np.allclose(volume.grid.affine_ras, theirs.affine)


def test_packed_big_endian_or_of_another_type_is_the_same() -> None:
    scan = phantom()
    plain = read_nifti(nifti(scan))
    for data in (nifti(scan, packed=True), nifti(scan, big_endian=True), nifti(scan, dtype="float64", trailing=2)):
        volume = read_nifti(data)
        assert np.array_equal(volume.voxels, plain.voxels)
        assert volume.grid.same_as(plain.grid, 1e-6)
        assert volume.warnings == ()


def test_a_half_file_is_refused() -> None:
    data = nifti(phantom())
    assert code_of(data[: len(data) // 2]) == "corrupt_image"
    packed = nifti(phantom(), packed=True)
    assert code_of(packed[: len(packed) // 2]) == "corrupt_image"
    wrong = bytearray(packed)
    wrong[-6] ^= 1
    assert code_of(bytes(wrong)) == "corrupt_image"


def test_the_texts_of_a_header_are_not_kept() -> None:
    volume = read_nifti(nifti(phantom()))
    written = io.BytesIO()
    volume.source.header.write_to(written)  # type: ignore[union-attr]
    assert SENTINEL.encode() not in written.getvalue()
