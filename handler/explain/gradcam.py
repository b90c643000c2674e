"""Seg-Grad-CAM (Vinogradova, Dibrov and Myers, 2020; after Selvaraju et al., 2017) over PyTorch's own gradients: the
encoder's features, each weighted by how much the score would rise if it were stronger everywhere, summed; what is
negative is left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from handler.card import Calibration
from handler.explain.question import SHARPNESS

COARSEST = 16  # pixels of a cell: the encoder's last features, of 32, are too coarse to point at a lesion


@dataclass(frozen=True, eq=False)
class Found:
    """``heat``: float32 (h, w) of the network's input, bilinear between the cells, 0 or more; its size means nothing
    beside another slice's. ``stage``: which of the encoder's features, counted from 0, the input; ``cell``: pixels of
    the input that one of them stands for; ``channels``: how many there are."""

    heat: torch.Tensor
    stage: int
    cell: int
    channels: int


def score(question: str, logits: torch.Tensor, calibration: Calibration, region: torch.Tensor) -> torch.Tensor:
    """As :func:`handler.explain.question.scores` has it, of the logits (h, w) of one slice."""
    scale, offset = calibration.platt
    odds = scale * logits + offset
    if question == "area":
        return torch.sigmoid(odds[region]).sum()
    return torch.logsumexp(SHARPNESS * odds.flatten(), 0) / SHARPNESS


def gradcam(
    network: torch.nn.Module, image: torch.Tensor, question: str, calibration: Calibration, region: torch.Tensor
) -> Found:
    """``image``: float32 (1, c, h, w), normalised; ``region``: bool (h, w), the pixels that were tumour. Raises
    ``AttributeError`` for a network without an encoder."""
    seen: list[Any] = []
    encoder: Any = network.encoder
    hook = encoder.register_forward_hook(lambda _module, _inputs, features: seen.append(features))
    try:
        # The input is what gradients are kept for: weights need none.
        logits = network(image.clone().requires_grad_())[0, 0]
    finally:
        hook.remove()
    features = list(seen[0])
    stage = max(
        (n for n, one in enumerate(features) if one.shape[1] and image.shape[2] // one.shape[2] <= COARSEST),
        key=lambda n: (image.shape[2] // features[n].shape[2], n),
    )
    chosen = features[stage]
    (gradient,) = torch.autograd.grad(score(question, logits, calibration, region), chosen)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    cells = torch.relu((weights * chosen).sum(dim=1, keepdim=True)).detach()
    size = (image.shape[2], image.shape[3])
    heat = torch.nn.functional.interpolate(cells, size, mode="bilinear", align_corners=False)[0, 0]
    return Found(heat, stage, image.shape[2] // chosen.shape[2], chosen.shape[1])
