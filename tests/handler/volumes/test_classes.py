"""A scan with geometry through a network of several classes: labels in millimetres, on the very grid that came."""

from __future__ import annotations

import dataclasses
import gzip
import io
import zipfile

import highdicom
import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray

from handler.labels import ACTIVATIONS, SIGMOID
from handler.pipeline import Model
from handler.volumes import infer
from prove.drawn.volumes import ORIENTATIONS, Phantom, dicom_zip, nifti, phantom
from tests.handler.volumes.test_way import ask, refused, told
from tests.labelled import ENHANCING, GREY, LABELS, NECROSIS, OEDEMA, labelled_model

SIZE = (44, 44, 26)


def scan_of(turn: NDArray[np.float64] | None = None, thick: float = 2.8) -> tuple[Phantom, NDArray[np.uint8]]:
    """A head with a tumour of three labels off its middle on every axis, and its labels (slices, rows, columns)."""
    drawn = phantom(SIZE, (3.0, 3.0, thick), turn)
    k, j, i = np.meshgrid(*[np.linspace(-1, 1, n) for n in SIZE[::-1]], indexing="ij")
    values = np.zeros(SIZE[::-1], np.uint8)
    for reach, value in ((0.36, OEDEMA), (0.24, ENHANCING), (0.12, NECROSIS)):
        values[(np.abs(i - 0.3) < reach) & (np.abs(j + 0.2) < reach) & (np.abs(k - 0.15) < reach)] = value
    table = np.array([4 * GREY[value] for value in range(4)], np.int16)
    voxels = np.where(i**2 + j**2 + k**2 < 0.95, table[values], 0)
    return dataclasses.replace(drawn, voxels=voxels.astype(np.int16)), values


@pytest.fixture(scope="module", params=ACTIVATIONS)
def three(request: pytest.FixtureRequest) -> Model:
    return labelled_model(str(request.param))


def mask_of(data: bytes) -> NDArray[np.uint8]:
    image = nibabel.Nifti1Image.from_bytes(gzip.decompress(data))
    assert image.get_data_dtype() == np.uint8
    return np.asarray(image.dataobj).transpose(2, 1, 0)


def agree(found: NDArray[np.uint8], truth: NDArray[np.uint8]) -> bool:
    """Each label's Dice; the network's grid is finer than the scan, its edges are blurred."""
    dice = [2 * ((found == v) & (truth == v)).sum() / ((found == v).sum() + (truth == v).sum()) for v in (1, 2, 3)]
    return min(dice) > 0.6 and bool(np.mean(dice) > 0.75)


@pytest.mark.parametrize("which", [0, 7, 22, 31, 40])
def test_labels_lie_on_the_grid_that_came(three: Model, which: int) -> None:
    """Axial, coronal and sagittal files, some of which the network sees in other slices than theirs."""
    scan, truth = scan_of(ORIENTATIONS[which])
    data = nifti(scan)
    mask = mask_of(ask(three, data, Accept="application/x-nifti").answer.body)
    assert agree(mask, truth)
    reply = told(three, data)
    voxel_ml = 3.0 * 3.0 * 2.8 / 1000
    for label in reply["labels"]:
        assert label["pixels"] == np.count_nonzero(mask == label["value"]) > 0
        assert label["volume_ml"] == pytest.approx(label["pixels"] * voxel_ml, abs=1e-3)
    assert reply["regions"][0]["volume_ml"] == pytest.approx(reply["tumor_volume_ml"], abs=1e-3)
    assert reply["lesion_count"] == 1
    for index, one in enumerate(reply["slices"]):
        assert one["labels"][ENHANCING - 1]["pixels"] == np.count_nonzero(mask[index] == ENHANCING)


def test_a_zip_of_a_series_has_a_segment_each(three: Model) -> None:
    scan, _ = scan_of(thick=5.0)
    data = dicom_zip(scan)
    packed = ask(three, data, Accept="application/zip").answer
    assert packed.status == 200, packed.body
    with zipfile.ZipFile(io.BytesIO(packed.body)) as files:
        mask = mask_of(files.read("mask.nii.gz"))
        dataset = pydicom.dcmread(io.BytesIO(files.read("seg.dcm")))
    assert [s.SegmentLabel for s in dataset.SegmentSequence if s.SegmentNumber] == [label.name for label in LABELS]
    volume = highdicom.seg.Segmentation.from_dataset(dataset).get_volume(combine_segments=True)
    assert np.bincount(volume.array.ravel()).tolist() == np.bincount(mask.ravel()).tolist()
    alone = ask(three, data, Accept="application/dicom", X_BrainSeg_Seg="binary").answer
    assert pydicom.dcmread(io.BytesIO(alone.body)).SegmentationType == "BINARY"


def test_small_components_go_by_the_slices_that_the_network_saw(three: Model) -> None:
    scan, _ = scan_of(ORIENTATIONS[22])
    kept = told(three, nifti(scan), X_BrainSeg_Min_Lesion_Pixels="10")
    dropped = told(three, nifti(scan), X_BrainSeg_Min_Lesion_Pixels="100000")
    assert kept["tumor_pixels"] > 0
    assert dropped["tumor_pixels"] == 0
    assert [label["pixels"] for label in dropped["labels"]] == [0, 0, 0]
    assert max(label["max_probability"] for label in dropped["labels"]) > 0.5


def test_maps_that_take_too_much_room_are_refused_before_the_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(infer, "MOST_BYTES", 100_000)
    scan, _ = scan_of()
    assert "3 classes" in refused(labelled_model(SIGMOID), nifti(scan), "too_large")
