"""DICOM files -> the volumes that are in them, known from headers, to be decoded where they are chosen."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.limits import Limits
from handler.scan import Warn
from handler.volumes.dicom.beside import Decoder
from handler.volumes.dicom.codecs import check_supported
from handler.volumes.dicom.files import Instance, parse
from handler.volumes.dicom.frames import Frame, frames_of, is_mr
from handler.volumes.dicom.pixels import Pixels
from handler.volumes.dicom.split import series_of, volumes_of
from handler.volumes.dicom.stack import stack
from handler.volumes.dicom.values import Budget, text
from handler.volumes.volume import Acquisition, DicomFrame, DicomSource, Volume
from handler.volumes.zips import Packed
from handler.wanted import ask

# Those that a message may name: the rest could be anybody's text.
MODALITIES = (
    "CT",
    "PT",
    "NM",
    "US",
    "CR",
    "DX",
    "MG",
    "XA",
    "RF",
    "SC",
    "OT",
    "SEG",
    "SR",
    "PR",
    "RTSTRUCT",
    "DOC",
    "KO",
)


@dataclass(frozen=True, eq=False)
class Found:
    """``plane``: by the normal of the slices; ``no one plane`` where they have several. ``load``: gate and decoder,
    given the voxels that were taken already."""

    acquisition: Acquisition
    size: tuple[int, int, int]
    plane: str
    load: Callable[[int], Volume]


def plane_of(frames: Sequence[Frame]) -> str:
    """``axial``, ``coronal`` or ``sagittal``, oblique ones by the nearest."""
    told = {frame.orientation for frame in frames}
    if None in told:
        return "no one plane"
    normals = [np.abs(np.cross(o[:3], o[3:])) for o in told if o is not None]
    nearest = {int(normal.argmax()) for normal in normals}
    return ("sagittal", "coronal", "axial")[nearest.pop()] if len(nearest) == 1 else "no one plane"


def _decoded(
    frames: Sequence[Frame], instances: Sequence[Instance], shape: tuple[int, int, int]
) -> NDArray[np.float32]:
    """With a process beside for each way of compression that occurs."""
    with ExitStack() as processes:
        decoders: dict[str, Decoder] = {}

        def decoder(syntax: str) -> Decoder:
            if syntax not in decoders:
                check_supported(syntax)
                decoders[syntax] = processes.enter_context(Decoder(syntax, math.prod(shape)))
            return decoders[syntax]

        return _filled(frames, instances, shape, decoder)


def _filled(
    frames: Sequence[Frame],
    instances: Sequence[Instance],
    shape: tuple[int, int, int],
    decoder: Callable[[str], Decoder],
) -> NDArray[np.float32]:
    voxels = np.empty(shape, np.float32)
    opened: dict[int, Pixels] = {}
    for n, frame in enumerate(frames):
        ask()
        if frame.instance not in opened:
            if len(opened) > 8 and frame.of == 1:
                opened.clear()
            opened[frame.instance] = Pixels(instances[frame.instance], decoder)
        numbers = opened[frame.instance].frame(frame.frame - 1)
        plain = (frame.slope, frame.intercept) == (1.0, 0.0)
        voxels[n] = numbers if plain else numbers * frame.slope + frame.intercept
    if not (np.isfinite(voxels.min()) and np.isfinite(voxels.max())):
        raise RequestError("corrupt_image", "Rescaled by its slope and intercept, the series leaves every range.")
    return voxels


def _load(frames: Sequence[Frame], instances: Sequence[Instance], digest: str, limits: Limits, others: int) -> Volume:
    ordered, grid, warnings = stack(frames)
    limits.check_volume(grid.size, others)
    voxels = _decoded(ordered, instances, grid.shape)
    used = sorted({frame.instance for frame in ordered})
    source = DicomSource(
        tuple(instances[n].dataset for n in used),
        tuple(DicomFrame(used.index(frame.instance), frame.frame) for frame in ordered),
    )
    return Volume(voxels, grid, source, ordered[0].acquisition, "dicom", digest, warnings)


def _parsed(file: Packed, limits: Limits, budget: Budget) -> Instance:
    ask()
    return parse(file, limits, budget)


def _mr(files: Sequence[Packed], limits: Limits) -> tuple[list[Instance], Budget, tuple[Warn, ...]]:
    budget = Budget(limits.dicom_elements)
    instances = [_parsed(file, limits, budget) for file in files]
    kept = [instance for instance in instances if is_mr(instance)]
    if not kept:
        kinds = {text(instance.dataset, "Modality") for instance in instances}
        known = sorted(kind for kind in kinds if kind in MODALITIES)
        raise RequestError(
            "not_mr",
            f"The DICOM files are no MR images ({', '.join(known) or 'of another kind'}); expected FLAIR, T1, T1 with "
            "contrast.",
        )
    left = len(instances) - len(kept)
    return kept, budget, (Warn("objects_skipped", f"{left} DICOM objects are no MR images"),) if left else ()


def find_series(
    files: Sequence[Packed], part: str, digest: str, limits: Limits
) -> tuple[list[Found], tuple[Warn, ...]]:
    """The MR volumes in ``files``, in the order of the upload; at least one.

    Raises ``not_mr``, ``corrupt_image``, ``too_large``. Geometry is looked at when one is loaded: what nobody chooses,
    such as a localizer, may be as it likes."""
    instances, budget, warnings = _mr(files, limits)
    frames = [frame for n, instance in enumerate(instances) for frame in frames_of(n, instance, budget, part)]
    found = []
    for series in series_of(frames):
        for volume in volumes_of(series):

            def load(others: int, volume: Sequence[Frame] = volume) -> Volume:
                return _load(volume, instances, digest, limits, others)

            size = (volume[0].columns, volume[0].rows, len(volume))
            found.append(Found(volume[0].acquisition, size, plane_of(volume), load))
    return found, warnings
