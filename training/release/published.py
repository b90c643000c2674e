"""Checkpoints of others: a network's tensors as ``torch.save`` left them, bare, under a key, or inside a wrapper, with
the published form's scores where they are given: ``{"model_state_dict", "epoch", "val_iou", "val_dice"}``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from handler.card import Architecture
from handler.network import DECODERS, usual
from training.fit.start import UNREADABLE, pretender
from training.release.encoders import differing, find_encoder
from training.release.told import check_kind, in_channels

STATE_KEYS = ("model_state_dict", "state_dict")
LANDMARK = (
    "segmentation_head.0.weight"  # every network of ours has it once: what stands before it is a wrapper's prefix
)
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
    """``state``: float tensors by the network's own names; scores as the file states them, 0..1, policy unknown; None
    where it states none."""

    state: Mapping[str, torch.Tensor]
    architecture: Architecture
    epoch: int | None
    val_iou: float | None
    val_dice: float | None

    @property
    def scores(self) -> dict[str, float]:
        """Those that the file states."""
        stated = {"val_iou": self.val_iou, "val_dice": self.val_dice}
        return {name: score for name, score in stated.items() if score is not None}


def _load(path: Path) -> Mapping[str, Any]:
    if what := pretender(path):
        raise ValueError(f"{path.name} is no checkpoint but {what}")
    try:
        with torch.serialization.safe_globals(NUMPY_SCALARS):
            loaded = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise ValueError(
            f"{path.name} is not a checkpoint that can be read safely ({type(error).__name__}); expected a file of "
            "torch.save with nothing but tensors and numbers in it"
        ) from error
    if not isinstance(loaded, Mapping):
        raise ValueError(f"{path.name} holds a {type(loaded).__name__}; expected a mapping of names to tensors")
    return loaded


def _tensors(loaded: Mapping[str, Any], name: str) -> Mapping[str, torch.Tensor]:
    """The mapping of names to tensors: under a key of :data:`STATE_KEYS`, else the file itself."""
    key = next((key for key in STATE_KEYS if key in loaded), None)
    state = loaded if key is None else loaded[key]
    if not isinstance(state, Mapping) or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        found = ", ".join(map(str, list(loaded)[:6]))
        raise ValueError(
            f"{name} holds {found}: {key or 'the file'} is no mapping of names to tensors; expected the tensors "
            f"themselves, or under {' or '.join(STATE_KEYS)}"
        )
    return state


def _unwrapped(state: Mapping[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """The network's tensors by its own names: ``module.`` of DataParallel, ``model.`` of a Lightning module or whatever
    stands before all of them is taken off; what lies beside (buffers of losses and metrics) is left out."""
    prefixes = [key.removesuffix(LANDMARK) for key in state if key.endswith(LANDMARK)]
    if len(prefixes) != 1:
        raise ValueError(
            f"{name}: {len(prefixes)} networks in it ({', '.join(prefixes[:3]) or f'no {LANDMARK}'}); expected one of "
            "segmentation_models_pytorch. Save that one's state_dict alone."
        )
    (prefix,) = prefixes
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def _architecture(
    state: Mapping[str, torch.Tensor], encoder: str | None, name: str, sequences: Sequence[str] | None
) -> Architecture:
    decoder = check_kind(state, LANDMARK, name, sequences)
    channels = in_channels(state)[1]
    found = encoder or find_encoder(state, decoder, channels)
    if found is None:
        raise ValueError(
            f"{name} has none of the encoders that segmentation_models_pytorch lists; for one of timm's name it, as in "
            "--encoder tu-convnext_tiny"
        )
    architecture = usual(decoder, found, channels)
    wrong = differing(state, architecture)
    if wrong:
        raise ValueError(
            f"{name} is not a {architecture.label}: {len(wrong)} tensors differ, such as {wrong[0]}. "
            f"{_hint(state, architecture, given=encoder is not None)}"
        )
    return architecture


def _hint(state: Mapping[str, torch.Tensor], architecture: Architecture, given: bool) -> str:
    """What to do about a network that differs from ``architecture``."""
    encoder, decoder = architecture.encoder, architecture.decoder
    fits = find_encoder(state, decoder, architecture.in_channels) if given else encoder
    if fits == encoder:
        return (
            f"Its encoder is {fits} and its decoder another than smp.{DECODERS[decoder].model}({fits!r}) makes by "
            "default, which alone can be released: train one with scripts/train."
        )
    if fits:
        return f"Its encoder is {fits}: give --encoder {fits}, or leave --encoder away."
    return "None of the encoders that segmentation_models_pytorch lists fits; one of timm's is named tu-<its name>."


def _number(loaded: Mapping[str, Any], key: str) -> float | None:
    return None if key not in loaded or isinstance(loaded[key], torch.Tensor) else float(loaded[key])


def read_published(
    path: Path, encoder: str | None = None, sequences: Sequence[str] | None = None
) -> PublishedCheckpoint:
    """Reads ``path`` without running anything in it (``weights_only=True``). Without ``encoder``, found by its tensors.
    ``sequences``: what its channels are, where they are fewer than three.

    Raises ``FileNotFoundError``; ``ValueError`` when it is not such a checkpoint or has not this encoder, or not these
    channels."""
    loaded = _load(path)
    state = _unwrapped(_tensors(loaded, path.name), path.name)
    architecture = _architecture(state, encoder, path.name, sequences)
    try:
        epoch, iou, dice = (_number(loaded, key) for key in ("epoch", "val_iou", "val_dice"))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path.name}: epoch, val_iou and val_dice must be numbers: {error}") from error
    return PublishedCheckpoint(state, architecture, None if epoch is None else int(epoch), iou, dice)
