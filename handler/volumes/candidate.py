"""A volume that an upload offers, known from headers alone: its voxels are decoded only where it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from handler.volumes.sequences import NAMES, Recognised
from handler.volumes.volume import Acquisition, Volume


@dataclass(frozen=True, eq=False)
class Candidate:
    """``number``: counted from 1 in the order of the upload, as messages and the field ``series`` have it. ``size``:
    columns, rows, slices. ``plane``: ``axial``, ``coronal``, ``sagittal``, or ``no one plane``. ``recognised``: which
    sequence it is taken for, None where it looks like none of them. ``load``: decodes it, given the voxels that were
    taken already; raises the refusal of whatever is wrong with it."""

    number: int
    acquisition: Acquisition
    size: tuple[int, int, int]
    plane: str
    recognised: Recognised | None
    load: Callable[[int], Volume]

    @property
    def shown(self) -> str:
        """For a message: nothing in it is text from the file."""
        kind = NAMES[self.recognised.channel] if self.recognised else "not recognised"
        columns, rows, slices = self.size
        return f"{self.number}: {self.plane}, {columns} x {rows}, {slices} slices, {kind}"
