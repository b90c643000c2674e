"""Released weights: a folder with fp16 safetensors, the model card that describes them, and the licence."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import save

from handler.card import FileRecord, ModelCard
from handler.files import write_atomic

WEIGHTS_FILE = "weights.safetensors"
LIBRARIES = ("torch", "segmentation-models-pytorch", "safetensors", "numpy", "pillow", "tifffile", "imagecodecs")
LIMITS = (
    "Trained on pre-operative MR slices of lower-grade glioma from five institutions; other tumours, scanners, "
    "sequences, children and treated brains are out of its experience.",
    "Expects slices whose three channels are pre-contrast, FLAIR and post-contrast; grey slices are accepted with a "
    "warning, at lower quality.",
    "Marks FLAIR abnormality, which includes oedema; it does not tell tumour types or grades.",
)
STACKS = (
    "Looks at slices together with those beside them: send whole stacks. A single slice stands in for its neighbours, "
    "with the warning no_neighbours.",
)


def library_versions() -> dict[str, str]:
    """Versions of Python and of the libraries whose behaviour reaches the pixels."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def half(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Floating tensors in fp16, contiguous, without BatchNorm's step counters. Raises ``ValueError`` for a weight that
    is not finite or leaves fp16's range (65,504)."""
    weights = {}
    for name, tensor in state.items():
        if name.endswith("num_batches_tracked"):
            continue
        weights[name] = tensor.detach().cpu().half().contiguous()
        if not torch.isfinite(weights[name]).all():
            raise ValueError(f"{name}: a weight is not finite in fp16; the checkpoint is broken or needs more bits")
    return weights


def write_release(folder: Path, state: Mapping[str, torch.Tensor], card: ModelCard) -> ModelCard:
    """Writes ``weights.safetensors`` and ``model-card.json`` into ``folder``, each whole or not at all, the card last:
    a folder with a card is complete. Returns the card with digest, date, library versions and limits filled in."""
    path = folder / WEIGHTS_FILE
    # One key: safetensors writes several in random order, and the same weights would have another digest every time.
    write_atomic(path, save(half(state), metadata={"model": f"{card.name} {card.version}"}))
    complete = card.with_changes(
        weights=FileRecord.of(path),
        created=card.created or datetime.now(UTC).replace(microsecond=0).isoformat(),
        libraries=library_versions(),
        limits=card.limits or (*LIMITS, *(STACKS if card.input.view.seen > 1 else ())),
    )
    complete.write(folder)
    return complete
