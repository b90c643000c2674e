"""A network of several classes seen as one of tumour alone, for gradients."""

from __future__ import annotations

from typing import Any

import torch

from handler.card import Calibration, ModelCard
from handler.labels import SOFTMAX, Labelling


class Tumour(torch.nn.Module):
    """Float32 (1, c, h, w) -> the log-odds of tumour, (1, 1, h, w): of the probability that
    :meth:`handler.compose.Rule.tumour` gives, calibration included."""

    def __init__(self, network: torch.nn.Module, card: ModelCard, labelling: Labelling) -> None:
        super().__init__()
        self.encoder: Any = network.encoder  # whose features gradients are taken of
        self._network, self._labelling = network, labelling
        self._scale, self._offset = (
            torch.tensor(number).reshape(-1, 1, 1) for number in (card.calibration.scale, card.calibration.offset)
        )
        thresholds = torch.tensor([region.threshold for region in labelling.regions])
        usual = torch.logit(torch.tensor(card.threshold))
        self._moved = (usual - torch.logit(thresholds)).reshape(-1, 1, 1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        odds = self._scale * self._network(images) + self._offset
        if self._labelling.activation == SOFTMAX:
            return odds[:, 1:].amax(dim=1, keepdim=True) - odds[:, :1]
        return (odds + self._moved).amax(dim=1, keepdim=True)


def of_tumour(network: torch.nn.Module, card: ModelCard) -> tuple[torch.nn.Module, Calibration]:
    """``network`` and the calibration of what it gives, (n, 1, h, w)."""
    if card.labelling is None:
        return network, card.calibration
    return Tumour(network, card, card.labelling), Calibration()
