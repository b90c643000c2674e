"""The proof that an engine computes what the reference, PyTorch, computes."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from archive.known import HALF_PROBABILITY_TOLERANCE
from handler.card import ModelCard
from handler.compose import probabilities, tumour_of
from handler.engines import Engine
from handler.engines.files import SIDE_STEP
from handler.neighbours import inputs_of
from samples.phantom import draw

# The bar for an engine: farther from the reference in a probability, or a pixel that changes sides although the
# reference is this far from the threshold, and there is no archive.
TOLERANCE = 1e-3
# The same for half precision, the torch engine's on CUDA: what known answers are compared with there.
HALF_TOLERANCE = HALF_PROBABILITY_TOLERANCE
# A CPU without float16 arithmetic takes seconds a slice for it, so only the first phantom is compared, at both sizes.
HALF_INPUTS = 2


class ParityError(Exception):
    """An engine does not compute what the reference computes."""


def parity_inputs(card: ModelCard) -> list[NDArray[np.float32]]:
    """The fixed set: phantoms with and without lesion, noise, black, white; at the network's size (its longer side, of
    128 to 256 pixels: large ones take no more than the proof needs) and at another."""
    side = SIDE_STEP * min(8, max(4, ceil(max(card.input.height, card.input.width) / SIDE_STEP)))
    images = [
        (draw(seed, radius, side).image / 255).astype(np.float32) for seed, radius in ((1, 0.09), (2, 0.0), (3, 0.04))
    ]
    images += [np.random.default_rng(4).random((side, side, 3), np.float32)]
    images += [np.zeros((side, side, 3), np.float32), np.ones((side, side, 3), np.float32)]
    # Of a network that sees several slices, those that come next in the set lie around each.
    around = [np.arange(i, i + card.input.view.seen) - card.input.view.seen // 2 for i in range(len(images))]
    stacks = [np.stack(images).astype(np.float32)[indices % len(images)] for indices in around]
    sizes = ((side, side), (side - SIDE_STEP, side - 2 * SIDE_STEP))
    return [inputs_of(stack[None, :, :h, :w], card.input) for stack in stacks for h, w in sizes]


def difference(
    card: ModelCard, reference: Engine, engine: Engine, tolerance: float, count: int | None = None
) -> dict[str, Any]:
    """How far ``engine`` is from ``reference`` on the first ``count`` of :func:`parity_inputs` (None: all). ``within``:
    no probability differs by more than ``tolerance``, and no pixel that is farther than that from the threshold changes
    sides. Of several classes: the probabilities of each, and of tumour the sides."""
    largest, flipped = 0.0, 0
    inputs = parity_inputs(card)[:count]
    for image in inputs:
        want = probabilities(reference.logits(image), card)
        got = probabilities(engine.logits(image), card)
        # max() would pass over NaN, and so would a comparison: it counts as a difference without bound.
        largest = max(largest, float(np.nan_to_num(np.abs(want - got), nan=np.inf).max()))
        want, got = tumour_of(want, card), tumour_of(got, card)
        clear = np.abs(want - card.threshold) > tolerance
        flipped += int(np.count_nonzero(clear & ((want > card.threshold) != (got > card.threshold))))
    return {
        "inputs": len(inputs),
        "max_probability_difference": round(largest, 8),
        "flipped_pixels": flipped,
        "tolerance": tolerance,
        "reference": reference.name,
        "within": bool(largest <= tolerance and not flipped),
    }


def compare(card: ModelCard, reference: Engine, engine: Engine) -> Mapping[str, Any]:
    """The record of :func:`difference`; raises :class:`ParityError` when it is not within :data:`TOLERANCE`."""
    record = difference(card, reference, engine, TOLERANCE)
    if not record["within"]:
        raise ParityError(f"engine {engine.name} differs from {reference.name}: {record}")
    return record
