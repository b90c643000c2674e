"""How a volume lies before the network, and the way back: axial slices, the patient's right side on the left of the
picture, the front on top, square pixels of the size it learned from; whatever way the file's own axes run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.measure import restore
from handler.preprocess import resize
from handler.volumes.grid import Grid

# Where slices, rows and columns of what the network sees go: to the head, to the back, to the left of the patient.
# The published pictures lie so (../shared/native shows one patient both ways); coronal and sagittal ones as is usual.
AXIAL, CORONAL, SAGITTAL = "SPL", "PIL", "LIP"
PLANES = {"axial": AXIAL, "coronal": CORONAL, "sagittal": SAGITTAL}
OPPOSITE = dict(zip("RLAPSI", "LRPAIS", strict=True))
# Slices farther apart than this give no axial picture: five of its columns would be one stretched voxel.
THICKEST_MM = 3.0
# A side of the network's picture. The published pictures say nothing of millimetres; heads in them are as large as
# those of a field of view of 220 mm (docs/volumes.md).
FIELD_MM = 220.0
# The field may be this many times larger than a picture's side, no more: a file may claim steps of a micron.
MOST_PADDING = 4


@dataclass(frozen=True)
class Window:
    """The square that becomes the network's picture, in pixels of the stack: it may begin before the first pixel and
    end behind the last one. ``rows`` and ``columns`` are its sides, as equal in millimetres as whole pixels allow."""

    top: int
    left: int
    rows: int
    columns: int

    def inside(self, height: int, width: int) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """Where a picture of ``height`` x ``width`` and the window overlap: in the picture, and in the window."""
        top, bottom = max(self.top, 0), min(self.top + self.rows, height)
        left, right = max(self.left, 0), min(self.left + self.columns, width)
        picture = slice(top, bottom), slice(left, right)
        return picture, (slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left))


@dataclass(frozen=True)
class Plane:
    """``name``: ``axial``, or the volume's own where its slices are too thick for that. ``axes``: which axis of an
    array (slices, rows, columns) of the volume becomes the stack's slices, rows and columns; ``turned``: which of those
    then run backwards. ``shape`` and ``spacing_mm``: of the stack. ``reformatted``: its slices are not the volume's."""

    name: str
    axes: tuple[int, int, int]
    turned: tuple[bool, bool, bool]
    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def reformatted(self) -> bool:
        return self.axes[0] != 0

    def to_stack(self, voxels: NDArray[np.generic]) -> NDArray[np.generic]:
        """``voxels`` (slices, rows, columns) of the volume, or several of them (n, slices, rows, columns), as the
        stack: a view, so that what is written into it lands in ``voxels``."""
        before = voxels.ndim - len(self.axes)
        stack = voxels.transpose(*range(before), *(before + axis for axis in self.axes))
        slices, rows, columns = (slice(None, None, -1 if turned else 1) for turned in self.turned)
        return stack[..., slices, rows, columns]


def plane_of(grid: Grid) -> Plane:
    """How ``grid`` is shown to the network. Oblique axes go by the patient's axis that fits best."""
    own = grid.orientation[::-1]  # of slices, rows, columns
    spacing = grid.spacing_mm[::-1]
    name = "axial"
    if own[0] not in "SI" and spacing[0] > THICKEST_MM:
        name = "coronal" if own[0] in "AP" else "sagittal"
    wanted = PLANES[name]
    axes = [next(n for n in range(3) if own[n] in (letter, OPPOSITE[letter])) for letter in wanted]
    turned = [own[axis] != letter for axis, letter in zip(axes, wanted, strict=True)]
    return Plane(
        name,
        (axes[0], axes[1], axes[2]),
        (turned[0], turned[1], turned[2]),
        (grid.shape[axes[0]], grid.shape[axes[1]], grid.shape[axes[2]]),
        (spacing[axes[0]], spacing[axes[1]], spacing[axes[2]]),
    )


def _span(present: Any) -> tuple[int, int]:
    """First and last, behind it, of ``present``, bool (n,); all of it where there is none."""
    where = np.flatnonzero(present)
    return (int(where[0]), int(where[-1]) + 1) if where.size else (0, len(present))


def _side(length: int, begin: int, end: int, pixels: int) -> int:
    """Where a window of ``pixels`` begins along a side of ``length`` whose head lies from ``begin`` to ``end``: the
    picture in its middle where all of it fits, else the head in its middle, without leaving the picture."""
    if pixels >= length:
        return -((pixels - length) // 2)
    return min(max((begin + end - pixels) // 2, 0), length - pixels)


def window_of(plane: Plane, head: NDArray[np.bool_], field_mm: float = FIELD_MM) -> Window:
    """``head``: bool, of the stack's shape: where the patient is. A field of ``field_mm`` a side, larger where the head
    is, its middle the picture's, or the head's where the picture is larger than the field."""
    _, height, width = plane.shape
    _, row_mm, column_mm = plane.spacing_mm
    top, bottom = _span(head.any(axis=(0, 2)))
    left, right = _span(head.any(axis=(0, 1)))
    whole = max(height * row_mm, width * column_mm)
    field = max(field_mm, (bottom - top) * row_mm, (right - left) * column_mm)
    field = min(field, MOST_PADDING * whole)
    rows, columns = max(1, round(field / row_mm)), max(1, round(field / column_mm))
    rows, columns = min(rows, MOST_PADDING * max(height, width)), min(columns, MOST_PADDING * max(height, width))
    return Window(_side(height, top, bottom, rows), _side(width, left, right, columns), rows, columns)


def picture(images: NDArray[np.float32], window: Window, spec: InputSpec) -> NDArray[np.float32]:
    """``images`` (n, h, w, c) of the stack -> (n, spec.height, spec.width, c): the window, air where it is beyond."""
    at, to = window.inside(images.shape[1], images.shape[2])
    square = np.zeros((len(images), window.rows, window.columns, images.shape[3]), np.float32)
    square[:, to[0], to[1]] = images[:, at[0], at[1]]
    return resize(square, spec.height, spec.width)


def back(probability: NDArray[np.float32], window: Window, height: int, width: int) -> NDArray[np.float32]:
    """``probability`` (h, w), or several (n, h, w), on the network's grid -> (height, width) of the stack, 0 beyond the
    window: the inverse of :func:`picture`."""
    at, to = window.inside(height, width)
    found = np.zeros((*probability.shape[:-2], height, width), np.float32)
    found[(..., *at)] = restore(probability, window.rows, window.columns)[(..., *to)]
    return found
