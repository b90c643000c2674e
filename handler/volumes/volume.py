"""What the readers give back and the writers need: voxels, their grid, and what the file said beside them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.scan import Warn
from handler.volumes.grid import Grid


@dataclass(frozen=True, eq=False)
class NiftiSource:
    """``header``: nibabel's Nifti1Header or Nifti2Header as read: both transforms, both codes and the unit code. A mask
    carries them over, so that every program puts it where it puts the scan."""

    header: Any = field(repr=False)


@dataclass(frozen=True)
class DicomFrame:
    """Where a slice came from: ``dataset`` is an index into :attr:`DicomSource.datasets`, ``frame`` the frame in it,
    counted from 1 as DICOM does (1 for classic objects)."""

    dataset: int
    frame: int


@dataclass(frozen=True, eq=False)
class DicomSource:
    """``datasets``: pydicom datasets without their pixels, one a slice (classic) or one for many (Enhanced).
    ``frames``: one a slice, in the order of the volume's slices. What identifies a patient is in here: it goes into a
    DICOM SEG, which must carry it, and nowhere else."""

    datasets: tuple[Any, ...] = field(repr=False)
    frames: tuple[DicomFrame, ...]


@dataclass(frozen=True)
class Acquisition:
    """What is known about how a volume was taken, None where the file does not say. Times in milliseconds.
    ``description`` and ``name`` are used to recognise a sequence and never leave the process.
    ``frame_of_reference`` is a UID; ``name``: the part that the volume came under. ``gradient_echo``:
    without a refocusing pulse; ``no_plain_image``: derived, a phase, a diffusion weighting, angiogram, localizer."""

    modality: str | None = None
    echo_ms: float | None = None
    repetition_ms: float | None = None
    inversion_ms: float | None = None
    contrast_agent: bool | None = None
    description: str | None = field(default=None, repr=False)
    frame_of_reference: str | None = None
    name: str | None = None
    gradient_echo: bool | None = None
    no_plain_image: bool = False


@dataclass(frozen=True, eq=False)
class Volume:
    """``voxels``: float32 (slices, rows, columns), rescaled by the file's slope and intercept, finite.
    ``format``: ``nifti`` or ``dicom``. ``sha256``: hex digest of the bytes as sent (of a zip: of the whole zip)."""

    voxels: NDArray[np.float32]
    grid: Grid
    source: NiftiSource | DicomSource
    acquisition: Acquisition
    format: str
    sha256: str
    warnings: tuple[Warn, ...] = field(default=())

    def __post_init__(self) -> None:
        if self.voxels.shape != self.grid.shape:
            raise ValueError(f"voxels of shape {self.voxels.shape} on a grid of {self.grid.shape}")
