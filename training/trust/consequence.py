"""What comes of a gate's word: tumour called in healthy heads that it lets through, and the Dice of what it refuses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.engines import Engine
from handler.measure import mask_of, to_steps
from handler.predict import predict_slices
from handler.trust.gate import Gate
from training.judge.metrics import dice_of
from training.trust.collect import Group

Segment = Callable[[NDArray[np.uint8]], NDArray[np.bool_]]


def segmenting(engine: Engine, card: ModelCard) -> Segment:
    """uint8 (h, w, 3) on the network's grid -> its mask, bool (h, w), as an answer has it."""

    def segment(image: NDArray[np.uint8]) -> NDArray[np.bool_]:
        found, _ = predict_slices(engine, card, image[None].astype(np.float32) / np.float32(255), alone=True)
        return mask_of(to_steps(found[0]), card.threshold, card.min_lesion_pixels)

    return segment


def consequences(gate: Gate, groups: Sequence[Group], segment: Segment) -> list[dict[str, Any]]:
    """A row a group with ``images``. Of healthy heads ``passed`` and ``called_tumour``, those that pass and are called
    tumour; of own slices that show something ``refused`` and ``refused_dice``, the mean Dice of what the network would
    have answered; None where none is refused."""
    rows = []
    for group in groups:
        if group.images is None:
            continue
        alone = [gate.judge(group.thumbs.only([i])).scan for i in range(len(group.thumbs))]
        passed = np.array([bool(one.accepted) for one in alone])
        row: dict[str, Any] = {"kind": group.name, "slices": len(passed)}
        if group.truths is None:
            called = sum(bool(segment(group.images[i]).any()) for i in np.flatnonzero(passed))
            rows.append(row | {"passed": int(passed.sum()), "called_tumour": called})
            continue
        refused = np.flatnonzero(~passed & ~group.thumbs.blank)
        found = [_dice(segment(group.images[i]), group.truths[i]) for i in refused]
        with_tumour = int(sum(group.truths[i].any() for i in refused))
        mean = round(float(np.mean(found)), 4) if found else None
        rows.append(row | {"refused": len(refused), "refused_with_tumour": with_tumour, "refused_dice": mean})
    return rows


def _dice(mask: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """1 where both are empty."""
    return dice_of(float((mask & truth).sum()), float(mask.sum()), float(truth.sum()))
