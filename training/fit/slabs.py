"""Of a network over volumes: its answers as slices, which loss and scores are about."""

from __future__ import annotations

from torch import Tensor


def answered(logits: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    """Both as slices, (m, 1, h, w). Those of single slices, (n, 1, h, w), are what they are. Of slabs, logits
    (n, 1, slices, h, w) and masks (n, 1, k, h, w), the k slices in the middle count, without those whose mask is
    negative: they stand in for what lies beyond the end of a stack."""
    if logits.ndim == 4:
        return logits, masks
    around = (logits.shape[2] - masks.shape[2]) // 2
    kept = logits[:, :, around : around + masks.shape[2]]
    flat, truth = (one.transpose(1, 2).flatten(0, 1) for one in (kept, masks))
    there = truth.flatten(1)[:, 0] >= 0
    return flat[there], truth[there]
