"""Networks over several slices whose answers are known: a slice is marked where the one before it is bright."""

from __future__ import annotations

import torch

from handler.card import IMAGENET_MEAN, IMAGENET_STD, OVER_VOLUMES, Architecture, InputSpec
from handler.depth import VOLUME
from handler.pipeline import Model
from handler.volumetric import LABEL
from tests.handler.models import FLAIR_CHANNEL, model

GAIN, CUT = 20.0, 0.602  # between two grey values
DEPTHS = (3, 5, VOLUME)


def architecture(depth: int | str) -> Architecture:
    if depth == VOLUME:
        return Architecture(OVER_VOLUMES, LABEL, (4, 4, 8))
    return Architecture(in_channels=3 * int(depth))


def rule(depth: int | str) -> torch.nn.Module:
    """logit = GAIN * (FLAIR of the slice before - CUT)."""
    if depth == VOLUME:
        layer: torch.nn.Module = torch.nn.Conv3d(3, 1, (3, 1, 1), padding=(1, 0, 0))
        place = (0, FLAIR_CHANNEL, 0)
    else:
        layer = torch.nn.Conv2d(3 * int(depth), 1, 1)
        place = (0, 3 * (int(depth) // 2 - 1) + FLAIR_CHANNEL)
    with torch.no_grad():
        layer.weight.zero_()
        layer.weight[place] = GAIN * IMAGENET_STD[FLAIR_CHANNEL]
        layer.bias.fill_(GAIN * (IMAGENET_MEAN[FLAIR_CHANNEL] - CUT))
    return layer.eval()


def deep(depth: int | str, batch: int = 1, side: int = 64, **changes: object) -> Model:
    spec = InputSpec(side, side, depth=depth)
    return model(rule(depth), batch=batch, architecture=architecture(depth), input=spec, **changes)
