"""Occlusion: a window wanders over the head, what is under it is blanked, and the answer's fall is the window's heat
(Zeiler and Fergus, 2014). By the engine that serves, so it explains what is served; nothing but its answers is
needed."""

from __future__ import annotations

import time

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.explain.look import Look, Mask

MOST_WINDOWS = 500
PARTS = 8  # windows along a side by default
SMALLEST = 8  # pixels


def default_window(side: int) -> int:
    """In pixels, of a network's grid of ``side``."""
    return max(SMALLEST, side // PARTS)


def starts(length: int, window: int) -> list[int]:
    """Where windows begin along a side of ``length``, half a window apart; the last one reaches or passes the end."""
    step = max(1, window // 2)
    return [step * n for n in range(1 + max(0, -(-(length - window) // step)))]


def windows_of(head: Mask, window: int) -> list[tuple[slice, slice]]:
    """The windows that cover any of ``head``, bool (h, w), row by row; cut at the edges."""
    rows, columns = head.shape
    every = [
        (slice(top, min(top + window, rows)), slice(left, min(left + window, columns)))
        for top in starts(rows, window)
        for left in starts(columns, window)
    ]
    return [place for place in every if head[place].any()]


def occlusion(look: Look, window: int, deadline: float, limit: float) -> tuple[NDArray[np.float32], int]:
    """The heat (h, w), in the question's unit, and how many windows it is of: the fall of the score when a window is
    blanked, the mean over the windows that cover a pixel; 0 where none does. ``deadline``: a :func:`time.monotonic`
    value; ``limit``: in seconds, what the client is told.

    Raises ``invalid_parameter`` for more than :data:`MOST_WINDOWS`, ``timeout`` as soon as it can be told that they
    will not be done in time."""
    places = windows_of(look.head, window)
    if len(places) > MOST_WINDOWS:
        raise RequestError(
            "invalid_parameter",
            f"Windows of {window} pixels would be {len(places)}, at most {MOST_WINDOWS} are looked at; give a larger "
            "window.",
        )
    begin = time.monotonic()

    def check(done: int) -> None:
        now = time.monotonic()
        expected = begin + (now - begin) * len(places) / done
        if done < len(places) and expected > deadline:
            raise RequestError(
                "timeout",
                f"{len(places)} windows would take about {expected - begin:.0f} s; {limit:.0f} are given. Give a "
                "larger window or more seconds, or take method=gradcam.",
            )

    parts = []
    for place in places:
        part = np.zeros(look.head.shape, bool)
        part[place] = True
        parts.append(part)
    falls = look.score - look.without(parts, check) if parts else np.zeros(0)
    heat, covered = np.zeros(look.head.shape), np.zeros(look.head.shape)
    for place, fall in zip(places, falls, strict=True):
        heat[place] += fall
        covered[place] += 1
    return (heat / np.maximum(covered, 1)).astype(np.float32), len(places)
