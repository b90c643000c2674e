"""Labelled volumes in the layout of BraTS, a folder a case, as slices of the network's own grid. Scans go through the
handler's reading, scaling and placing of volumes, so training sees what serving sees."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.errors import RequestError
from handler.preprocess import tensor_of
from handler.volumes.channels import Channels, channels_of
from handler.volumes.grid import Grid
from handler.volumes.infer import Shown, picture_of, shown
from handler.volumes.nifti import describe, read_nifti
from handler.volumes.plane import picture
from handler.volumes.study import read_study
from training.data.cases import DataError, Listing, Pair

# How the years of BraTS name a sequence at the end of a file's name -> the part that it is served as.
PARTS = {
    "flair": "flair", "t2f": "flair", "t1": "t1", "t1n": "t1", "t1c": "t1c", "t1ce": "t1c", "t1gd": "t1c",
    "t2": "t2", "t2w": "t2", "seg": "seg",
}  # fmt: skip
_FILE = re.compile(rf"(?:[^.].*[_-])?(?P<kind>{'|'.join(PARTS)})\.nii(?:\.gz)?", re.IGNORECASE)
_SCANS = ("flair", "t1", "t1c")
# Axes and origins that differ by less are the same grid, told by another program. Millimetres.
_SAME_MM = 0.01


@dataclass(frozen=True, eq=False)
class CaseVolume:
    """A case as it is shown to the network. ``channels``: its sequences on the FLAIR's grid; ``view``: their stack;
    ``truth``: uint8 (slices, rows, columns) on that grid in the order of the file, 0 none and the recipe's labels."""

    case: str
    channels: Channels
    view: Shown
    truth: NDArray[np.uint8]

    @property
    def grid(self) -> Grid:
        return self.channels.flair.grid


@dataclass(frozen=True, eq=False)
class LabelledPlane:
    """One slice of a case as the network is shown it, by its place in the stack, from 0 at the patient's feet.
    ``mask``: uint8 (rows, columns) of the stack, 0 none and the recipe's labels."""

    pair: Pair
    view: Shown
    index: int
    mask: NDArray[np.uint8]

    @property
    def tumour_pixels(self) -> int:
        """Of any label."""
        return int(np.count_nonzero(self.mask))

    def unit_rgb(self, spec: InputSpec) -> NDArray[np.float32]:
        """The image on the network's grid: float32 (spec.height, spec.width, 3) in 0..1, not yet normalised."""
        return picture_of(self.view, self.index, self.index + 1, spec)[0]

    def tensor(self, spec: InputSpec) -> NDArray[np.float32]:
        """What the network is given in serving: float32 (c, spec.height, spec.width), normalised."""
        return tensor_of(self.unit_rgb(spec)[None], spec)[0]

    def mask_on(self, spec: InputSpec) -> NDArray[np.uint8]:
        """The mask on the network's grid: of each pixel the label, or none, that has most of its area."""
        values = np.arange(int(self.mask.max()) + 1)
        if len(values) == 1:
            return np.zeros((spec.height, spec.width), np.uint8)
        shares = (self.mask[..., None] == values).astype(np.float32)
        laid = picture(shares[None], self.view.window, spec)[0]
        laid[..., 0] = 1 - laid[..., 1:].sum(axis=-1)  # beyond the scan there is none, too
        return laid.argmax(axis=-1).astype(np.uint8)


def sequences_in(folder: Path) -> dict[str, Path]:
    """The files of a case by what they are: ``flair``, ``t1``, ``t1c``, ``t2``, ``seg``. Raises DataError for two of a
    kind."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        named = _FILE.fullmatch(path.name)
        if not named or not path.is_file():
            continue
        kind = PARTS[named["kind"].lower()]
        if kind in found:
            raise DataError(f"{folder.name}: {found[kind].name} and {path.name} are both its {kind}; leave one of them")
        found[kind] = path
    return found


def find_volumes(folder: Path) -> Listing:
    """Lists the cases below `folder`, a folder each: NIfTI files whose names end in `flair`, `t1`, `t1c` (`t1ce`),
    `t2`, `seg`, or as BraTS 2023 has them. A pair a slice that the network will be shown; only headers are read.

    `lonely`: a FLAIR without a mask, a mask without a FLAIR. Raises DataError when there is no case at all."""
    pairs: list[Pair] = []
    lonely: list[Path] = []
    for case in sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")):
        found = sequences_in(case)
        if "flair" in found and "seg" in found:
            pairs += [Pair(case.name, n + 1, found["flair"], found["seg"]) for n in range(_slices(found["flair"]))]
        else:
            lonely += [found[kind] for kind in ("flair", "seg") if kind in found]
    if not pairs:
        raise DataError(
            f"no case below {folder}; a recipe with labels expects the layout of BraTS: a folder a case with NIfTI "
            "files *_flair, *_t1, *_t1ce and *_seg"
        )
    return Listing(folder, tuple(pairs), tuple(lonely))


def _slices(path: Path) -> int:
    """How many slices the network will be shown of the volume in `path`."""
    try:
        size, plane = describe(path.read_bytes())
    except (OSError, RequestError) as error:
        raise DataError(f"{path.parent.name}: {path.name} cannot be read: {error}") from error
    if plane != "axial":
        raise DataError(f"{path.parent.name}: {path.name} has {plane} slices; expected axial ones, as BraTS has")
    return size[2]


def load_volume(case: str, folder: Path, table: Mapping[int, int]) -> CaseVolume:
    """The case in `folder`. `table`: value in the mask's file -> label; 0 stays none.

    Raises DataError, naming the case, where a file cannot be read, mask and FLAIR lie on other grids, or the mask has a
    value that is not in the table."""
    files = sequences_in(folder)
    try:
        study = read_study({kind: files[kind].read_bytes() for kind in _SCANS if kind in files})
        channels = channels_of(study)
        seg = read_nifti(files["seg"].read_bytes())
    except (OSError, KeyError, RequestError) as error:
        raise DataError(f"{case}: cannot be read: {error}") from error
    grid = channels.flair.grid
    if seg.grid.shape != grid.shape or not np.allclose(seg.grid.affine_ras, grid.affine_ras, atol=_SAME_MM):
        raise DataError(f"{case}: the mask {seg.grid.shape} does not lie on the FLAIR's grid {grid.shape}")
    return CaseVolume(case, channels, shown(channels), relabelled(seg.voxels, table, case))


def relabelled(values: NDArray[np.float32], table: Mapping[int, int], case: str) -> NDArray[np.uint8]:
    """`values` of a mask's file -> labels, by `table`. Raises DataError for a value that is neither 0 nor in it."""
    labels = np.zeros(values.shape, np.uint8)
    for value in np.unique(values):
        if value == 0:
            continue
        if not np.isfinite(value) or int(value) != value or int(value) not in table:
            raise DataError(
                f"{case}: the mask has the value {value:g}; the recipe's table `masks` knows {sorted(table)}. Add it "
                "there, with the label that it means"
            )
        labels[values == value] = table[int(value)]
    return labels


def planes_of(volume: CaseVolume, pairs: Sequence[Pair]) -> list[LabelledPlane]:
    """The slices of `volume` that `pairs` name, by their numbers from 1."""
    stack = np.asarray(volume.view.plane.to_stack(volume.truth), np.uint8)
    return [LabelledPlane(pair, volume.view, pair.number - 1, stack[pair.number - 1]) for pair in pairs]


def load_planes(
    pairs: Sequence[Pair], table: Mapping[int, int], advance: Callable[[], None] = lambda: None
) -> list[LabelledPlane]:
    """Reads the cases of all `pairs`, in order; `advance` is called for each pair. About 36 MB of memory a case of
    240 x 240 x 155."""
    planes: list[LabelledPlane] = []
    for case, members in groupby(pairs, key=lambda pair: pair.case):
        own = list(members)
        planes += planes_of(load_volume(case, own[0].image.parent, table), own)
        for _ in own:
            advance()
    return planes
