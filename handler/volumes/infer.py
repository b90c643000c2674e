"""Channels -> tumour probabilities on the FLAIR's own grid, a few slices at a time."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec, ModelCard
from handler.compose import Rule, maps_of
from handler.engines import Engine
from handler.errors import RequestError
from handler.limits import MIB
from handler.measure import to_steps
from handler.neighbours import Rolling
from handler.predict import padded, predict_slices, together
from handler.scan import Warn
from handler.trust.thumbs import Thumbs, thumbs
from handler.volumes.channels import Channels
from handler.volumes.plane import Plane, Window, back, picture, plane_of, window_of
from handler.wanted import ask

HEAD = 26  # of 255: what is darker is air, as where the cards cut to the head
MOST_SLICES = 512  # that the network looks at for one request
MOST_BYTES = 768 * MIB  # of a volume's probabilities


@dataclass(frozen=True, eq=False)
class Inferred:
    """``steps``: uint16 (slices, rows, columns), of several classes (maps, slices, rows, columns), on the FLAIR's grid,
    probability * 65535; times in seconds.
    ``thumbs``: of the slices that the network saw, for a gate; none unless they were asked for."""

    steps: NDArray[np.uint16]
    preprocess_seconds: float
    inference_seconds: float
    thumbs: Thumbs


@dataclass(frozen=True, eq=False)
class Shown:
    """How the network is shown a volume. ``warnings``: ``not_axial``."""

    plane: Plane
    window: Window
    stacks: tuple[NDArray[np.uint8], ...]
    warnings: tuple[Warn, ...]


def shown(channels: Channels) -> Shown:
    """Raises ``too_large`` for more than :data:`MOST_SLICES` slices, counted as the network sees them."""
    plane = plane_of(channels.flair.grid)
    if plane.shape[0] > MOST_SLICES:
        raise RequestError(
            "too_large",
            f"The volume has {plane.shape[0]} {plane.name} slices; at most {MOST_SLICES} are taken. Send thicker ones.",
        )
    stacks = tuple(np.asarray(plane.to_stack(voxels), np.uint8) for voxels in channels.planes)
    warnings: tuple[Warn, ...] = ()
    if plane.name != "axial":
        thick = channels.flair.grid.spacing_mm[2]
        detail = (
            f"{plane.name} slices of {thick:.1f} mm are too thick to make axial ones of, which the model knows: they "
            "were looked at as they are"
        )
        warnings = (Warn("not_axial", detail),)
    ask()
    return Shown(plane, window_of(plane, stacks[1] > HEAD), stacks, warnings)


def picture_of(view: Shown, start: int, stop: int, spec: InputSpec) -> NDArray[np.float32]:
    """Slices ``start`` to ``stop`` (exclusive) of ``view``'s stack on the network's grid, (n, h, w, 3) in 0..1."""
    images = np.stack([stack[start:stop] for stack in view.stacks], axis=-1).astype(np.float32)
    images *= np.float32(1 / 255)
    return picture(images, view.window, spec)


def infer(
    engine: Engine,
    card: ModelCard,
    view: Shown,
    channels: Channels,
    deadline: float = float("inf"),
    watched: bool = False,
) -> Inferred:
    """Runs ``engine`` over all slices of ``view``. ``watched``: thumbnails for a gate are gathered too. Memory beyond
    the result is that of :func:`together` slices.

    Raises ``too_large`` where the maps of several classes would take more than :data:`MOST_BYTES`, and ``timeout`` when
    ``deadline``, a :func:`time.monotonic` value, passes before the last slice is done."""
    begin, running = time.perf_counter(), 0.0
    _check_room(card, channels)
    count, height, width = view.plane.shape
    steps = np.zeros((*maps_of(card), *channels.flair.grid.shape), np.uint16)
    looked: list[Thumbs] = []
    found = view.plane.to_stack(steps)  # a view: what is written here lies in its place in ``steps``
    step, around = together(engine, card.input), card.input.view.around
    window = Rolling(lambda first, last: picture_of(view, first, last, card.input), count, around)
    for start in range(0, count, step):
        ask()
        if time.monotonic() > deadline:
            raise RequestError("timeout", f"{start} of {count} slices were done in time. Send thicker or fewer slices.")
        stop = min(start + step, count)
        images = window.of(start, padded(stop, start, card.input))
        if watched:
            looked.append(thumbs(images[around : around + stop - start]))
        probabilities, spent = predict_slices(engine, card, images)
        running += spent
        for index, probability in enumerate(probabilities[: stop - start], start):
            found[..., index, :, :] = to_steps(back(probability, view.window, height, width))
    return Inferred(steps, time.perf_counter() - begin - running, running, Thumbs.joined(looked))


def _check_room(card: ModelCard, channels: Channels) -> None:
    size = 2 * math.prod((*maps_of(card), *channels.flair.grid.shape))
    if maps_of(card) and size > MOST_BYTES:
        raise RequestError(
            "too_large",
            f"The probabilities of {maps_of(card)[0]} classes would take {size / MIB:.0f} MiB; at most "
            f"{MOST_BYTES // MIB} are given. Send fewer or thicker slices, or coarser ones.",
        )


def slices_of(steps: NDArray[np.generic]) -> NDArray[np.generic]:
    """``steps`` (slices, rows, columns) or (maps, slices, rows, columns) -> a view with the slices first."""
    return np.moveaxis(steps, -3, 0)


def masks_of(steps: NDArray[np.uint16], plane: Plane, rule: Rule) -> NDArray[np.bool_]:
    """``steps`` as :class:`Inferred` has them -> the mask, bool (slices, rows, columns). Small components are those of
    the slices that the network saw, so that a mask does not depend on the order of a file's axes."""
    mask = np.zeros(steps.shape[-3:], np.bool_)
    found = plane.to_stack(mask)  # a view: what is written here lies in its place in ``mask``
    for index, seen in enumerate(np.asarray(slices_of(plane.to_stack(steps)), np.uint16)):
        ask()
        found[index] = rule.mask(seen)
    return mask
