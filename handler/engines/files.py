"""What the engines that run converted files have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard

INPUT, OUTPUT = "in0", "out0"
SIDE_STEP = 32  # of an input's height and width, in pixels
ONNX_FILE = "network.onnx"


def verified(card: ModelCard, engine: str, folder: Path, names: tuple[str, ...]) -> list[Path]:
    """The files ``names`` of ``engine`` in ``folder``, in that order. Raises ``ValueError`` where they are not the
    card's."""
    records = card.engines.get(engine, ())
    if {record.file for record in records} != set(names):
        raise ValueError(f"the model card lists no {engine} files; package the release again with --engine {engine}")
    for record in records:
        record.verify(folder)
    return [folder / name for name in names]


def squeezed(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a network gives, (n, classes, h, w), as :meth:`handler.engines.Engine.logits` gives it: one class has no
    axis of its own."""
    return logits[:, 0] if logits.shape[1] == 1 else logits


def check_sides(images: NDArray[np.float32]) -> None:
    """Raises ``ValueError`` for a height or width that is no multiple of :data:`SIDE_STEP`."""
    height, width = images.shape[-2:]
    if height % SIDE_STEP or width % SIDE_STEP:
        raise ValueError(f"input {height} x {width}: each side must be divisible by {SIDE_STEP}")
