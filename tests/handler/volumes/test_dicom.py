"""DICOM in: every voxel where the positions put it, whatever the encoding."""

from __future__ import annotations

from pathlib import Path

import gdcm
import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from handler.volumes.study import read_study
from handler.volumes.volume import DicomSource, Volume
from prove.drawn.volumes import (
    COMPRESSED,
    JPEG_BASELINE,
    JPEG_EXTENDED,
    ORIENTATIONS,
    Phantom,
    brightest,
    dicom_enhanced,
    dicom_series,
    dicom_zip,
    phantom,
    rotation,
    zipped,
)

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def check(volume: Volume, scan: Phantom) -> None:
    """Every voxel of the phantom, found again at its place in millimetres."""
    columns, rows, slices = volume.grid.size
    indices = np.stack(np.meshgrid(range(columns), range(rows), range(slices), indexing="ij"), -1).reshape(-1, 3)
    inverse = np.linalg.inv(scan.affine)
    there = volume.grid.to_mm(indices.astype(float)) @ inverse[:3, :3].T + inverse[:3, 3]
    nearest = np.rint(there).astype(int)
    assert np.abs((there - nearest) @ scan.affine[:3, :3].T).max() < 0.01
    i, j, k = nearest.T
    assert np.array_equal(volume.voxels[indices[:, 2], indices[:, 1], indices[:, 0]], scan.voxels[k, j, i])


@pytest.mark.parametrize("degrees", [0, 17])
@pytest.mark.parametrize("enhanced", [False, True])
def test_every_orientation_lies_where_the_positions_put_it(degrees: float, enhanced: bool) -> None:
    for turn in ORIENTATIONS:
        scan = phantom((10, 13, 5), turn=rotation(degrees) @ turn)
        volume = read_study({"file": dicom_enhanced(scan) if enhanced else dicom_zip(scan)}).flair
        check(volume, scan)
        found = volume.grid.to_mm(np.array(brightest(volume.voxels), float))
        assert np.abs(found - scan.landmarks_mm()).max() < 0.01


@pytest.mark.parametrize("syntax", [*NATIVE, *COMPRESSED])
@pytest.mark.parametrize("enhanced", [False, True])
def test_every_encoding_is_the_same(syntax: str, enhanced: bool) -> None:
    scan = phantom((31, 21, 4))
    write = dicom_enhanced if enhanced else dicom_zip
    check(read_study({"file": write(scan, transfer_syntax=syntax)}).flair, scan)


def test_baseline_jpeg() -> None:
    scan = phantom((32, 24, 4))
    volume = read_study({"file": dicom_zip(scan, transfer_syntax=JPEG_BASELINE)}).flair
    assert volume.voxels.max() > 100
    assert volume.voxels.shape == (4, 24, 32)


def test_extended_jpeg_of_12_bits() -> None:
    scan = phantom((32, 24, 4))
    volume = read_study({"file": dicom_zip(scan, transfer_syntax=JPEG_EXTENDED)}).flair
    assert np.abs(volume.voxels - scan.voxels).max() <= 2


@pytest.mark.parametrize("name", ["JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEG2000Lossless", "RLELossless"])
@pytest.mark.parametrize("signed", [False, True])
def test_what_another_program_compressed(name: str, signed: bool, tmp_path: Path) -> None:
    scan, files = phantom((33, 21, 3)), []

    def change(k: int, dataset: Dataset) -> None:
        if signed:
            dataset.PixelData = ((np.frombuffer(dataset.PixelData, "<i2") - 1000) & 0xFFF).astype("<u2").tobytes()
            dataset.PixelRepresentation = 1

    for n, (_, data) in enumerate(dicom_series(scan, change=change)):
        path = tmp_path / f"{n}.dcm"
        path.write_bytes(data)
        reader, writer, turned = gdcm.ImageReader(), gdcm.ImageWriter(), gdcm.ImageChangeTransferSyntax()
        reader.SetFileName(str(path))
        assert reader.Read()
        turned.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, name)))
        turned.SetInput(reader.GetImage())
        assert turned.Change()
        writer.SetFileName(str(path))
        writer.SetFile(reader.GetFile())
        writer.SetImage(turned.GetOutput())
        assert writer.Write()
        files.append((path.name, path.read_bytes()))
    volume = read_study({"file": zipped(files)}).flair
    assert np.array_equal(volume.voxels, scan.voxels - (1000.0 if signed else 0.0))


def test_each_slice_names_its_instance() -> None:
    scan = phantom()
    volume = read_study({"file": dicom_zip(scan)}).flair
    source = volume.source
    assert isinstance(source, DicomSource)
    for k, frame in enumerate(source.frames):
        dataset = source.datasets[frame.dataset]
        assert "PixelData" not in dataset
        position = np.array(dataset.ImagePositionPatient, float)
        assert np.allclose(volume.grid.affine_lps @ (0, 0, k, 1), [*position, 1], atol=1e-3)


def test_rescaling_per_file_and_per_frame() -> None:
    scan = phantom()
    slopes = [1.0 + k / 4 for k in range(8)]

    def scaled(k: int, dataset: Dataset) -> None:
        dataset.RescaleSlope, dataset.RescaleIntercept = slopes[k], 3

    for data in (dicom_zip(scan, change=scaled), dicom_enhanced(scan, slopes=slopes)):
        volume = read_study({"file": data}).flair
        assert np.allclose(volume.voxels, scan.voxels * np.array(slopes)[:, None, None] + 3)


def test_a_file_without_preamble_is_read() -> None:
    scan = phantom()
    files = [(name, data[132:]) for name, data in dicom_series(scan)]
    check(read_study({"file": zipped(files)}).flair, scan)
