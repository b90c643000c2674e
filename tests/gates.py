"""Gates whose word is known: by how bright the first channel is."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from handler.trust.gate import CLASSES, Gate, look_of
from training.trust.network import onnx_of


class ByT1(nn.Module):
    """Calls a thumbnail whose head, in the first channel, is brighter than ``cut``, 0..1, by ``reason``. Its distance
    is that brightness."""

    def __init__(self, cut: float, reason: str) -> None:
        super().__init__()
        self._cut, self._reason = cut, CLASSES.index(reason)

    def forward(self, thumbs: Tensor) -> tuple[Tensor, Tensor]:
        images = thumbs.to(torch.float32) / 255
        head = (images.amax(dim=3) > 0.03).to(torch.float32)
        bright = (images[..., 0] * head).sum(dim=(1, 2)) / (head.sum(dim=(1, 2)) + 1e-4)
        known = torch.sigmoid(80 * (self._cut - bright))
        nothing = torch.zeros_like(known)
        columns = [nothing] * len(CLASSES)
        columns[0], columns[self._reason] = known, 1 - known
        return torch.stack(columns, dim=1), bright


@functools.cache
def network_by_t1(cut: float = 0.5, reason: str = "other_contrast") -> bytes:
    """The content of its file."""
    return onnx_of(ByT1(cut, reason))


def by_t1(cut: float = 0.5, reason: str = "other_contrast", share: float = 0.5) -> Gate:
    """Accepts slices whose head, in the first channel, is darker than ``cut``, 0..1."""
    return Gate(look_of(network_by_t1(cut, reason)), 1e9, 0.5, share)
