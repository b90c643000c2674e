"""What a classifier's frozen stages make of every slice and of its random changes: calculated once, kept in a file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handler.preprocess import normalise
from training.types.changes import change
from training.types.recipe import TypesRecipe
from training.types.slices import TypeSlice

BATCH = 16


def tensor_of_grids(grids: NDArray[np.float32], recipe: TypesRecipe) -> Tensor:
    """Grey float32 (n, h, w) in 0..1 -> what the network takes, float32 (n, 3, h, w), channels last."""
    planes = normalise(np.repeat(grids[..., None], 3, axis=-1), recipe.network.mean, recipe.network.std)
    return torch.from_numpy(planes).contiguous(memory_format=torch.channels_last)


class Features:
    """The frozen stages' maps: `maps[epoch][i]` of slice i as epoch `epoch` changes it, float16 (channels, h, w)."""

    def __init__(self, maps: NDArray[np.float16]) -> None:
        self._maps = maps

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """Float32 (n, channels, h, w), channels last."""
        taken = torch.from_numpy(np.asarray(self._maps[epoch][list(indices)], np.float32))
        return taken.contiguous(memory_format=torch.channels_last)


class Pictures:
    """As :class:`Features` where nothing is frozen: changed and normalised pictures, made when they are asked for."""

    def __init__(self, grids: NDArray[np.float32], recipe: TypesRecipe) -> None:
        self._grids, self._recipe = grids, recipe

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """Float32 (n, 3, h, w), channels last."""
        changed = [changed_slice(self._grids[i], self._recipe, epoch, i) for i in indices]
        return tensor_of_grids(np.stack(changed), self._recipe)


def changed_slice(grid: NDArray[np.float32], recipe: TypesRecipe, epoch: int, index: int) -> NDArray[np.float32]:
    """Slice `index` as epoch `epoch` sees it: the same in every fold, so that folds can share what is made of it."""
    return change(grid, recipe.changes, (recipe.seed, epoch, index))


def digest_of(recipe: TypesRecipe, start: str, slices: Sequence[TypeSlice]) -> str:
    """What the maps depend on, in 16 hex digits; `start` is the digest of the start weights."""
    network = {key: value for key, value in asdict(recipe.network).items() if key not in ("head", "dropout")}
    parts = [network, asdict(recipe.changes), recipe.seed, recipe.epochs, start, [item.name for item in slices]]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def frozen_features(
    first: torch.nn.Module,
    recipe: TypesRecipe,
    grids: Callable[[], NDArray[np.float32]],
    file: Path,
    advance: Callable[[], None] = lambda: None,
) -> Features:
    """The maps in `file`, calculated by `first` and written there if it is not there yet: half precision, a memory map.

    `grids()` gives all slices; `advance` is called for each batch."""
    if not file.is_file():
        all_grids = grids()
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        file.parent.mkdir(parents=True, exist_ok=True)
        maps: NDArray[np.float16] | None = None
        with torch.inference_mode():
            for epoch in range(recipe.epochs):
                for begin in range(0, len(all_grids), BATCH):
                    chosen = range(begin, min(begin + BATCH, len(all_grids)))
                    changed = np.stack([changed_slice(all_grids[i], recipe, epoch, i) for i in chosen])
                    with torch.autocast("cpu", torch.bfloat16):
                        made = first(tensor_of_grids(changed, recipe)).float().numpy().astype(np.float16)
                    if maps is None:
                        shape = (recipe.epochs, len(all_grids), *made.shape[1:])
                        maps = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
                    maps[epoch, begin : begin + len(made)] = made
                    advance()
        assert maps is not None
        maps.flush()
        part.replace(file)
    return Features(np.load(file, mmap_mode="r"))


