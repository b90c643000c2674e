"""Loss and answers of networks of several classes: a channel a label by softmax, or a channel a region by sigmoid."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from handler.labels import SOFTMAX, Labelling
from training.fit.loss import soft_dice
from training.fit.recipe import LossRecipe


class RegionLoss(torch.nn.Module):
    """`bce` * cross-entropy + `batch_dice` * (1 - mean soft Dice), in float32; Dice counts all pixels of the batch.

    Softmax: cross-entropy over none and the labels, labels counted `pos_weight` times; Dice is the mean over the
    labels, none left out (Milletari et al., V-Net, 2016). Sigmoid: binary cross-entropy with `pos_weight` and Dice of
    each region, which is what BraTS judges (Isensee et al., nnU-Net for Brain Tumor Segmentation, 2020).
    """

    def __init__(self, recipe: LossRecipe, labelling: Labelling) -> None:
        super().__init__()
        self._recipe, self._labelling = recipe, labelling
        self.weight: Tensor
        self.pos_weight: Tensor
        weight = torch.full((len(labelling.labels) + 1,), recipe.pos_weight)
        weight[0] = 1
        self.register_buffer("weight", weight, persistent=False)
        self.register_buffer("pos_weight", torch.tensor(recipe.pos_weight), persistent=False)

    def forward(
        self, logits: Tensor, target: Tensor, guide: Tensor | None = None, heard: Tensor | None = None
    ) -> Tensor:
        """`logits` (n, channels, h, w), `target` (n, 1, h, w) of 0..n -> scalar. There are no teachers of labels:
        `guide` must be None."""
        if guide is not None:
            raise ValueError("teachers of several classes are not known")
        logits = logits.float()
        if self._labelling.activation == SOFTMAX:
            entropy = torch.nn.functional.cross_entropy(logits, target[:, 0].long(), self.weight)
            probability = logits.softmax(dim=1)[:, 1:]
            values = [(label.value,) for label in self._labelling.labels]
            truth = members(target, values).float()
        else:
            truth = truth_of(target, self._labelling).float()
            entropy = torch.nn.functional.binary_cross_entropy_with_logits(logits, truth, pos_weight=self.pos_weight)
            probability = logits.sigmoid()
        dice = soft_dice(probability, truth, (0, 2, 3))
        return self._recipe.bce * entropy + self._recipe.batch_dice * (1 - dice)


def members(target: Tensor, sets: Sequence[Sequence[int]]) -> Tensor:
    """`target` (n, 1, h, w) of 0..n -> bool (n, k, h, w): whether a pixel's label is among each of `sets`."""
    return torch.cat([torch.isin(target, torch.tensor(list(one), device=target.device)) for one in sets], dim=1)


def judged(labelling: Labelling) -> list[tuple[int, ...]]:
    """Labels of what is judged while training: the regions, or where there are none each label."""
    return [region.labels for region in labelling.regions] or [(label.value,) for label in labelling.labels]


def truth_of(target: Tensor, labelling: Labelling) -> Tensor:
    """`target` (n, 1, h, w) of 0..n -> bool (n, k, h, w) of each region; where there are none, of each label."""
    return members(target, judged(labelling))


def found_in(logits: Tensor, labelling: Labelling) -> Tensor:
    """`logits` (n, channels, h, w) -> bool (n, k, h, w), as :func:`truth_of`: of softmax what has the largest channel,
    of sigmoid what is above the region's threshold."""
    if labelling.activation == SOFTMAX:
        return members(logits.argmax(dim=1, keepdim=True), judged(labelling))
    thresholds = torch.tensor([region.threshold for region in labelling.regions], device=logits.device)
    return logits.sigmoid() > thresholds[:, None, None]
