"""How many slices of a stack a network sees at a time: one, each with its neighbours, or a slab of a volume."""

from __future__ import annotations

from dataclasses import dataclass

VOLUME = "volume"  # the depth of a network over three axes
SLAB = 16  # slices that such a network sees: as many as it is trained on
CONTEXT = 4  # of these at either end that it sees only for the sake of those between
NEIGHBOURS = (3, 5)


@dataclass(frozen=True)
class View:
    """``around``: slices on either side of those that are answered for. ``kept``: how many are in one call and for one
    input. ``planes``: pictures that lie in the channels of one input; ``slab``: they lie along an axis of their own."""

    around: int = 0
    kept: int = 1
    planes: int = 1
    slab: bool = False

    @property
    def seen(self) -> int:
        """Slices of one input."""
        return self.kept + 2 * self.around


def view_of(depth: int | str) -> View:
    """What a card's ``depth`` means: 1, a slice by itself; 3 or 5, one with its neighbours as further channels;
    :data:`VOLUME`, :data:`SLAB` slices at a time. Raises ``ValueError`` for another."""
    if depth == VOLUME:
        return View(CONTEXT, SLAB - 2 * CONTEXT, 1, slab=True)
    if type(depth) is int and (depth == 1 or depth in NEIGHBOURS):  # True is 1 to Python
        return View((depth - 1) // 2, 1, depth)
    raise ValueError(f"input.depth {depth!r}: expected 1, {', '.join(map(str, NEIGHBOURS))} or {VOLUME!r}")
