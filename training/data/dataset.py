"""Slices as tensors: augmented windows to train on, whole slices exactly as served to validate on."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from handler.card import InputSpec
from handler.preprocess import tensor_of
from training.data.augment import Augment, Mask, cut_window
from training.data.cases import Pair
from training.data.sampler import Draw
from training.data.transplant import transplant
from training.fit.recipe import Recipe

Sample = tuple[Tensor, Tensor]
TrainingSample = tuple[Tensor, Tensor, Tensor]


class Slice(Protocol):
    """What is trained on: a published picture (`training.data.slices`) or a slice of a volume
    (`training.data.volumes`)."""

    @property
    def pair(self) -> Pair: ...

    @property
    def tumour_pixels(self) -> int: ...

    def unit_rgb(self, spec: InputSpec) -> NDArray[np.float32]:
        """The image on the network's grid: float32 (spec.height, spec.width, 3) in 0..1, not yet normalised."""

    def tensor(self, spec: InputSpec) -> NDArray[np.float32]:
        """What the network is given in serving: float32 (c, spec.height, spec.width), normalised."""

    def mask_on(self, spec: InputSpec) -> NDArray[np.bool_] | NDArray[np.uint8]:
        """The mask on the network's grid: bool (spec.height, spec.width), or uint8 of the recipe's labels."""


# The share of transplants that bring healthy tissue: else every seam would lie around a tumour.
_DECOYS = 1 / 3
# Pieces come from slices of about the same height in the head, as a share of it: no glioma grows in the jaw.
_SAME_HEIGHT = 0.1


def input_spec(recipe: Recipe) -> InputSpec:
    """The handler's input specification of a recipe's model."""
    model = recipe.model
    return InputSpec(model.height, model.width, model.mean, model.std, model.sequences)


class TrainingSlices(Dataset[TrainingSample]):
    """Augmented windows, asked for by `Draw`: image float32 (c, h, w) normalised, mask float32 (1, h, w) of 0 and 1,
    with labels of 0..n, and whether teachers are heard on it, float32 () of 0 or 1: not where any of it comes from the
    `untaught` cases.

    h and w are the window of the stage that the draw's epoch belongs to.
    """

    def __init__(self, slices: Sequence[Slice], recipe: Recipe, untaught: Collection[str] = frozenset()) -> None:
        self._slices, self._recipe, self._spec = slices, recipe, input_spec(recipe)
        self._augment = Augment(recipe.augment)
        self._heights = heights(slices)
        self._has_tumour = np.array([item.tumour_pixels > 0 for item in slices], dtype=bool)
        self._taught = np.array([item.pair.case not in untaught for item in slices], dtype=bool)

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, draw: Draw) -> TrainingSample:
        donor = self._donor(draw.index, draw.seed)
        image, mask = self._sample(draw.index)
        if donor is not None:
            piece, of = self._sample(donor)  # recipes with labels have no transplants
            image, mask = transplant(image, np.asarray(mask, bool), piece, np.asarray(of, bool), draw.seed)
        taught = self._taught[draw.index] and (donor is None or self._taught[donor])
        image, mask = self._augment(image, mask, draw.seed)
        image, mask = cut_window(image, mask, self._recipe.stage_of(draw.epoch).window, draw.seed)
        pixels = tensor_of(image[None], self._spec)[0]
        mask_pixels = np.ascontiguousarray(mask[None], dtype=np.float32)
        return torch.from_numpy(pixels), torch.from_numpy(mask_pixels), torch.tensor(float(taught))

    def _sample(self, index: int) -> tuple[NDArray[np.float32], Mask]:
        return self._slices[index].unit_rgb(self._spec), self._slices[index].mask_on(self._spec)

    def _donor(self, index: int, seed: int) -> int | None:
        """As often as the recipe says a slice of about the same height to take a piece of: two lesions to one decoy."""
        rng = np.random.default_rng((seed, 3))
        if rng.random() >= self._recipe.augment.transplant:
            return None
        lesion = rng.random() >= _DECOYS
        near = np.abs(self._heights - self._heights[index]) < _SAME_HEIGHT
        donors = np.flatnonzero(near & (self._has_tumour == lesion))
        return int(rng.choice(donors)) if len(donors) else None


def heights(slices: Sequence[Slice]) -> NDArray[np.float64]:
    """Where each slice lies in its case, above 0 (first) to 1 (last of those given): float64 (n,)."""
    last: dict[str, int] = {}
    for item in slices:
        last[item.pair.case] = max(last.get(item.pair.case, 1), item.pair.number)
    return np.array([item.pair.number / last[item.pair.case] for item in slices])


class WholeSlices(Dataset[Sample]):
    """Whole slices by index, through the very function that serving calls: image float32 (c, height, width)
    normalised, mask float32 (1, height, width) of 0 and 1, with labels of 0..n."""

    def __init__(self, slices: Sequence[Slice], spec: InputSpec) -> None:
        self._slices, self._spec = slices, spec

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: int) -> Sample:
        item = self._slices[index]
        mask = item.mask_on(self._spec)[None].astype(np.float32)
        return torch.from_numpy(item.tensor(self._spec)), torch.from_numpy(mask)
