"""The bar that the mapping of intensities was chosen by, on the whole way from files to masks: the validation cases of
version 1.0 as TIFF, and again as NIfTI in numbers that a scanner might have written, on grids of their own."""

from __future__ import annotations

import gzip
import io
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from archive.store import release_folder
from handler.card import read_card
from handler.pipeline import Model, answer, open_model
from handler.volumes.channels import ORDER
from handler.volumes.plane import FIELD_MM
from prove.drawn.volumes import ORIENTATIONS

DATA = Path(__file__).parents[4] / "shared" / "data"
RELEASE = release_folder("1.0")
SLICE_MM = 5.0  # the published pictures do not say
SEED = 36
NEAR, ALIKE = 0.01, 0.97  # of the mean Dice with the experts; between the two masks
RANGES, OFFSETS = (300.0, 30_000.0), (-1_000.0, 2_000.0)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.long,  # real cases by the large network, in many scales: an hour
    pytest.mark.timeout(7200),
    pytest.mark.skipif(not (DATA / "lgg").is_dir(), reason="the published pictures are not here"),
    pytest.mark.skipif(not (RELEASE / "model-card.json").is_file(), reason="version 1.0 is not here"),
]


@dataclass(frozen=True, eq=False)
class Case:
    """``pictures``: uint8 (slices, rows, columns, 3); ``truth``: bool (slices, rows, columns)."""

    pictures: NDArray[np.uint8]
    truth: NDArray[np.bool_]


def read_case(folder: Path) -> Case:
    files = sorted(folder.glob("*_mask.tif"), key=lambda path: int(path.stem.split("_")[-2]))
    assert files, folder.name
    pictures = [tifffile.imread(path.with_name(path.name.replace("_mask", ""))) for path in files]
    return Case(np.stack(pictures), np.stack([tifffile.imread(path) > 0 for path in files]))


def unpacked(cases: tuple[str, ...], folder: Path) -> Path:
    """As .ci/run does: ``unpack`` takes what lies beside it."""
    (folder / "source" / "lgg").mkdir(parents=True)
    shutil.copy(DATA / "unpack", folder / "source")
    for case in cases:
        (folder / "source" / "lgg" / f"{case}.zip").symlink_to((DATA / "lgg" / f"{case}.zip").resolve())
    subprocess.run([sys.executable, folder / "source" / "unpack", folder], check=True)
    return folder / "kaggle_3m"


def dice(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    both = np.count_nonzero(one) + np.count_nonzero(other)
    return 2 * np.count_nonzero(one & other) / both if both else 1.0


def posted(model: Model, parts: Mapping[str, bytes], accept: str) -> bytes:
    multi = {"content-type": "multipart/form-data", "accept": accept}
    reply = answer(model, {name: bytearray(data) for name, data in parts.items()}, multi).answer
    assert (reply.status, reply.content_type) == (200, accept), reply.body[:500]
    return reply.body


def by_tiff(model: Model, case: Case) -> NDArray[np.bool_]:
    file = io.BytesIO()
    tifffile.imwrite(file, case.pictures, photometric="rgb")
    return tifffile.imread(io.BytesIO(posted(model, {"file": file.getvalue()}, "image/tiff"))) > 0


def as_scanned(channel: NDArray[np.uint8], generator: np.random.Generator) -> bytes:
    """(slices, rows, columns) in the published lie (to the head, the back, the left) as int16 of any scale, its axes in
    any order and direction."""
    values = channel.astype(np.float64)
    gain = generator.uniform(*RANGES) / max(float(np.ptp(values)), 1.0)
    numbers = np.rint((values - values.min()) * gain + generator.uniform(*OFFSETS)).astype(np.int16)
    pixel = FIELD_MM / channel.shape[1]
    upright = nibabel.Nifti1Image(numbers[:, ::-1, ::-1].transpose(2, 1, 0), np.diag([pixel, pixel, SLICE_MM, 1.0]))
    turn = np.eye(4)
    turn[:3, :3] = ORIENTATIONS[int(generator.integers(len(ORIENTATIONS)))]
    return gzip.compress(upright.as_reoriented(nibabel.io_orientation(turn)).to_bytes(), 1)


def by_nifti(model: Model, case: Case, generator: np.random.Generator) -> NDArray[np.bool_]:
    """A sequence whose channel is the FLAIR's was missing: it is not sent."""
    channels = dict(zip(ORDER, np.moveaxis(case.pictures, -1, 0), strict=True))
    parts = {
        name: as_scanned(voxels, generator)
        for name, voxels in channels.items()
        if name == "flair" or not np.array_equal(voxels, channels["flair"])
    }
    body = posted(model, parts, "application/x-nifti")
    mask = nibabel.as_closest_canonical(nibabel.Nifti1Image.from_bytes(gzip.decompress(body)))
    return np.asarray(mask.dataobj).transpose(2, 1, 0)[:, ::-1, ::-1] > 0


def test_any_scale_and_grid_gives_the_mask_of_the_pictures(tmp_path: Path) -> None:
    names = read_card(RELEASE).data["validation"]
    assert len(names) == 9
    folder = unpacked(tuple(names), tmp_path)
    model = open_model(RELEASE, "torch", 1)
    generator = np.random.default_rng(SEED)
    scores, counts = [], np.zeros(2)
    for name in names:
        case = read_case(folder / name)
        pictures, volumes = by_tiff(model, case), by_nifti(model, case, generator)
        scores.append((dice(pictures, case.truth), dice(volumes, case.truth), dice(pictures, volumes)))
        counts += (2 * np.count_nonzero(pictures & volumes), np.count_nonzero(pictures) + np.count_nonzero(volumes))
        print(name, len(case.truth), *(f"{score:.4f}" for score in scores[-1]), flush=True)
    tiff, nifti, masks = np.mean(scores, axis=0)
    pooled = counts[0] / counts[1]
    print(f"Dice with the experts: TIFF {tiff:.4f}, NIfTI {nifti:.4f}; of the two masks {masks:.4f} / {pooled:.4f}")
    assert abs(tiff - nifti) <= NEAR
    assert masks >= ALIKE
    assert pooled >= ALIKE
