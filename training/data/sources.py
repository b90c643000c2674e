"""Which data a recipe is trained on: the published pictures, or for a recipe with labels volumes in BraTS's layout."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from training.data.cases import Listing, Pair, find_pairs
from training.data.dataset import Slice
from training.data.slices import load_slices
from training.data.volumes import find_volumes, load_planes
from training.fit.recipe import Recipe


def find_slices(folder: Path, recipe: Recipe) -> Listing:
    """The slices below `folder`; raises DataError as `find_pairs` and `find_volumes` do."""
    return find_volumes(folder) if recipe.labels else find_pairs(folder)


def read_slices(pairs: Sequence[Pair], recipe: Recipe, advance: Callable[[], None] = lambda: None) -> Sequence[Slice]:
    """Reads `pairs`, in order; `advance` is called for each. Raises DataError for one that is broken."""
    return load_planes(pairs, recipe.table, advance) if recipe.labels else load_slices(pairs, advance)
