"""Checkpoints in the published form: ``torch.save({"model_state_dict", "epoch", "val_iou", "val_dice"})``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handler.card import Architecture
from handler.network import build
from training.fit.start import UNREADABLE

KEYS = ("model_state_dict", "epoch", "val_iou", "val_dice")
# The scores may be numpy scalars, which torch's safe unpickler refuses unless their builders are named. All they can do
# is make a number. numpy 1 and 2 pickle them under different names.
_SCALAR = np.float64(0).__reduce__()[0]
NUMPY_SCALARS: list[Any] = [
    np.dtype,
    *((_SCALAR, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *(type(np.dtype(name)) for name in ("float16", "float32", "float64", "int32", "int64")),
]


@dataclass(frozen=True)
class PublishedCheckpoint:
    """``state``: float tensors by the network's own names; scores as the file states them, 0..1, policy unknown."""

    state: Mapping[str, torch.Tensor]
    epoch: int
    val_iou: float
    val_dice: float


def _load(path: Path) -> Mapping[str, Any]:
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise ValueError(
            f"{path.name} is not a checkpoint that can be read safely ({type(error).__name__}); expected a file of "
            f"torch.save with the keys {', '.join(KEYS)} and nothing but tensors and numbers in it"
        ) from error
    if not isinstance(loaded, Mapping) or not set(KEYS) <= set(loaded):
        found = ", ".join(map(str, list(loaded)[:6])) if isinstance(loaded, Mapping) else type(loaded).__name__
        raise ValueError(f"{path.name} holds {found}; expected the keys {', '.join(KEYS)}")
    return loaded


def _check_state(state: object, architecture: Architecture, name: str) -> Mapping[str, torch.Tensor]:
    if not isinstance(state, Mapping) or not all(isinstance(t, torch.Tensor) for t in state.values()):
        raise ValueError(f"{name}: model_state_dict is no mapping of names to tensors")
    expected = {key: tensor.shape for key, tensor in build(architecture).state_dict().items()}
    found = {key: tensor.shape for key, tensor in state.items()}
    wrong = sorted(key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key))
    if wrong:
        raise ValueError(
            f"{name} is not a {architecture.label}: {len(wrong)} tensors differ, such as {wrong[0]}: "
            f"found {found.get(wrong[0])}, expected {expected.get(wrong[0])}. Give the right --encoder."
        )
    return state


def read_published(path: Path, architecture: Architecture) -> PublishedCheckpoint:
    """Reads ``path`` without running anything in it (``weights_only=True``).

    Raises ``FileNotFoundError``; ``ValueError`` when it is not such a checkpoint or not of ``architecture``."""
    loaded = _load(path)
    state = _check_state(loaded["model_state_dict"], architecture, path.name)
    try:
        return PublishedCheckpoint(state, int(loaded["epoch"]), float(loaded["val_iou"]), float(loaded["val_dice"]))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: epoch, val_iou and val_dice must be numbers: {error}") from error
