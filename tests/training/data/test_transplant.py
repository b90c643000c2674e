"""Lesions and decoys put into other slices: where they land, what they bring, and what stays as it was."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from samples.phantom import draw
from training.data.cases import find_pairs
from training.data.dataset import TrainingSlices, heights
from training.data.phantoms import write_phantoms
from training.data.sampler import Draw
from training.data.slices import load_slices
from training.data.transplant import head_of, transplant
from training.fit.architecture import input_spec
from training.fit.recipe import AugmentRecipe, load_recipe

SIZE = 192
SEEDS = st.integers(0, 2**31 - 1)

Slice = tuple[NDArray[np.float32], NDArray[np.bool_]]


def slice_of(seed: int, share: float) -> Slice:
    phantom = draw(seed, share, SIZE)
    return phantom.image.astype(np.float32) / 255, phantom.mask


def round_head(tissue: float, lesion: float | None = None) -> Slice:
    """A disc of even `tissue`, with a smaller disc of `lesion` in it: what comes out can be told to the pixel."""
    rows, columns = np.ogrid[:SIZE, :SIZE]
    head = (rows - 96) ** 2 + (columns - 96) ** 2 < 80**2
    mask = (rows - 96) ** 2 + (columns - 120) ** 2 < 12**2 if lesion is not None else np.zeros((SIZE, SIZE), bool)
    image = np.where(head, tissue, 0.0)
    return np.repeat(np.where(mask, lesion or 0.0, image)[..., None], 3, axis=2).astype(np.float32), mask


@settings(max_examples=40, deadline=None)
@given(SEEDS, st.sampled_from([0.0, 0.04]), st.sampled_from([0.0, 0.08]))
def test_any_two_slices_give_a_third_of_the_same_kind(seed: int, share: float, donor_share: float) -> None:
    here, donor = slice_of(1, share), slice_of(2, donor_share)
    image, mask = transplant(*here, *donor, seed)
    assert (image.shape, image.dtype, mask.shape, mask.dtype) == ((SIZE, SIZE, 3), np.float32, (SIZE, SIZE), bool)
    assert 0 <= image.min() <= image.max() <= 1
    added = mask & ~here[1]
    assert not added.any() or donor_share, "healthy tissue brought tumour along"
    assert not (added & ~head_of(here[0])).any(), "a lesion in the air"
    changed = np.abs(image - here[0]).max(axis=2) > 0
    assert not (mask != here[1])[~changed].any(), "the mask changed where the picture did not"
    again = transplant(*here, *donor, seed)
    assert np.array_equal(again[0], image)
    assert np.array_equal(again[1], mask)


@pytest.mark.parametrize("seed", range(20))
def test_a_lesion_keeps_its_contrast_whatever_the_brightness_of_the_scan(seed: int) -> None:
    image, mask = transplant(*round_head(0.3), *round_head(0.5, lesion=0.8), seed)
    assert 10 <= mask.sum() <= 1.3 * 12**2 * np.pi * 1.44
    # 0.8 in 0.5 is 0.48 in 0.3; linear interpolation softens the rim of the smallest.
    assert np.median(image[mask]) == pytest.approx(0.48, abs=0.06)
    assert np.median(image[head_of(image) & ~mask]) == pytest.approx(0.3, abs=0.01)


def test_lesions_come_in_all_sizes_and_at_their_place_or_its_mirror() -> None:
    areas, columns = [], []
    for seed in range(200):
        _, mask = transplant(*round_head(0.3), *round_head(0.5, lesion=0.8), seed)
        areas.append(int(mask.sum()))
        columns.append(float(np.argwhere(mask)[:, 1].mean()))
    assert min(areas) < 30
    assert max(areas) > 500
    # Where it lay, 24 pixels right of the middle, or as far to the left; scattered by 12.
    distance = np.abs(np.array(columns) - 96)
    assert 16 < np.median(distance) < 32
    assert 60 < (np.array(columns) < 96).sum() < 140


def test_the_other_seed_gives_another_slice_and_no_head_none() -> None:
    here, donor = round_head(0.3), round_head(0.5, lesion=0.8)
    assert not np.array_equal(transplant(*here, *donor, 1)[1], transplant(*here, *donor, 2)[1])
    air = np.zeros_like(here[0]), np.zeros_like(here[1])
    assert transplant(*air, *donor, 1)[0] is air[0]
    assert transplant(*here, *air, 1)[0] is here[0]


def test_a_decoy_over_a_tumour_takes_it_away() -> None:
    here, donor = round_head(0.3, lesion=0.8), round_head(0.5)
    results = [transplant(*here, *donor, seed) for seed in range(60)]
    left = [int(mask.sum()) for _, mask in results]
    assert max(left) <= here[1].sum()
    assert min(left) < 0.5 * here[1].sum()
    for image, mask in results:
        # What is no longer called tumour no longer looks like it.
        gone = here[1] & ~mask
        assert not gone.any() or np.median(image[gone]) < 0.55


def test_pieces_come_from_the_same_height(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_phantoms(tmp_path, 64, slices=6)
    slices = load_slices(find_pairs(tmp_path).pairs)
    where = heights(slices)
    assert sorted(set(where)) == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    recipe = load_recipe("smoke")
    seen: list[Slice] = []
    monkeypatch.setattr("training.data.dataset.transplant", lambda *given: seen.append(given[2:4]) or given[:2])
    data = TrainingSlices(slices, replace(recipe, augment=AugmentRecipe(transplant=1)))
    spec = input_spec(recipe)
    known = [(item.unit_rgb(spec), item.tumour_pixels > 0) for item in slices]
    # In these phantoms every other height has lesions, the rest has none: one kind of donor at each.
    for index in range(12):
        seen.clear()
        for seed in range(12):
            data[Draw(index, seed, 0)]
        assert 0 < len(seen) < 12, "lesions and decoys are both drawn; one of them has no donor here"
        for image, _ in seen:
            donor = next(n for n, (other, _) in enumerate(known) if np.array_equal(other, image))
            assert where[donor] == where[index]


def test_a_recipe_without_transplants_asks_for_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_phantoms(tmp_path, 64)
    slices = load_slices(find_pairs(tmp_path).pairs)
    recipe = load_recipe("smoke")
    assert recipe.augment.transplant == 0
    monkeypatch.setattr("training.data.dataset.transplant", lambda *given: pytest.fail("a transplant nobody asked for"))
    data = TrainingSlices(slices, recipe)
    for seed in range(20):
        data[Draw(0, seed, 0)]
