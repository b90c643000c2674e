"""Pictures of a stack too large for one answer: the same request again for parts of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from brainseg_client.errors import ScanError
from brainseg_client.results import Segmentation, Slice

Fetch = Callable[[tuple[int, int] | None, bool], Segmentation]


def _pictures(fetch: Fetch, first: int, last: int) -> list[Slice]:
    """Slices ``first`` to ``last`` with pictures, by windows halved until they fit."""
    try:
        return list(fetch((first, last), True).slices[first : last + 1])
    except ScanError as error:
        if error.code != "response_too_large" or first == last:
            raise
    middle = (first + last) // 2
    return _pictures(fetch, first, middle) + _pictures(fetch, middle + 1, last)


def in_windows(fetch: Fetch) -> Segmentation:
    """``fetch(slices, pictures)`` asks for the pictures of a span of slices (None: all), or for measurements alone. In
    the result every slice has its pictures. Each window costs the server a run over the whole stack."""
    try:
        return fetch(None, True)
    except ScanError as error:
        if error.code != "response_too_large":
            raise
    whole = fetch(None, False)
    return replace(whole, slices=tuple(_pictures(fetch, 0, whole.input.slices - 1)))
