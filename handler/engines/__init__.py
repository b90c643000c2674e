"""What runs the network. A new engine is one module with a class like :class:`Engine`, and a line in ``ENGINES``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard

CUDA_DRIVER = Path("/dev/nvidiactl")


class Engine(Protocol):
    """``threads``: CPU threads that work on one call. ``batch``: slices worth giving to one call. ``at_once``: calls
    worth making at a time, each from a thread of its own; a slice's logits do not depend on its neighbours there."""

    name: str
    threads: int
    batch: int
    at_once: int

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, c, h, w) normalised, c the network's channels, sides divisible by 32 -> logits (n, h, w), of a network of
        several classes (n, classes, h, w), float32, before calibration; of a network over volumes
        (n, c, slices, h, w) -> (n, slices, h, w)."""


def _torch(card: ModelCard, folder: Path, threads: int) -> Engine:
    from handler.engines.torch_engine import TorchEngine

    return TorchEngine(card, folder, threads)


def _ncnn(card: ModelCard, folder: Path, threads: int) -> Engine:
    from handler.engines.ncnn_engine import NcnnEngine

    return NcnnEngine(card, folder, threads)


def _onnxruntime(card: ModelCard, folder: Path, threads: int) -> Engine:
    from handler.engines.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(card, folder, threads)


def _openvino(card: ModelCard, folder: Path, threads: int) -> Engine:
    from handler.engines.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(card, folder, threads)


# The name of each is that of the library that it runs on.
ENGINES: dict[str, Callable[[ModelCard, Path, int], Engine]] = {
    "onnxruntime": _onnxruntime,
    "ncnn": _ncnn,
    "openvino": _openvino,
    "torch": _torch,
}


def installed(name: str) -> bool:
    """Whether the engine ``name`` could run here."""
    return importlib.util.find_spec(name) is not None


def _has_gpu() -> bool:
    if not CUDA_DRIVER.exists():
        return False  # without torch, which is half of a worker's memory
    from handler.engines.torch_engine import has_gpu

    return has_gpu()


def automatic(card: ModelCard) -> str:
    """``torch`` where there is a CUDA device; else the engine that packaging chose for the release, or another one that
    it holds files of; ``torch``, which needs the weights alone, where none of these is installed."""
    if _has_gpu():
        return "torch"
    wanted = [str(card.serving.get("engine", "")), *card.engines]
    return next((name for name in wanted if name in card.engines and installed(name)), "torch")


def open_engine(name: str, card: ModelCard, folder: Path, threads: int) -> Engine:
    """The engine ``name`` (or ``auto``) with the files in ``folder``. Raises ``ValueError`` for an unknown name, one
    whose library is not installed, or files that are not the card's."""
    chosen = automatic(card) if name == "auto" else name
    if chosen not in ENGINES:
        raise ValueError(f"engine {name!r}: expected auto or one of {', '.join(ENGINES)}")
    if not installed(chosen):
        raise ValueError(f"engine {chosen}: its library is not installed here. Install {chosen}, or take auto.")
    return ENGINES[chosen](card, folder, threads)
