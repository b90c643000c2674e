"""Slices as tensors: augmented windows to train on, whole slices exactly as served to validate on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from handler.card import InputSpec
from handler.preprocess import normalise, preprocess
from training.augment import Augment, cut_window
from training.recipe import Recipe
from training.sampler import Draw
from training.slices import LabelledSlice

Sample = tuple[Tensor, Tensor]


def input_spec(recipe: Recipe) -> InputSpec:
    """The handler's input specification of a recipe's model."""
    model = recipe.model
    return InputSpec(height=model.height, width=model.width, mean=model.mean, std=model.std)


class TrainingSlices(Dataset[Sample]):
    """Augmented windows, asked for by `Draw`: image float32 (3, h, w) normalised, mask float32 (1, h, w) of 0 and 1.

    h and w are the window of the stage that the draw's epoch belongs to.
    """

    def __init__(self, slices: Sequence[LabelledSlice], recipe: Recipe) -> None:
        self._slices, self._recipe, self._spec = slices, recipe, input_spec(recipe)
        self._augment = Augment(recipe.augment)

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, draw: Draw) -> Sample:
        item = self._slices[draw.index]
        image, mask = self._augment(item.unit_rgb(self._spec), item.mask_on(self._spec), draw.seed)
        image, mask = cut_window(image, mask, self._recipe.stage_of(draw.epoch).window, draw.seed)
        pixels = normalise(image[None], self._spec.mean, self._spec.std)[0]
        return torch.from_numpy(pixels), torch.from_numpy(np.ascontiguousarray(mask[None], dtype=np.float32))


class WholeSlices(Dataset[Sample]):
    """Whole slices by index, through the very function that serving calls: image float32 (3, height, width)
    normalised, mask float32 (1, height, width) of 0 and 1."""

    def __init__(self, slices: Sequence[LabelledSlice], spec: InputSpec) -> None:
        self._slices, self._spec = slices, spec

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: int) -> Sample:
        item = self._slices[index]
        mask = item.mask_on(self._spec)[None].astype(np.float32)
        return torch.from_numpy(preprocess(item.scan, self._spec)[0]), torch.from_numpy(mask)
