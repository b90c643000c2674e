"""Test-time augmentation: the network looks at each slice as it is and in the mirror, and the two are averaged.

A head's halves are nearly alike, and the networks are trained on mirrored slices too, so the second look is as good as
the first and errs elsewhere. What it gains and costs is in docs/trust.md."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from handler.engines import Engine


class Mirrored:
    """``engine`` at twice its time, with the mean of the logits of a slice and of its left-right mirror image."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.threads, self.batch, self.at_once = engine.name, engine.threads, engine.batch, engine.at_once
        self._engine = engine

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :class:`handler.engines.Engine` has it; columns, the last axis, run from one side of the head to the
        other. The batch is what it is without the mirror, so a slice gets the same logits alone and in a stack."""
        seen = self._engine.logits(images)
        mirrored = self._engine.logits(np.ascontiguousarray(images[..., ::-1]))[..., ::-1]
        return (seen + mirrored) * np.float32(0.5)


def looking(engine: Engine, tta: str) -> Engine:
    """``engine`` as the field ``tta``, ``none`` or ``flip``, has it look."""
    return Mirrored(engine) if tta == "flip" else engine
