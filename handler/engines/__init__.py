"""What runs the network. A new engine is one module with a class like :class:`Engine`, and a line in ``ENGINES``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard


class Engine(Protocol):
    """``threads``: CPU threads one call uses. ``batch``: slices worth giving to one call."""

    name: str
    threads: int
    batch: int

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, 3, h, w) normalised, sides divisible by 32 -> logits (n, h, w), float32, before calibration."""


def _torch(card: ModelCard, folder: Path, threads: int) -> Engine:
    from handler.engines.torch_engine import TorchEngine

    return TorchEngine(card, folder, threads)


def _ncnn(card: ModelCard, folder: Path, threads: int) -> Engine:
    from handler.engines.ncnn_engine import NcnnEngine

    return NcnnEngine(card, folder, threads)


ENGINES: dict[str, Callable[[ModelCard, Path, int], Engine]] = {"torch": _torch, "ncnn": _ncnn}


def automatic(card: ModelCard) -> str:
    """``torch`` where there is a CUDA device or the release has nothing else, else ``ncnn``."""
    from handler.engines.torch_engine import has_gpu

    return "ncnn" if "ncnn" in card.engines and not has_gpu() else "torch"


def open_engine(name: str, card: ModelCard, folder: Path, threads: int) -> Engine:
    """The engine ``name`` (or ``auto``) with the files in ``folder``. Raises ``ValueError`` for an unknown name or
    files that are not the card's."""
    chosen = automatic(card) if name == "auto" else name
    if chosen not in ENGINES:
        raise ValueError(f"engine {name!r}: expected auto or one of {', '.join(ENGINES)}")
    return ENGINES[chosen](card, folder, threads)
