"""Volumes in the layout of BraTS: found, read through the serving code, their labels kept whatever is done to them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.limits import DEFAULT_LIMITS
from handler.preprocess import tensor_of
from handler.volumes.infer import picture_of
from handler.volumes.subject import read
from training.data.augment import Augment, cut_window
from training.data.cases import DataError, Pair
from training.data.dataset import TrainingSlices, WholeSlices
from training.data.phantom_volumes import CASES, write_phantom_volumes
from training.data.sampler import Draw
from training.data.sources import find_slices, read_slices
from training.data.split import Fold, fold_of, fold_of_every_case, make_split
from training.data.volumes import find_volumes, load_planes, load_volume, relabelled
from training.fit.architecture import input_spec
from training.fit.recipe import AugmentRecipe, SplitRecipe, load_recipe

RECIPE = load_recipe("smoke-regions")
SPEC = input_spec(RECIPE)
TABLE = RECIPE.table


@pytest.fixture(scope="module")
def volumes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("volumes")
    write_phantom_volumes(folder, cases=CASES[:2])
    return folder


def test_training_and_serving_make_the_same_tensor(volumes: Path) -> None:
    """As the front door would be sent it, down to what the network is given."""
    case = CASES[0]
    parts = {
        part: (volumes / case / f"{case}_{name}.nii.gz").read_bytes()
        for part, name in (("flair", "flair"), ("t1", "t1"), ("t1c", "t1ce"))
    }
    served = read(parts, None, False, DEFAULT_LIMITS)
    planes = read_slices([pair for pair in find_slices(volumes, RECIPE).pairs if pair.case == case], RECIPE)
    assert len(planes) == 12
    for index in (0, 5, 11):
        want = tensor_of(picture_of(served._view, index, index + 1, SPEC), SPEC)[0]
        image, _ = WholeSlices(planes, SPEC)[index]
        assert np.array_equal(image.numpy(), want)
        plain = TrainingSlices(planes, replace(RECIPE, augment=AugmentRecipe()))
        trained, _, _ = plain[Draw(index, seed=1, epoch=RECIPE.epochs - 1)]
        assert np.array_equal(trained.numpy(), want)


def test_masks_are_relabelled_and_lie_on_their_images(volumes: Path) -> None:
    case = CASES[0]
    raw = np.asarray(nibabel.load(volumes / case / f"{case}_seg.nii.gz").dataobj)  # type: ignore[attr-defined]
    volume = load_volume(case, volumes / case, TABLE)
    for value, label in TABLE.items():
        assert np.array_equal(volume.truth == label, (raw == value).transpose(2, 1, 0))
    planes = load_planes([pair for pair in find_volumes(volumes).pairs if pair.case == case], TABLE)
    plane = max(planes, key=lambda item: item.tumour_pixels)
    assert set(np.unique(plane.mask)) == {0, 1, 2, 3}
    mask, image = plane.mask_on(SPEC), plane.unit_rgb(SPEC)
    assert mask.mean() == pytest.approx((plane.mask > 0).mean() * 2, abs=0.2)
    flair, t1c = image[..., 1], image[..., 2]
    assert flair[mask == 2].mean() > 1.5 * flair[(mask == 0) & (flair > 0.1)].mean()
    assert t1c[mask == 3].mean() > 1.5 * t1c[mask == 1].mean()


def test_other_names_of_the_same_sequences(volumes: Path, tmp_path: Path) -> None:
    case, old = tmp_path / "BraTS-GLI-00000-000", volumes / CASES[0]
    case.mkdir()
    for new, name in (("t2f", "flair"), ("t1n", "t1"), ("t1c", "t1ce"), ("t2w", "t2"), ("seg", "seg")):
        (case / f"{case.name}-{new}.nii.gz").write_bytes((old / f"{old.name}_{name}.nii.gz").read_bytes())
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "README.md").write_text("no case")
    assert [pair.case for pair in find_volumes(tmp_path).pairs] == [case.name] * 12
    one, other = (load_volume("a", folder, TABLE) for folder in (case, old))
    assert all(np.array_equal(a, b) for a, b in zip(one.view.stacks, other.view.stacks, strict=True))
    (case / "t1gd.nii.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"t1c.nii.gz and t1gd.nii.gz are both its t1c"):
        find_volumes(tmp_path)


def test_a_missing_sequence_is_flair_as_when_served(volumes: Path, tmp_path: Path) -> None:
    old = volumes / CASES[0]
    for name in ("flair", "seg"):
        (tmp_path / f"{name}.nii.gz").write_bytes((old / f"{old.name}_{name}.nii.gz").read_bytes())
    stacks = load_volume("a", tmp_path, TABLE).view.stacks
    assert np.array_equal(stacks[1], stacks[0])
    assert np.array_equal(stacks[1], stacks[2])


def test_what_is_wrong_is_said_with_the_case(volumes: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="layout of BraTS"):
        find_volumes(tmp_path)
    case = tmp_path / "one"
    case.mkdir()
    old = volumes / CASES[0]
    seg = (old / f"{old.name}_seg.nii.gz").read_bytes()
    (case / "seg.nii.gz").write_bytes(seg)
    with pytest.raises(DataError, match="no case"):
        find_volumes(tmp_path)
    (case / "flair.nii.gz").write_bytes((old / f"{old.name}_flair.nii.gz").read_bytes())
    with pytest.raises(DataError, match=r"one: the mask has the value 4; .* knows \[1, 2\]"):
        load_volume("one", case, {1: 1, 2: 2})
    image = nibabel.load(old / f"{old.name}_seg.nii.gz")
    moved = np.array(image.affine)  # type: ignore[attr-defined]
    moved[0, 3] += 5
    nibabel.Nifti1Image(np.asarray(image.dataobj), moved).to_filename(case / "seg.nii.gz")  # type: ignore
    with pytest.raises(DataError, match=r"one: the mask .* does not lie on the FLAIR's grid"):
        load_volume("one", case, TABLE)
    (case / "flair.nii.gz").write_bytes(seg[: len(seg) // 2])
    with pytest.raises(DataError, match=r"one: .*cannot be read"):
        load_volume("one", case, TABLE)


def test_labels_of_other_years_become_the_same() -> None:
    values = np.array([[0, 1, 2], [4, 1, 4]], np.float32)
    want = np.array([[0, 1, 2], [3, 1, 3]], np.uint8)
    assert np.array_equal(relabelled(values, {1: 1, 2: 2, 4: 3}, "a"), want)
    assert np.array_equal(relabelled(np.where(values == 4, 3, values), {1: 1, 2: 2, 3: 3}, "a"), want)
    of_2013 = np.array([[0, 1, 2], [4, 3, 4]], np.float32)
    assert np.array_equal(relabelled(of_2013, {1: 1, 2: 2, 3: 1, 4: 3}, "a"), want)
    for wrong, said in ((0.5, r"value 0\.5"), (np.nan, "value nan"), (np.inf, "value inf")):
        with pytest.raises(DataError, match=said):
            relabelled(np.array([wrong], np.float32), {1: 1}, "a")


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**31), st.sets(st.integers(1, 5), min_size=1))
def test_no_change_makes_up_a_label(seed: int, values: set[int]) -> None:
    """Between oedema (2) and nothing there is no necrosis (1): nearest neighbours, never a mean."""
    rng = np.random.default_rng(seed)
    mask = rng.choice([0, *values], (4, 4)).astype(np.uint8).repeat(16, 0).repeat(16, 1)
    image = rng.random((64, 64, 3), np.float32)
    changed = Augment(AugmentRecipe(flip=0.5, affine=1, elastic=1, intensity=1))(image, mask, seed)[1]
    _, cut = cut_window(image, changed, (32, 32), seed)
    assert changed.dtype == np.uint8
    assert {*np.unique(cut)} <= {*np.unique(changed)} <= {0, *values}


def test_names_of_one_patient_stay_on_one_side() -> None:
    pairs = [Pair(case, 1, Path("i"), Path("m")) for case in ("full", "a", "b", "c", "other name")]
    patients = (("full", "other name"), ("nowhere", "a"))
    sides = SplitRecipe(0.5, 0.25, 0.25)
    for seed in range(8):
        split = make_split(pairs, sides, seed, patients)
        assert sum(len(split.side(side)) for side in ("train", "validation", "test")) == 5
        where = [side for side in ("train", "validation", "test") if {"full", "other name"} & set(split.side(side))]
        assert len(where) == 1
    whole = make_split(pairs, SplitRecipe(1, 0, 0), 1, patients)
    held = [fold_of(whole, Fold(k, 4), patients).validation for k in range(1, 5)]
    assert sorted(held) == [("a",), ("b",), ("c",), ("full", "other name")]
    every = [fold_of_every_case(pairs, "case", 1, Fold(k, 4), patients) for k in range(1, 5)]
    assert sorted(one.test for one in every) == sorted(held)
    assert all(not one.validation and len(one.train) + len(one.test) == 5 for one in every)
    with pytest.raises(ValueError, match="only 4 members"):
        fold_of(whole, Fold(1, 5), patients)


SHARED = Path(__file__).parents[4] / "shared" / "regions"


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/regions is not here")
def test_two_names_of_the_shared_volumes_are_one_patient() -> None:
    """The recipe's table of patients, against the data itself: the same oedema and enhancing tumour, voxel by voxel."""
    recipe = load_recipe("regions")
    (names,) = recipe.patients
    truths = [load_volume(name, SHARED / name, recipe.table).truth for name in names]
    for label in (1, 2, 3):
        counts = [int((truth == label).sum()) for truth in truths]
        assert counts[0] == counts[1] > 0
