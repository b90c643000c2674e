"""Masks in the code that viewers lay them over scans with: OHIF's adapter and NiiVue, in node."""

from __future__ import annotations

import io
import json
import subprocess
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest

from handler.volumes.grid import TO_LPS, Grid
from handler.volumes.out import nifti, seg
from handler.volumes.volume import Acquisition, NiftiSource, Volume
from prove.drawn.places import apart, in_mm
from tests.handler.volumes.series import ORIENTATIONS, Series, classic, enhanced, grid_of, landmarks
from tests.handler.volumes.test_out_nifti import CODES, QFORM, SFORM
from tests.handler.volumes.test_out_seg import ALGORITHM
from tests.npm import npm_folder

pytestmark = pytest.mark.slow

SCRIPTS = Path(__file__).parent / "viewers"
SIZES = [(192, 176, 6), (181, 217, 6), (10, 13, 6), (256, 256, 6)]
STATED = [1.0, 7.0, -5.0, None]


@pytest.fixture(scope="module")
def viewers() -> Path:
    """A folder with the packages of ``viewers/package.json``, installed once and kept."""
    return npm_folder(SCRIPTS, "viewers")


def run(viewers: Path, *arguments: str | Path) -> list[Any]:
    ran = subprocess.run(["node", *arguments], cwd=viewers, capture_output=True, text=True, check=False, timeout=500)
    assert ran.returncode == 0, ran.stderr[-2000:]
    return list(json.loads(ran.stdout))


def case(series: Series, path: Path) -> dict[str, Any]:
    """What OHIF knows of the source when it opens the SEG at ``path``."""
    grid, source = series.volume.grid, series.volume.source
    columns = grid.affine_lps[:3, :2] / grid.spacing_mm[:2]
    images = []
    for index, frame in enumerate(source.frames):  # type: ignore[union-attr]
        dataset = series.datasets[frame.dataset]
        place = TO_LPS[:3, :3] @ grid.to_mm(np.array([0.0, 0.0, index]))
        number = frame.frame if "NumberOfFrames" in dataset else None
        images.append({"uid": dataset.SOPInstanceUID, "frame": number, "ipp": place.tolist()})
    return {
        "seg": str(path),
        "series": series.datasets[0].SeriesInstanceUID,
        "rows": grid.size[1],
        "columns": grid.size[0],
        "iop": [*columns[:, 0], *columns[:, 1]],
        "spacing": [grid.spacing_mm[1], grid.spacing_mm[0]],
        "images": images,
    }


def by_ohif(viewers: Path, folder: Path, series: list[Series], files: list[bytes]) -> list[np.ndarray]:
    """The mask of each SEG as the adapter lays it over its series."""
    cases = []
    for number, (of, data) in enumerate(zip(series, files, strict=True)):
        path = folder / f"{number}.dcm"
        path.write_bytes(data)
        cases.append(case(of, path))
    (folder / "cases.json").write_text(json.dumps(cases))
    masks = []
    for of, slices in zip(series, run(viewers, "ohif.mjs", folder / "cases.json"), strict=True):
        mask = np.zeros(of.volume.grid.shape, bool)
        for index, places in enumerate(slices):
            for row, column in places:
                mask[index, row, column] = True
        masks.append(mask)
    return masks


def test_ohifs_adapter_lays_masks_where_they_are(viewers: Path, tmp_path: Path) -> None:
    series = [make(grid_of(size), stated) for size in SIZES for stated in STATED for make in (classic, enhanced)]
    files = [seg.encode(of.volume, landmarks(of.volume.grid), ALGORITHM) for of in series]
    masks = by_ohif(viewers, tmp_path, series, files)
    wrong = [
        (of.volume.grid.size, number)
        for number, (of, mask) in enumerate(zip(series, masks, strict=True))
        if not np.array_equal(mask, landmarks(of.volume.grid))
    ]
    print(f"OHIF's adapter 5.6.8: {len(series) - len(wrong)} of {len(series)} masks right to the voxel")
    assert wrong == []


def test_ohifs_adapter_goes_by_the_derivation(viewers: Path, tmp_path: Path) -> None:
    """Else the test above would say nothing about it."""
    series = classic(grid_of(SIZES[0]))
    dataset = pydicom.dcmread(io.BytesIO(seg.encode(series.volume, landmarks(series.volume.grid), ALGORITHM)))
    groups = dataset.PerFrameFunctionalGroupsSequence
    named = [group.DerivationImageSequence for group in groups]
    for group, other in zip(groups, [*named[1:], named[0]], strict=True):
        group.DerivationImageSequence = other
    file = io.BytesIO()
    dataset.save_as(file)
    (mask,) = by_ohif(viewers, tmp_path, [series], [file.getvalue()])
    assert mask.sum() == landmarks(series.volume.grid).sum()
    assert not np.array_equal(mask, landmarks(series.volume.grid))


def test_niivue_lays_masks_where_they_are(viewers: Path, tmp_path: Path) -> None:
    grids = [grid_of(size) for size in SIZES]
    grids += [
        grid_of((10, 13, 6), axes=axes @ grid_of((1, 1, 1), (1, 1, 1)).affine_ras[:3, :3]) for axes in ORIENTATIONS
    ]
    for number, grid in enumerate(grids):
        mask = nifti.encode(classic(grid).volume, landmarks(grid), ALGORITHM)
        (tmp_path / f"{number:02}.nii.gz").write_bytes(mask)
    found = run(viewers, "niivue.mjs", *sorted(tmp_path.iterdir()))
    far = [
        apart(np.array(places), in_mm(landmarks(grid), grid.affine_ras))
        for grid, places in zip(grids, found, strict=True)
    ]
    print(f"NiiVue 0.69.0: {len(grids)} grids, farthest landmark {max(far):.5f} mm")
    assert max(far) < 0.01


def test_niivue_lays_mask_and_scan_together(viewers: Path, tmp_path: Path) -> None:
    """Whichever transform it takes."""
    size = (7, 6, 5)
    mask = landmarks(Grid(size, SFORM, "sform"))
    files = []
    for s, q in CODES:
        header = nibabel.Nifti1Header()
        header.set_data_dtype(np.uint8)
        header.set_qform(QFORM, q)
        header.set_sform(SFORM, s)
        scan = nibabel.Nifti1Image(mask.T.astype(np.uint8), None, header)
        grid = Grid(size, header.get_best_affine(), "sform")
        volume = Volume(mask.astype(np.float32), grid, NiftiSource(header), Acquisition(), "nifti", "ab")
        files += [tmp_path / f"{s}{q}-scan.nii", tmp_path / f"{s}{q}-mask.nii.gz"]
        nibabel.save(scan, files[-2])
        files[-1].write_bytes(nifti.encode(volume, mask, ALGORITHM))
    found = [np.array(places) for places in run(viewers, "niivue.mjs", *files)]
    far = [apart(scan, mask) for scan, mask in zip(found[::2], found[1::2], strict=True)]
    print(f"NiiVue 0.69.0: scan and mask apart by at most {max(far)} mm over sform and qform codes {CODES}")
    assert max(far) == 0
    assert apart(found[2], found[4]) > 5, "these scans do lie apart by their codes"
