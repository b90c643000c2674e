"""Masks as NIfTI lie where the scan lies: in nibabel, which takes one transform, and in SimpleITK, which takes the
other."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import subprocess
import sys
from itertools import product
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handler.volumes.grid import Grid
from handler.volumes.out.algorithm import NOTICE, Algorithm
from handler.volumes.out.nifti import encode
from handler.volumes.volume import Acquisition, NiftiSource, Volume
from tests.handler.volumes.series import turned

SIZE = (7, 6, 5)
MADE_BY = Algorithm("2.0")
CODES = [(1, 1), (1, 2), (2, 1), (0, 0), (1, 0), (0, 1), (4, 2)]
SECRET = b"Meier^Anna"


def affine_of(angles: tuple[float, float, float], spacing: tuple[float, float, float], origin: object) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = turned(*angles) @ np.diag(spacing)
    affine[:3, 3] = origin
    return affine


SFORM = affine_of((0.1, -0.2, 0.3), (0.9, 1.1, 4.0), (-12.0, 31.0, 7.5))
QFORM = affine_of((-0.3, 0.05, 0.1), (-0.9, 1.1, 4.0), (40.0, -3.0, 11.0))


def scan(
    s: int,
    q: int,
    sform: NDArray[np.float64] = SFORM,
    qform: NDArray[np.float64] = QFORM,
    version: int = 1,
    order: str = "<",
    units: int = 2,
) -> nibabel.Nifti1Image:
    """An int16 scan with a scaling, an extension and a patient in its texts."""
    header = (nibabel.Nifti1Header if version == 1 else nibabel.Nifti2Header)(endianness=order)
    header.set_data_dtype(np.int16)
    header.set_data_shape(SIZE)
    header.set_qform(qform, q)
    header.set_sform(sform, s)
    header["xyzt_units"] = units
    header["descrip"], header["intent_name"], header["intent_code"] = SECRET, SECRET, 1002
    header["cal_max"], header["toffset"] = 900, 3
    if version == 1:
        header["db_name"] = SECRET
    header["aux_file"] = SECRET
    header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", SECRET))
    header.set_slope_inter(2, 7)
    kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    stored = io.BytesIO()
    header["vox_offset"] = 0
    header.write_to(stored)
    stored.seek(header.get_data_offset())
    return kind.from_bytes(stored.getvalue().ljust(header.get_data_offset() + 2 * int(np.prod(SIZE)), b"\0"))


def volume_of(image: nibabel.Nifti1Image) -> Volume:
    voxels = np.zeros(SIZE[::-1], np.float32)
    return Volume(voxels, Grid(SIZE, image.affine, "sform"), NiftiSource(image.header), Acquisition(), "nifti", "ab")


def drawn() -> NDArray[np.bool_]:
    """No axis and no end looks like another."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[0, 0, 0] = mask[1, 2, 3] = mask[4, 5, 1] = mask[2, 0, 6] = True
    return mask


def written(image: nibabel.Nifti1Image, folder: Path, mask: NDArray[np.bool_] | None = None) -> tuple[Path, Path]:
    """Scan and mask as files."""
    nibabel.save(image, folder / "scan.nii")
    (folder / "mask.nii.gz").write_bytes(encode(volume_of(image), drawn() if mask is None else mask, MADE_BY))
    return folder / "scan.nii", folder / "mask.nii.gz"


def in_itk(path: Path) -> SimpleITK.Image | None:
    """None where ITK refuses the file."""
    try:
        return SimpleITK.ReadImage(str(path))
    except RuntimeError:
        return None


def placed(image: SimpleITK.Image) -> tuple[tuple[float, ...], ...]:
    return image.GetOrigin(), image.GetSpacing(), image.GetDirection()


@pytest.mark.parametrize(("s", "q"), CODES)
@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("order", ["<", ">"])
def test_nibabel_and_itk_put_mask_and_scan_together(s: int, q: int, version: int, order: str, tmp_path: Path) -> None:
    theirs, ours = written(scan(s, q, version=version, order=order), tmp_path)
    a, b = nibabel.load(theirs), nibabel.load(ours)
    assert np.array_equal(a.affine, b.affine)
    assert type(a) is type(b)
    assert np.array_equal(np.asarray(b.dataobj).T, drawn())
    x, y = in_itk(theirs), in_itk(ours)
    print(f"sform {s} qform {q}, NIfTI-{version} {order}: ITK {'reads' if x else 'refuses'} the scan")
    assert (x is None, y is None) == ((version == 2,) * 2), "ITK knows no NIfTI-2"
    if x and y:
        for i in product(*((0.0, n - 1.0) for n in SIZE)):
            assert x.TransformContinuousIndexToPhysicalPoint(i) == y.TransformContinuousIndexToPhysicalPoint(i)
        assert np.array_equal(SimpleITK.GetArrayFromImage(y) == 1, drawn())


def test_the_two_programs_disagree_about_these_scans(tmp_path: Path) -> None:
    """Else the test above would pass with one transform."""
    nibabel.save(scan(2, 1), tmp_path / "scan.nii")
    itk = SimpleITK.ReadImage(str(tmp_path / "scan.nii")).GetOrigin()
    theirs = nibabel.load(tmp_path / "scan.nii").affine[:3, 3]
    assert np.abs(np.array(itk) * (-1, -1, 1) - theirs).max() > 5


def test_a_sheared_sform(tmp_path: Path) -> None:
    """ITK refuses such a scan without a qform, so it may refuse the mask; with one it takes the qform for both."""
    shear = SFORM.copy()
    shear[0, 1] += 0.0005
    for q in (0, 1):
        theirs, ours = written(scan(1, q, sform=shear), tmp_path)
        assert np.array_equal(nibabel.load(theirs).affine, nibabel.load(ours).affine)
        read = [in_itk(path) for path in (theirs, ours)]
        print(f"sheared sform, qform code {q}: ITK {'reads' if read[0] else 'refuses'} the scan")
        assert bool(read[0]) == bool(read[1]) == bool(q)
        if read[0] and read[1]:
            assert placed(read[0]) == placed(read[1])


@pytest.mark.parametrize("units", [0, 1, 2, 3, 10])
def test_units_go_over(units: int, tmp_path: Path) -> None:
    theirs, ours = written(scan(1, 1, qform=SFORM, units=units), tmp_path)
    assert nibabel.load(ours).header["xyzt_units"] == units
    x, y = in_itk(theirs), in_itk(ours)
    assert x is not None
    assert y is not None
    assert placed(x) == placed(y)


def test_the_header_says_only_where_the_mask_is(tmp_path: Path) -> None:
    for version in (1, 2):
        _, ours = written(scan(1, 1, version=version), tmp_path)
        data = gzip.decompress(ours.read_bytes())
        assert SECRET not in data
        kind, size = (nibabel.Nifti1Header, 348) if version == 1 else (nibabel.Nifti2Header, 540)
        header = kind(data[:size])
        assert header.get_data_dtype() == np.uint8
        assert (header["scl_slope"], header["scl_inter"], header["intent_code"], header["cal_max"]) == (1, 0, 0, 0)
        assert list(header["dim"]) == [3, *SIZE, 1, 1, 1, 1]
        assert header["descrip"].item().decode() == f"{NOTICE} brainseg 2.0"
        assert len(data) == header["vox_offset"] + np.prod(SIZE)


def test_labels_keep_their_values(tmp_path: Path) -> None:
    labels = np.arange(210, dtype=np.uint8).reshape(SIZE[::-1])
    _, ours = written(scan(1, 1), tmp_path, labels)
    assert np.array_equal(np.asarray(nibabel.load(ours).dataobj).T, labels)


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    data = gzip.decompress(encode(volume_of(scan(1, 1)), drawn(), Algorithm("ü" * 90)))
    assert data[148:228] == (f"{NOTICE} brainseg " + "?" * 90).encode()[:79] + b"\0"


def test_a_mask_of_another_shape() -> None:
    with pytest.raises(ValueError, match=r"\(5, 6, 8\) on a grid of \(5, 6, 7\)"):
        encode(volume_of(scan(1, 1)), np.zeros((5, 6, 8), bool), MADE_BY)


def dicom_like(affine: NDArray[np.float64]) -> Volume:
    """Of a DICOM only its grid matters here."""
    voxels = np.zeros(SIZE[::-1], np.float32)
    return Volume(voxels, Grid(SIZE, affine, "dicom"), None, Acquisition(), "dicom", "ab")  # type: ignore[arg-type]


@settings(max_examples=30, deadline=None)
@given(
    st.tuples(*[st.floats(-3.2, 3.2)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
    st.tuples(*[st.sampled_from((-1, 1))] * 3),
    st.tuples(*[st.floats(-300, 300)] * 3),
)
def test_of_a_dicom_both_transforms_say_the_same(
    angles: tuple[float, float, float], steps: tuple[float, float, float], signs: tuple[int, ...], origin: object
) -> None:
    affine = affine_of(angles, tuple(np.multiply(steps, signs)), origin)  # type: ignore[arg-type]
    header = nibabel.Nifti1Image.from_bytes(gzip.decompress(encode(dicom_like(affine), drawn(), MADE_BY))).header
    assert (header["sform_code"], header["qform_code"], header["xyzt_units"]) == (1, 1, 2)
    corners = np.array(list(product(*((0, n - 1) for n in SIZE), (1,))))
    # Of a quaternion the first number is not kept but reckoned: where it is small, float32 leaves less of it.
    for form, apart in ((header.get_sform(), 1e-3), (header.get_qform(), 2e-2)):
        assert np.abs((form - affine) @ corners.T).max() < apart


def test_one_member_and_the_same_bytes_in_every_process() -> None:
    first = encode(volume_of(scan(2, 1)), drawn(), MADE_BY)
    assert first[4:8] == struct.pack("<I", 0), "no time"
    assert first.find(b"\x1f\x8b\x08", 1) == -1, "one gzip member"
    code = (
        "import hashlib, tests.handler.volumes.test_out_nifti as t;"
        "print(hashlib.sha256(t.encode(t.volume_of(t.scan(2, 1)), t.drawn(), t.MADE_BY)).hexdigest())"
    )
    again = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert again.stdout.strip() == hashlib.sha256(first).hexdigest()
