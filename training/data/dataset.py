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
from handler.neighbours import inputs_of
from training.data.augment import Augment, Mask, cut_window
from training.data.cases import Pair
from training.data.sampler import Draw
from training.data.slices import LabelledSlice
from training.data.stacks import places
from training.data.transplant import transplant
from training.fit.architecture import input_spec
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


class TrainingSlices(Dataset[TrainingSample]):
    """Augmented windows, asked for by `Draw`: image float32 (c, h, w) normalised, mask float32 (1, h, w) of 0 and 1,
    with labels of 0..n, and whether teachers are heard on it, float32 () of 0 or 1: not where any of it comes from the
    `untaught` cases.

    h and w are the window of the stage that the draw's epoch belongs to. A network that sees a slice with its
    neighbours gets them as further channels, changed alike. One over volumes gets a slab with the slice somewhere in
    it: image (c, slices, h, w), mask (1, slices, h, w).
    """

    def __init__(self, slices: Sequence[Slice], recipe: Recipe, untaught: Collection[str] = frozenset()) -> None:
        self._slices, self._recipe, self._spec = slices, recipe, input_spec(recipe)
        self._augment = Augment(recipe.augment)
        self._heights = heights(slices)
        self._has_tumour = np.array([item.tumour_pixels > 0 for item in slices], dtype=bool)
        self._taught = np.array([item.pair.case not in untaught for item in slices], dtype=bool)
        self._places = places(_pictures(slices)) if self._spec.view.seen > 1 else []

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, draw: Draw) -> TrainingSample:
        donor = self._donor(draw.index, draw.seed)
        seen = self._seen(draw)
        image, mask = self._stack(draw.index, seen)
        if donor is not None:
            piece, of = self._sample(donor)  # recipes with labels have no transplants
            image, mask = transplant(image, np.asarray(mask, bool), piece, np.asarray(of, bool), draw.seed)
        taught = self._taught[draw.index] and (donor is None or self._taught[donor])
        image, mask = self._augment(image, mask, draw.seed)
        middle = 3 * seen.index(draw.index)  # the first channel of the slice that was drawn
        window = self._recipe.stage_of(draw.epoch).window
        image, mask = cut_window(image, mask, window, draw.seed, slice(middle, middle + 3))
        pixels = inputs_of(by_slices(image)[None], self._spec)[0]
        mask_pixels = np.ascontiguousarray(mask[None] if mask.ndim == 2 else mask.transpose(2, 0, 1)[None], "f4")
        return torch.from_numpy(pixels), torch.from_numpy(mask_pixels), torch.tensor(float(taught))

    def _seen(self, draw: Draw) -> list[int]:
        """Indices of the slices that the sample is made of."""
        view = self._spec.view
        if view.seen == 1:
            return [draw.index]
        rng = np.random.default_rng((draw.seed, 4))
        if rng.random() < self._recipe.augment.alone:
            return [draw.index] * view.seen
        place = self._places[draw.index]
        if not view.slab:
            return place.around(view.around, view.around)
        before = int(rng.integers(view.seen))
        if len(place.stack) >= view.seen:  # then within the stack
            before = min(max(before, place.at + view.seen - len(place.stack)), place.at)
        return place.around(before, view.seen - 1 - before)

    def _stack(self, index: int, seen: Sequence[int]) -> tuple[NDArray[np.float32], Mask]:
        """The slices ``seen``, (h, w, 3 each), and the mask, (h, w), of slice ``index``, of a slab of all of them,
        (h, w, slices)."""
        if len(seen) == 1:
            return self._sample(index)
        image = np.concatenate([self._slices[one].unit_rgb(self._spec) for one in seen], axis=2)
        if not self._spec.view.slab:
            return image, self._slices[index].mask_on(self._spec)
        masks: Mask = np.stack([self._slices[one].mask_on(self._spec) for one in seen], axis=2).astype(bool)
        return image, masks

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


def _pictures(slices: Sequence[Slice]) -> list[LabelledSlice]:
    """Recipes with labels, whose slices are others, see one at a time."""
    found = [item for item in slices if isinstance(item, LabelledSlice)]
    if len(found) != len(slices):
        raise TypeError("stacks are made of pictures with a mask of one class")
    return found


def by_slices(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """(h, w, 3 each) -> (slices, h, w, 3)."""
    height, width, channels = image.shape
    return np.moveaxis(image.reshape(height, width, channels // 3, 3), 2, 0)


class WholeSlices(Dataset[Sample]):
    """Whole slices by index, through the very functions that serving calls: image float32 (c, height, width)
    normalised, mask float32 (1, height, width) of 0 and 1, with labels of 0..n."""

    def __init__(self, slices: Sequence[Slice], spec: InputSpec) -> None:
        self._slices, self._spec = slices, spec
        self._places = places(_pictures(slices)) if spec.view.seen > 1 else []

    def __len__(self) -> int:
        return len(self._slices)

    def __getitem__(self, index: int) -> Sample:
        around = self._spec.view.around
        item = self._slices[index]
        mask = item.mask_on(self._spec)[None].astype(np.float32)
        if not around:
            return torch.from_numpy(item.tensor(self._spec)), torch.from_numpy(mask)
        seen = self._places[index].around(around, around)
        grids = np.stack([self._slices[one].unit_rgb(self._spec) for one in seen])
        return torch.from_numpy(inputs_of(grids[None], self._spec)[0]), torch.from_numpy(mask)


class WholeSlabs(Dataset[Sample]):
    """The slabs that serving cuts stacks into: image float32 (c, slices, height, width) normalised, mask float32
    (1, kept, height, width) of 0 and 1, and of -1 for what lies beyond the end of a stack."""

    def __init__(self, slices: Sequence[Slice], spec: InputSpec) -> None:
        self._slices, self._spec = slices, spec
        self._slabs = [place for place in places(_pictures(slices)) if place.at % spec.view.kept == 0]

    def __len__(self) -> int:
        return len(self._slabs)

    def __getitem__(self, index: int) -> Sample:
        view, place = self._spec.view, self._slabs[index]
        seen = place.around(view.around, view.kept - 1 + view.around)
        grids = np.stack([self._slices[one].unit_rgb(self._spec) for one in seen])
        masks = np.full((1, view.kept, *grids.shape[1:3]), -1, np.float32)
        for at, one in enumerate(place.stack[place.at : place.at + view.kept]):
            masks[0, at] = self._slices[one].mask_on(self._spec)
        return torch.from_numpy(inputs_of(grids[None], self._spec)[0]), torch.from_numpy(masks)
