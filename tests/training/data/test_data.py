"""From files to tensors: listing, reading, sampling, augmenting, and no skew between training and serving."""

import os
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from handler.card import InputSpec
from handler.decode import decode
from handler.preprocess import preprocess
from samples.phantom import draw
from settings.mapping import SettingsError
from tests.training.conftest import SIZE
from training.data.augment import Augment, build_shapes, cut_window, head_span, uneven
from training.data.cases import DataError, data_folder, find_pairs
from training.data.dataset import TrainingSlices, WholeSlices
from training.data.inspection import inspect, inspection_page, summary
from training.data.phantoms import PHANTOM_CASES, write_pair, write_phantoms
from training.data.sampler import Draw, SliceSampler
from training.data.slices import load_slice, load_slices
from training.fit.architecture import input_spec
from training.fit.recipe import AugmentRecipe, Recipe, load_recipe

FULL = AugmentRecipe(flip=0.5, affine=1, elastic=1, intensity=1, missing_sequence=0.5, degrade=0.5)


def test_pairs_are_found_from_either_level(phantoms: Path) -> None:
    listing = find_pairs(phantoms)
    assert find_pairs(phantoms / "kaggle_3m") == listing
    assert listing.cases == PHANTOM_CASES
    assert len(listing.pairs) == 4 * len(PHANTOM_CASES)
    assert not listing.lonely


def test_data_folder_comes_from_argument_or_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("BRAINSEG_DATA", raising=False)
    with pytest.raises(DataError, match="BRAINSEG_DATA"):
        data_folder(None)
    with pytest.raises(DataError, match="does not exist"):
        data_folder(tmp_path / "nowhere")
    monkeypatch.setenv("BRAINSEG_DATA", str(tmp_path))
    assert data_folder(None) == tmp_path
    with pytest.raises(DataError, match="kaggle_3m layout"):
        find_pairs(tmp_path)


def test_other_spellings_of_tiff_are_pairs_and_macos_leftovers_are_nothing(tmp_path: Path) -> None:
    write_phantoms(tmp_path, SIZE, cases=PHANTOM_CASES[:1])
    folder = tmp_path / "kaggle_3m" / PHANTOM_CASES[0]
    plain = find_pairs(tmp_path)
    for number, (image, mask) in enumerate([(".tiff", ".tiff"), (".TIF", ".tif"), (".tif", ".TIFF")], 1):
        stem = folder / f"{PHANTOM_CASES[0]}_{number}"
        stem.with_name(f"{stem.name}.tif").rename(stem.with_name(f"{stem.name}{image}"))
        stem.with_name(f"{stem.name}_mask.tif").rename(stem.with_name(f"{stem.name}_mask{mask}"))
    for name in (f"._{PHANTOM_CASES[0]}_1.tif", f"._{PHANTOM_CASES[0]}_1_mask.tif", ".DS_Store"):
        (folder / name).write_bytes(b"\0\5\x16\7")
    listing = find_pairs(tmp_path)
    assert [pair.name for pair in listing.pairs] == [pair.name for pair in plain.pairs]
    assert listing.lonely == ()
    assert inspect(listing).broken == ()


def test_a_slice_that_is_there_twice_is_not_chosen_from(tmp_path: Path) -> None:
    write_phantoms(tmp_path, SIZE, cases=PHANTOM_CASES[:1])
    first = tmp_path / "kaggle_3m" / PHANTOM_CASES[0] / f"{PHANTOM_CASES[0]}_1.tif"
    first.with_suffix(".tiff").write_bytes(first.read_bytes())
    with pytest.raises(DataError, match="same slice"):
        find_pairs(tmp_path)


def test_inspection_names_broken_and_lonely_files(tmp_path: Path) -> None:
    write_phantoms(tmp_path, SIZE, cases=PHANTOM_CASES[:2])
    folder = tmp_path / "kaggle_3m" / PHANTOM_CASES[0]
    (folder / f"{PHANTOM_CASES[0]}_1.tif").write_bytes(b"II*\0broken")
    (folder / f"{PHANTOM_CASES[0]}_2_mask.tif").unlink()
    write_pair(
        tmp_path / "kaggle_3m", PHANTOM_CASES[1], 3, np.zeros((SIZE, SIZE, 3), np.uint8), np.zeros((SIZE, 32), bool)
    )
    steps: list[int] = []
    found = inspect(find_pairs(tmp_path), lambda: steps.append(1))
    assert len(steps) == 7
    assert len(found.broken) == 2
    assert f"{PHANTOM_CASES[0]}/1" in found.broken[0]
    assert "expected one page and equal sizes" in found.broken[1]
    assert found.missing == (f"{PHANTOM_CASES[0]}/{PHANTOM_CASES[0]}_2.tif has no partner",)
    facts = summary(found)
    assert facts["pairs"] == 5
    assert facts["institutions"]["CS"]["with_tumour"] == facts["with_tumour"] == 2
    assert facts["area_percent_least"] <= facts["area_percent_mean"] <= facts["area_percent_most"]
    assert "has no partner" in inspection_page(found)


def test_training_and_serving_make_the_same_tensor(phantoms: Path) -> None:
    """A 64-pixel slice on a 256-pixel network: decoded, scaled and resized, not just copied."""
    pair = find_pairs(phantoms).pairs[0]
    spec = InputSpec()
    served = preprocess(decode(pair.image.read_bytes()), spec)[0]
    image, _ = WholeSlices([load_slice(pair)], spec)[0]
    assert np.array_equal(image.numpy(), served)
    # The training side with every change turned off, by its own path through augmentation and window.
    recipe = load_recipe("smoke")
    plain = TrainingSlices([load_slice(pair)], _without_changes(recipe))
    trained, _, _ = plain[Draw(0, seed=1, epoch=recipe.epochs - 1)]
    assert np.array_equal(trained.numpy(), preprocess(decode(pair.image.read_bytes()), input_spec(recipe))[0])


def _without_changes(recipe: Recipe) -> Recipe:
    return replace(recipe, augment=AugmentRecipe())


def test_masks_follow_their_images_to_another_grid(phantoms: Path) -> None:
    item = load_slice(find_pairs(phantoms).pairs[0])
    larger = item.mask_on(InputSpec())
    assert larger.shape == (256, 256)
    assert larger.mean() == pytest.approx(item.mask.mean(), rel=0.1)


def test_augmentation_is_a_function_of_its_seed(phantoms: Path) -> None:
    item = load_slice(find_pairs(phantoms).pairs[0])
    augment, image = Augment(FULL), item.unit_rgb(InputSpec(SIZE, SIZE))
    first, again, other = (augment(image, item.mask, seed) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[0], other[0])
    assert first[0].dtype == np.float32
    assert 0 <= first[0].min() <= first[0].max() <= 1


def test_image_and_mask_move_together() -> None:
    image = np.zeros((64, 64, 3), np.float32)
    image[20:30, 10:24] = 1
    changed, mask = Augment(AugmentRecipe(flip=0.5, affine=1))(image, image[..., 0] > 0, seed=5)
    assert not np.array_equal(mask, image[..., 0] > 0)
    assert ((changed[..., 0] > 0.5) == mask).mean() > 0.99


def test_a_missing_sequence_is_replaced_by_flair() -> None:
    image = np.random.default_rng(0).random((32, 32, 3)).astype(np.float32)
    changed, _ = Augment(AugmentRecipe(missing_sequence=1))(image, image[..., 0] > 2, seed=0)
    for channel in range(3):
        assert np.array_equal(changed[..., channel], image[..., 1])


@pytest.mark.parametrize("channels", [1, 2, 9, 15])
def test_a_slice_with_its_neighbours_is_degraded_like_one(channels: int) -> None:
    image = np.random.default_rng(1).random((64, 48, channels), np.float32)
    mask = np.zeros((64, 48), np.uint8)
    for seed in range(6):
        changed, _ = Augment(AugmentRecipe(degrade=1))(image, mask, seed)
        assert changed.shape == image.shape
        assert not np.array_equal(changed, image)


def test_a_degraded_scan_is_another_but_the_same_scene() -> None:
    image = draw(1, 0.09, 128).image.astype(np.float32) / 255
    mask = image[..., 1] > 0.5
    for seed in range(5):
        changed, same = Augment(AugmentRecipe(degrade=1))(image, mask, seed)
        assert np.array_equal(same, mask)  # pictures get worse, lesions stay where they are
        assert changed.shape == image.shape
        assert 0.005 < np.abs(changed - image).mean() < 0.15
        assert np.corrcoef(changed.ravel(), image.ravel())[0, 1] > 0.8
    untouched, _ = Augment(AugmentRecipe())(image, mask, 0)
    assert np.array_equal(untouched, image)


def test_uneven_brightness_is_smooth_and_bounded() -> None:
    field = uneven((96, 128), np.random.default_rng(0))
    assert field.shape == (96, 128)
    assert 0.66 < field.min() < field.max() < 1.5
    assert max(np.abs(np.diff(field, axis=axis)).max() for axis in (0, 1)) < 0.1


def test_a_misspelt_augmentation_argument_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import albumentations as alb

    original = alb.Affine
    monkeypatch.setattr(alb, "Affine", lambda **given: original(rotation=5, **given))
    with pytest.raises(UserWarning, match="rotation"):
        build_shapes(AugmentRecipe(affine=1))


@pytest.mark.parametrize("seed", range(20))
def test_a_window_covers_a_head_that_fits_and_stays_in_the_slice(seed: int) -> None:
    image = np.zeros((128, 128, 3), np.float32)
    image[30:80, 100:126] = 0.5
    cut, mask = cut_window(image, image[..., 0] > 0, (64, 64), seed)
    assert cut.shape == (64, 64, 3)
    assert mask.sum() == 50 * 26


def test_a_large_head_is_cut_and_none_is_taken_whole() -> None:
    image = np.full((128, 128, 3), 0.5, np.float32)
    cut, _ = cut_window(image, image[..., 0] > 0, (64, 96), 3)
    assert cut.shape == (64, 96, 3)
    assert head_span(np.zeros((32, 16, 3), np.float32)) == ((0, 31), (0, 15))
    assert cut_window(image, image[..., 0] > 0, None, 3)[0] is image


def test_draws_keep_the_share_repeat_nothing_early_and_depend_on_the_epoch_only() -> None:
    flags = [index < 30 for index in range(100)]
    sampler = SliceSampler(flags, 60, 0.5, seed=3)
    draws = list(sampler)
    counts = Counter(draw.index for draw in draws)
    assert sum(flags[draw.index] for draw in draws) == 30
    assert max(counts.values()) == 1
    assert draws == list(SliceSampler(flags, 60, 0.5, seed=3))
    sampler.set_epoch(1)
    assert [draw.index for draw in sampler] != [draw.index for draw in draws]


def test_two_processes_share_the_draws_of_one() -> None:
    flags = [index % 3 == 0 for index in range(50)]
    halves = [list(SliceSampler(flags, 40, None, 1, rank, 2)) for rank in (0, 1)]
    together = list(SliceSampler(flags, 40, None, 1))
    assert [draw for pair in zip(*halves, strict=True) for draw in pair] == together


def test_a_share_that_cannot_be_drawn_is_an_error() -> None:
    with pytest.raises(SettingsError, match="of the 2 slices to train on 0 have tumour"):
        SliceSampler([False, False], 4, 0.5, 1)


def test_reading_keeps_order_and_counts(phantoms: Path) -> None:
    pairs = find_pairs(phantoms).pairs
    steps: list[int] = []
    assert [item.pair for item in load_slices(pairs, lambda: steps.append(1))] == list(pairs)
    assert len(steps) == len(pairs)


def test_samples_of_a_batch_stack(phantoms: Path) -> None:
    recipe = load_recipe("smoke")
    slices = TrainingSlices(load_slices(find_pairs(phantoms).pairs), recipe)
    samples = [slices[Draw(index, index, 0)] for index in range(4)]
    assert torch.stack([image for image, _, _ in samples]).shape == (4, 3, 64, 64)
    assert set(torch.stack([mask for _, mask, _ in samples]).flatten().tolist()) == {0, 1}


@pytest.mark.skipif("BRAINSEG_DATA" not in os.environ, reason="needs the licensed data set in BRAINSEG_DATA")
def test_the_delivered_ninety_cases_have_the_published_facts() -> None:
    facts = summary(inspect(find_pairs(data_folder(None))))
    if facts["cases"] < 90:
        pytest.skip(f"{facts['cases']} of the 90 cases are in BRAINSEG_DATA")
    assert (facts["cases"], facts["pairs"], facts["with_tumour"]) == (90, 3243, 1116)
    assert facts["area_percent_mean"] == pytest.approx(2.88, abs=0.005)
    assert facts["area_percent_least"] == pytest.approx(0.011, abs=0.0005)
    assert facts["area_percent_most"] == pytest.approx(11.7, abs=0.05)
    assert not facts["broken"]
    assert not facts["missing"]
