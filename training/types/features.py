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
    """The frozen stages' maps of the slices that the epochs draw, as each epoch changes them: float16 (channels, h, w),
    one row a slice of `draws`, epoch after epoch."""

    def __init__(self, maps: NDArray[np.float16], draws: Sequence[Sequence[int]]) -> None:
        pairs = [(epoch, index) for epoch, indices in enumerate(draws) for index in indices]
        self._maps, self._rows = maps, {pair: row for row, pair in enumerate(pairs)}

    def batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """Float32 (n, channels, h, w), channels last."""
        rows = [self._rows[epoch, index] for index in indices]
        taken = torch.from_numpy(np.asarray(self._maps[rows], np.float32))
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
    """What the maps depend on, in 16 hex digits; `start` is the digest of the start weights. Patients too: who draws
    which slices, and so which row is whose, hangs on them."""
    network = {key: value for key, value in asdict(recipe.network).items() if key not in ("head", "dropout")}
    parts = [
        network,
        asdict(recipe.changes),
        recipe.seed,
        recipe.epochs,
        recipe.per_patient,
        start,
        [(item.name, item.patient, item.crc) for item in slices],
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def frozen_features(
    first: torch.nn.Module,
    recipe: TypesRecipe,
    draws: Sequence[Sequence[int]],
    grids: Callable[[], NDArray[np.float32]],
    file: Path,
) -> Features:
    """The maps in `file`, calculated by `first` and written there if it is not there yet: half precision, a memory map.

    `grids()` gives all slices, `draws` those that each epoch takes."""
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{os.getpid()}.part")
        all_grids, maps, row = grids(), None, 0
        with torch.inference_mode():
            for epoch, indices in enumerate(draws):
                for begin in range(0, len(indices), BATCH):
                    chosen = indices[begin : begin + BATCH]
                    changed = np.stack([changed_slice(all_grids[i], recipe, epoch, i) for i in chosen])
                    with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16()):
                        made = first(tensor_of_grids(changed, recipe)).float().numpy().astype(np.float16)
                    if maps is None:
                        shape = (sum(map(len, draws)), *made.shape[1:])
                        maps = np.lib.format.open_memmap(part, mode="w+", dtype=np.float16, shape=shape)
                    maps[row : row + len(made)] = made
                    row += len(made)
        if maps is not None:
            maps.flush()
        part.replace(file)
    return Features(np.load(file, mmap_mode="r"), draws)


def bfloat16() -> bool:
    """Where the processor multiplies bfloat16 itself; elsewhere it would only be slower."""
    return bool(torch.cpu._is_avx512_bf16_supported())
