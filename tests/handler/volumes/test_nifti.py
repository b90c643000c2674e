"""NIfTI in: every voxel where nibabel puts it, and a refusal for what others pass over in silence."""

from __future__ import annotations

import io

import nibabel
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import RequestError
from handler.volumes.nifti import read_nifti
from handler.volumes.volume import NiftiSource
from prove.drawn.volumes import ORIENTATIONS, SENTINEL, Phantom, brightest, nifti, phantom, rotation


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


def warned(data: bytes) -> set[str]:
    return {warning.code for warning in read_nifti(data).warnings}


SCAN = phantom()
TURNED = phantom(turn=rotation(20)).affine
MIRRORED = np.diag([-1.0, 1, 1, 1]) @ SCAN.affine


@pytest.mark.parametrize("unit", [1, 2, 3])
def test_every_unit_comes_to_millimetres_and_the_header_stays(unit: int) -> None:
    data = nifti(SCAN, unit=unit)
    volume = read_nifti(data)
    assert np.abs(volume.grid.affine_ras - SCAN.affine).max() < 1e-3
    assert isinstance(volume.source, NiftiSource)
    header = volume.source.header
    theirs = nibabel.Nifti1Image.from_bytes(data).header
    assert header["xyzt_units"] == unit
    for name in ("pixdim", "qform_code", "sform_code", "quatern_b", "qoffset_x", "srow_x", "srow_y", "srow_z"):
        assert np.array_equal(header[name], theirs[name])


@pytest.mark.parametrize(
    ("slope", "intercept", "expected"), [(0, 7, (1, 0)), (2, 7, (2, 7)), (-1, 0, (-1, 0)), (0, np.nan, (1, 0))]
)
def test_a_slope_of_zero_is_no_scaling(slope: float, intercept: float, expected: tuple[float, float]) -> None:
    volume = read_nifti(nifti(SCAN, slope=slope, intercept=intercept))
    assert np.allclose(volume.voxels, SCAN.voxels * expected[0] + expected[1])


@pytest.mark.parametrize(("slope", "intercept"), [(np.nan, 0), (np.inf, 0), (2, np.nan), (2, -np.inf), (3e38, 0)])
def test_a_scaling_that_is_none(slope: float, intercept: float) -> None:
    assert code_of(nifti(SCAN, slope=slope, intercept=intercept)) == "corrupt_image"


def test_which_transform_counts() -> None:
    for code in (1, 2):
        volume = read_nifti(nifti(SCAN, sform=(TURNED, code), qform=(SCAN.affine, 1)))
        assert np.allclose(volume.grid.affine_ras, TURNED, atol=1e-3)
        assert volume.grid.source == "sform"
        assert [w.code for w in volume.warnings] == ["transforms_differ"]
    volume = read_nifti(nifti(SCAN, sform=(TURNED, 0), qform=(SCAN.affine, 1)))
    assert np.allclose(volume.grid.affine_ras, SCAN.affine, atol=1e-3)
    assert (volume.grid.source, volume.warnings) == ("qform", ())
    mirrored = read_nifti(nifti(SCAN, sform=(MIRRORED, 1), qform=(SCAN.affine, 1)))
    assert [w.code for w in mirrored.warnings] == ["transforms_differ"]


def test_no_orientation_at_all_is_told() -> None:
    data = nifti(SCAN, sform=(SCAN.affine, 0), qform=(SCAN.affine, 0))
    volume = read_nifti(data)
    assert volume.grid.source == "pixdim"
    assert np.allclose(volume.grid.affine_ras, nibabel.Nifti1Image.from_bytes(data).affine)
    assert warned(data) == {"no_orientation"}


def test_shear() -> None:
    def sheared(amount: float) -> bytes:
        affine = SCAN.affine.copy()
        affine[0, 2] += amount * 5
        return nifti(SCAN, sform=(affine, 1), qform=(SCAN.affine, 0))

    assert warned(sheared(0.0005)) == set()
    assert warned(sheared(0.02)) == {"sheared"}
    assert code_of(sheared(0.5)) == "unsupported_shape"


@pytest.mark.parametrize("kind", [np.nan, np.inf, -np.inf])
def test_voxels_that_are_no_number_become_the_lowest(kind: float) -> None:
    data = bytearray(nifti(SCAN, dtype="float32"))
    data[352:356] = np.float32(kind).tobytes()
    volume = read_nifti(bytes(data))
    assert volume.voxels[0, 0, 0] == np.delete(SCAN.voxels.ravel(), 0).min()
    assert [w.code for w in volume.warnings] == ["not_finite_voxels"]


@pytest.mark.parametrize("value", [np.nan, 2e30])
def test_no_voxel_that_is_a_scanners_number(value: float) -> None:
    data = nifti(SCAN, dtype="float32")
    assert code_of(data[:352] + np.full(SCAN.voxels.size, value, np.float32).tobytes()) == "corrupt_image"


BROKEN: list[tuple[dict[str, object], str]] = [
    ({"dim": [4, 20, 24, 2, 4, 1, 1, 1]}, "unsupported_shape"),
    ({"dim": [3, 20, 24, 0, 1, 1, 1, 1]}, "corrupt_image"),
    ({"dim": [3, -20, 24, 8, 1, 1, 1, 1]}, "corrupt_image"),
    ({"dim": [3, 20, 24, 9, 1, 1, 1, 1]}, "corrupt_image"),
    ({"dim": [3, 4097, 24, 8, 1, 1, 1, 1]}, "too_large"),
    ({"dim": [3, 4000, 4000, 4000, 1, 1, 1, 1]}, "too_large"),
    ({"datatype": 128, "bitpix": 24}, "unsupported_shape"),
    ({"datatype": 2304, "bitpix": 32}, "unsupported_shape"),
    ({"datatype": 32, "bitpix": 64}, "unsupported_shape"),
    ({"datatype": 1536, "bitpix": 128}, "unsupported_shape"),
    ({"datatype": 0}, "unsupported_shape"),
    ({"bitpix": 8}, "corrupt_image"),
    ({"vox_offset": 0}, "corrupt_image"),
    ({"vox_offset": 352.5}, "corrupt_image"),
    ({"vox_offset": np.nan}, "corrupt_image"),
    ({"vox_offset": 1e9}, "too_large"),
    ({"vox_offset": 1e5}, "corrupt_image"),
    ({"srow_x": [np.nan, 0, 0, 0]}, "corrupt_image"),
    ({"srow_x": [0, 0, 0, 0]}, "unsupported_shape"),
    ({"srow_x": [0, 1.1, 0, 0], "srow_y": [0, 1.1, 0, 0]}, "unsupported_shape"),
    ({"srow_x": [1e20, 0, 0, 0]}, "unsupported_shape"),
    ({"quatern_b": np.inf}, "corrupt_image"),
    ({"quatern_b": 9.0, "quatern_c": 9.0}, "corrupt_image"),
    ({"sform_code": 0, "pixdim": [1, -1, 1, 1, 1, 1, 1, 1]}, "corrupt_image"),
    ({"sform_code": 0, "qform_code": 0, "pixdim": [1, np.nan, 1, 1, 1, 1, 1, 1]}, "corrupt_image"),
    ({"xyzt_units": 1}, "unsupported_shape"),
    ({"magic": b"ni1"}, "unsupported_format"),
    ({"magic": b""}, "unsupported_format"),
]


@pytest.mark.parametrize(("fields", "code"), BROKEN)
def test_headers_that_lie(fields: dict[str, object], code: str) -> None:
    assert code_of(nifti(SCAN, fields=fields)) == code


@pytest.mark.parametrize("size", [348, 351, 352, 400])
def test_a_file_that_ends_in_or_behind_its_header(size: int) -> None:
    assert code_of(nifti(SCAN)[:size]) == "corrupt_image"


@given(st.data())
def test_any_grid_is_what_nibabel_says(data: st.DataObject) -> None:
    numbers = st.floats(-300, 300, width=32)
    affine = np.eye(4)
    turn = rotation(data.draw(st.floats(-180, 180)), data.draw(st.tuples(*[st.floats(0.1, 1)] * 3)))
    affine[:3, :3] = turn * data.draw(st.tuples(*[st.floats(0.3, 8)] * 3))
    affine[:3, 3] = data.draw(st.tuples(numbers, numbers, numbers))
    size = data.draw(st.tuples(*[st.integers(1, 9)] * 3))
    scan = Phantom(np.arange(np.prod(size), dtype=np.int16).reshape(size[::-1]), affine, ())
    packed = data.draw(st.booleans())
    written = nifti(
        scan, packed=packed, version=data.draw(st.sampled_from([1, 2])), trailing=data.draw(st.integers(0, 3))
    )
    volume = read_nifti(written)
    assert volume.grid.size == size
    assert np.array_equal(volume.voxels, scan.voxels)
    assert np.abs(volume.grid.affine_ras - affine).max() < 1e-3
