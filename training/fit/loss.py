"""Weighted binary cross-entropy plus soft Dice, from logits."""

from __future__ import annotations

import torch
from torch import Tensor

from training.fit.recipe import LossRecipe


class SegmentationLoss(torch.nn.Module):
    """`bce` * BCE(pos_weight) + `batch_dice` * (1 - Dice) + `slice_dice` * (1 - Dice) + `teacher` * BCE, in float32.

    Dice over the batch counts all its pixels together, so slices without tumour matter and small lesions weigh little;
    Dice over slices is the mean over slices that have tumour, as the metric is. The last term compares with what
    teachers think instead of with the mask, where they were asked.
    """

    def __init__(self, recipe: LossRecipe) -> None:
        super().__init__()
        self._recipe = recipe
        self.pos_weight: Tensor
        self.register_buffer("pos_weight", torch.tensor(recipe.pos_weight), persistent=False)

    def forward(
        self, logits: Tensor, target: Tensor, guide: Tensor | None = None, heard: Tensor | None = None
    ) -> Tensor:
        """`logits`, `target` (0 or 1) and `guide` (the teachers' probabilities) of shape (n, 1, h, w) -> scalar.

        `heard`, 0 or 1 of shape (n,), says on which slices teachers count (None: on all). The mean is over all slices,
        so that one weighs as much whether or not its neighbours in the batch are heard.
        """
        logits, target = logits.float(), target.float()
        loss = self._recipe.bce * torch.nn.functional.binary_cross_entropy_with_logits(
            logits, target, pos_weight=self.pos_weight
        )
        probability = logits.sigmoid()
        if self._recipe.batch_dice:
            loss = loss + self._recipe.batch_dice * (1 - soft_dice(probability, target, (0, 1, 2, 3)))
        tumour = target.amax(dim=(1, 2, 3)) > 0
        if self._recipe.slice_dice and tumour.any():
            loss = loss + self._recipe.slice_dice * (1 - soft_dice(probability[tumour], target[tumour], (1, 2, 3)))
        if guide is not None:
            weight = None if heard is None else heard[:, None, None, None]
            loss = loss + self._recipe.teacher * torch.nn.functional.binary_cross_entropy_with_logits(
                logits, guide, weight
            )
        return loss


def soft_dice(probability: Tensor, target: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Mean of 2 |P T| / (|P| + |T|) with sums over `axes` for sizes (Milletari et al., V-Net, 2016, without squares).

    One pixel is added above and below, so that nothing found where nothing is scores 1.
    """
    both = (probability * target).sum(axes)
    sizes = probability.sum(axes) + target.sum(axes)
    return ((2 * both + 1) / (sizes + 1)).mean()
