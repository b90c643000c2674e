from __future__ import annotations

import zipfile
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handler.card import InputSpec
from settings.mapping import SettingsError
from tests.training.types.drawn import CORNERS, PATIENTS, SLICES, write_recipe, write_types
from training.data.cases import DataError
from training.types.changes import change
from training.types.features import digest_of
from training.types.recipe import RECIPES, ChangesRecipe, load_types_recipe
from training.types.slices import Box, TypeSlice, find_slices, read_grids
from training.types.split import drawn, parts_of

KINDS = tuple(CORNERS)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_types(tmp_path_factory.mktemp("types"))


def test_slices_have_patient_and_box_where_the_table_has_them(data: Path) -> None:
    slices = find_slices(data, (*KINDS, "notumor"))
    tumours = [item for item in slices if item.kind != "notumor"]
    assert len(tumours) == len(KINDS) * PATIENTS * SLICES
    assert {item.patient for item in tumours if item.kind == "glioma"} == {"G0", "G1", "G2", "G3"}
    assert tumours[0].box is not None
    assert tumours[0].box.left == pytest.approx(0.1)
    assert all(item.patient is None and item.box is None for item in slices if item.kind == "notumor")


def test_what_is_kept_of_frozen_stages_is_of_these_patients_and_pictures(data: Path, tmp_path: Path) -> None:
    """Which row is whose hangs on the patients: with others in the table, rows of other slices were taken."""
    recipe = load_types_recipe(str(write_recipe(tmp_path / "recipe.yaml")))
    slices = find_slices(data, KINDS)
    known = digest_of(recipe, "none", slices)
    assert digest_of(recipe, "none", find_slices(data, KINDS)) == known
    other = write_types(tmp_path / "data")
    table = other / "slices.csv"
    table.write_text(table.read_text().replace(",G1,", ",G0,"))
    assert digest_of(recipe, "none", find_slices(other, KINDS)) != known
    assert digest_of(recipe, "none", [replace(slices[0], crc=1), *slices[1:]]) != known


def test_grids_are_what_serving_makes_of_the_picture(data: Path) -> None:
    slices = find_slices(data, ("meningioma",))
    grids = read_grids(data, slices, InputSpec(32, 64))
    assert grids.shape == (len(slices), 32, 64)
    assert grids.min() >= 0
    assert grids.max() <= 1
    box = slices[0].box
    assert box is not None
    inside = box.on(32, 64) > 0.99
    assert grids[0][inside].mean() > 0.8 > 0.3 > grids[0][box.on(32, 64) == 0].mean()


def _double(folder: Path) -> None:
    with zipfile.ZipFile(folder / "glioma.zip", "a") as archive:
        archive.writestr("glioma/00.png", b"another")


@pytest.mark.parametrize(
    ("change_it", "said"),
    [
        (lambda folder: (folder / "slices.csv").unlink(), "no slices.csv"),
        (lambda folder: (folder / "glioma.zip").write_bytes(b"no zip"), "glioma.zip is no zip"),
        (lambda folder: _double(folder), "holds glioma/00.webp and glioma/00.png, both number 00"),
        (lambda folder: _append(folder, "glioma,99,G9,0.5,0.5,0.1,0.1"), "lists glioma/99"),
        (lambda folder: _append(folder, "glioma,98,G9,middle,0.5,0.1,0.1"), "line 38"),
    ],
)
def test_a_folder_that_is_not_right_is_told_apart(tmp_path: Path, change_it, said: str) -> None:  # type: ignore[no-untyped-def]
    folder = write_types(tmp_path / "types")
    change_it(folder)
    with pytest.raises(DataError, match=said):
        find_slices(folder, KINDS)


def _append(folder: Path, row: str) -> None:
    with (folder / "slices.csv").open("a", encoding="utf-8") as table:
        table.write(row + "\n")


@given(
    counts=st.lists(st.integers(1, 12), min_size=4, max_size=20),
    parts=st.integers(2, 4),
    seed=st.integers(0, 9),
)
@settings(max_examples=25, deadline=None)
def test_by_patient_nobody_is_torn_apart_and_classes_are_spread(counts: list[int], parts: int, seed: int) -> None:
    slices = [
        TypeSlice(kind, f"{patient}-{number}", "", f"{kind}{patient}")
        for kind in ("a", "b")
        for patient, count in enumerate(counts)
        for number in range(count)
    ]
    dealt = parts_of(slices, parts, seed)
    homes = defaultdict(set)
    sizes: dict[tuple[str, int], int] = defaultdict(int)
    for item, part in zip(slices, dealt, strict=True):
        homes[item.patient].add(part)
        sizes[item.kind, part] += 1
    assert all(len(home) == 1 for home in homes.values())
    for kind in ("a", "b"):
        own = [sizes[kind, part] for part in range(parts)]
        assert max(own) - min(own) <= max(counts)  # no part lags by more than a patient
        assert min(own) > 0
    assert dealt == parts_of(slices, parts, seed)


def test_by_slice_patients_are_torn_apart(data: Path) -> None:
    slices = find_slices(data, KINDS)
    dealt = parts_of(slices, 3, 1, "slice")
    homes = defaultdict(set)
    for item, part in zip(slices, dealt, strict=True):
        homes[item.patient].add(part)
    assert max(len(home) for home in homes.values()) > 1


def test_parts_refuse_what_cannot_be_dealt() -> None:
    slices = [TypeSlice("a", "1", "", "P"), TypeSlice("a", "2", "", "Q")]
    with pytest.raises(SettingsError, match="a: 2 patients do not make 3 parts"):
        parts_of(slices, 3, 0)
    with pytest.raises(SettingsError, match="P has slices of two classes"):
        parts_of([*slices, TypeSlice("b", "3", "", "P"), TypeSlice("b", "4", "", "R")], 2, 0)


def test_an_epoch_takes_some_of_each_patient_and_others_next_time() -> None:
    slices = [TypeSlice("a", f"{p}{n}", "", p) for p in "PQ" for n in range(30)] + [TypeSlice("b", "1", "")]
    first, second = drawn(slices, 8, (1, 0)), drawn(slices, 8, (1, 1))
    assert len(first) == len(second) == 17
    assert first != second
    assert 60 in first
    alone = drawn(slices[:30], 8, (1, 0))
    assert [index for index in first if index < 30] == alone  # whoever else is there


def test_a_box_covers_its_part_of_a_grid() -> None:
    covered = Box(0.25, 0.5, 0.75, 1.0).on(2, 4)
    assert covered.tolist() == [[0, 0, 0, 0], [0, 1, 1, 0]]
    assert Box(0.1, 0.1, 0.2, 0.3).on(1, 1).sum() == pytest.approx(0.02)
    assert Box(0.1, 0.1, 0.2, 0.3).area == pytest.approx(0.02)


def test_changes_are_of_the_seed_and_none_without_any() -> None:
    grid = np.random.default_rng(0).random((32, 48), np.float32)
    assert np.allclose(change(grid, ChangesRecipe(), (1, 2)), grid, atol=1e-5)
    flipped = change(grid, ChangesRecipe(flip=1.0), (1, 2))
    assert np.allclose(flipped, grid[:, ::-1], atol=1e-5)
    much = ChangesRecipe(0.5, 20, 10, 10, 30)
    one, same, other = (change(grid, much, (1, seed)) for seed in (2, 2, 3))
    assert np.array_equal(one, same)
    assert not np.allclose(one, other)
    assert one.dtype == np.float32
    assert one.min() >= 0
    assert one.max() <= 1


def test_every_recipe_of_ours_can_be_read() -> None:
    found = {path.stem: load_types_recipe(path.stem) for path in RECIPES.glob("*.yaml")}
    assert {"types", "types-four", "types-published"} <= found.keys()
    assert found["types-four"].classes == (*found["types"].classes, "notumor")
    assert found["types-published"].network.encoder == "vgg16"
    assert found["types"].architecture.classes == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"classes": "[a, a]"}, "two or more, each once"),
        ({"epochs": "0"}, "expected 1 or more"),
        ({"seed": "1\nunknown: 2"}, "unknown setting unknown"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(tmp_path: Path, changes: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load_types_recipe(str(write_recipe(tmp_path / "r.yaml", **changes)))


def test_an_unknown_recipe_names_those_there_are() -> None:
    with pytest.raises(SettingsError, match="types-published"):
        load_types_recipe("tpyes")
