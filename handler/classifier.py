"""The network that says which of several classes a slice shows: an encoder, its last map averaged, a head."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor

from handler.card import Architecture


class Classifier(torch.nn.Module):
    """``encoder`` as segmentation_models_pytorch names and makes it, with random weights; a ``head`` on the mean of its
    last map: dropout and one layer, before it one of each width in ``decoder_channels`` with a ReLU.

    Float32 (n, in_channels, h, w) -> logits (n, 1, 1, classes), h and w divisible by 32: a map of one row, so that
    engines, parity and archives need not know it from a segmentation."""

    def __init__(self, architecture: Architecture, dropout: float = 0.0) -> None:
        import segmentation_models_pytorch as smp  # costs two seconds: not for those who only read cards

        super().__init__()
        # The library has encoders of its own and timm's; to the type checker they are anything.
        encoder: Any = smp.encoders.get_encoder(
            architecture.encoder, in_channels=architecture.in_channels, depth=5, weights=None
        )
        self.encoder: torch.nn.Module = encoder
        widths = [encoder.out_channels[-1], *architecture.decoder_channels]
        layers: list[torch.nn.Module] = []
        for before, after in itertools.pairwise(widths):
            layers += [torch.nn.Linear(before, after), torch.nn.ReLU()]
        layers += [torch.nn.Dropout(dropout), torch.nn.Linear(widths[-1], architecture.classes)]
        self.head = torch.nn.Sequential(*layers)

    def features(self, images: Tensor) -> Tensor:
        """The encoder's last map, (n, channels, h / 32, w / 32)."""
        last: Tensor = self.encoder(images)[-1]
        return last

    def judge(self, features: Tensor) -> Tensor:
        """Logits (n, classes) of what :meth:`features` gives."""
        logits: Tensor = self.head(features.mean(dim=(2, 3)))
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.judge(self.features(images))[:, None, None]
