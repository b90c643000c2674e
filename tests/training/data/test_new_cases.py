"""Cases that start weights and teachers have not seen: drawn more often, and taught by their masks alone."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from settings.mapping import SettingsError
from tests.training.conftest import call, changed_recipe
from training.data.cases import find_pairs
from training.data.dataset import TrainingSlices
from training.data.phantoms import write_phantoms
from training.data.sampler import Draw, SliceSampler
from training.data.seen import new_cases
from training.data.slices import load_slices
from training.data.split import Split, read_split, refit_of, write_split
from training.fit.loss import SegmentationLoss
from training.fit.module import SegmentationModule
from training.fit.recipe import AugmentRecipe, LossRecipe, load_recipe
from training.fit.start import load_checkpoint, released_state

ONCE, TWICE, NEVER = "TCGA_CS_0001_1", "TCGA_DU_0002_1", "TCGA_HT_0003_1"


def run_of(folder: Path, *train: str) -> str:
    """A checkpoint (its name only) beside the split of the run that made it."""
    folder.mkdir()
    write_split(Split("case", 1, train, (), ("TCGA_FG_0009_1",)), folder / "split.json")
    return str(folder / "last.ckpt")


def test_new_is_what_one_of_them_has_not_seen(tmp_path: Path) -> None:
    one, both = run_of(tmp_path / "one", TWICE), run_of(tmp_path / "both", ONCE, TWICE)
    split = Split("case", 1, (ONCE, TWICE, NEVER), (), ("TCGA_FG_0009_1",))
    assert new_cases([both], split) == {NEVER}
    assert new_cases([both, one], split) == {NEVER, ONCE}
    assert new_cases([], split) == frozenset()  # no weights to forget anything
    with pytest.raises(SettingsError, match=r"nothing tells which cases .*weights.safetensors was trained on"):
        new_cases([both, str(tmp_path / "weights.safetensors")], split)


@given(
    kinds=st.lists(st.tuples(st.booleans(), st.integers(1, 4)), min_size=1, max_size=30),
    rounds=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_slices_come_as_often_as_they_count(kinds: list[tuple[bool, int]], rounds: int, seed: int) -> None:
    flags, times = [kind for kind, _ in kinds], [count for _, count in kinds]
    total = sum(times) * rounds
    share = sum(count for kind, count in kinds if kind) / sum(times)
    drawn = Counter(draw.index for draw in SliceSampler(flags, total, share, seed, times=times))
    assert drawn == {index: count * rounds for index, count in enumerate(times)}


def test_slices_that_count_once_are_drawn_as_without_counts() -> None:
    flags = [index % 3 == 0 for index in range(20)]
    assert list(SliceSampler(flags, 30, 0.5, 4, times=[1] * 20)) == list(SliceSampler(flags, 30, 0.5, 4))


def test_nothing_of_a_new_case_is_taught(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 64, slices=6)
    slices = load_slices(find_pairs(tmp_path).pairs)
    recipe = load_recipe("smoke")
    cases = sorted({item.pair.case for item in slices})
    known, new = cases[0], frozenset(cases[1:])

    def taught(data: TrainingSlices) -> list[tuple[str, float]]:
        return [(item.pair.case, float(data[Draw(index, 1, 0)][2])) for index, item in enumerate(slices)]

    assert all(value == (case == known) for case, value in taught(TrainingSlices(slices, recipe, new)))
    assert all(value == 1 for _, value in taught(TrainingSlices(slices, recipe)))
    # Pieces of other cases, nearly all of them new, end up in slices of the known one.
    grafted = TrainingSlices(slices, replace(recipe, augment=AugmentRecipe(transplant=1)), new)
    alone = TrainingSlices([item for item in slices if item.pair.case == known], recipe, new)
    index = next(place for place, item in enumerate(slices) if item.pair.case == known)
    answers = {float(grafted[Draw(index, seed, 0)][2]) for seed in range(40)}
    assert answers == {0.0, 1.0}
    assert float(alone[Draw(0, 1, 0)][2]) == 1


def test_the_loss_hears_teachers_where_it_is_told_to() -> None:
    loss = SegmentationLoss(LossRecipe(bce=0.0, batch_dice=0.0, teacher=3.0))
    logits, mask = torch.randn(4, 1, 8, 8), torch.zeros(4, 1, 8, 8)
    guide = torch.rand(4, 1, 8, 8)
    heard = torch.tensor([1.0, 0.0, 0.0, 1.0])
    alone = [loss(logits[n : n + 1], mask[n : n + 1], guide[n : n + 1]) for n in range(4)]
    torch.testing.assert_close(loss(logits, mask, guide, heard), (alone[0] + alone[3]) / 4)
    torch.testing.assert_close(loss(logits, mask, guide, torch.ones(4)), loss(logits, mask, guide))
    assert loss(logits, mask, guide, torch.zeros(4)) == 0


@pytest.mark.parametrize("heard", [[1.0, 0.0, 0.0, 1.0], [1.0] * 4, [0.0] * 4])
def test_teachers_are_asked_only_where_they_are_heard(heard: list[float]) -> None:
    asked: list[torch.Tensor] = []

    def guide(images: torch.Tensor) -> torch.Tensor:
        asked.append(images)
        return images[:, :1].sigmoid()

    recipe = replace(load_recipe("smoke"), loss=LossRecipe(teacher=5.0))
    images, masks, taught = torch.randn(4, 3, 64, 64), torch.zeros(4, 1, 64, 64), torch.tensor(heard)
    module = SegmentationModule(recipe, total_steps=1, guide=guide)
    module.network.eval()
    loss = module.training_step((images, masks, taught), 0)
    # The loss of a step that asks about every slice and then counts only those heard.
    expected = SegmentationLoss(recipe.loss)(module.network(images), masks, images[:, :1].sigmoid(), taught)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.cat(asked) if asked else images[:0], images[taught > 0])


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Recipe smoke with one epoch, a use for teachers, and new cases apart."""
    changes = {
        "loss.teacher": 5.0,
        "sampling.stages": [{"epochs": 1, "window": [64, 64]}],
        "new_cases": {"times": 3, "taught": False},
    }
    return changed_recipe("smoke", tmp_path_factory.mktemp("recipe") / "apart.yaml", changes)


def test_a_refit_goes_on_from_what_knows_the_other_cases(
    smoke_run: Path, phantoms: Path, apart: Path, tmp_path: Path
) -> None:
    teacher = smoke_run / "last.ckpt"
    machine = ("--data", phantoms, "--accelerator", "cpu", "--threads", "1", "--split", smoke_run / "split.json")
    run = ("train", "--recipe", apart, "--refit", *machine)
    done = call(*run, "--run", tmp_path / "run", "--init", teacher, "--teacher", teacher)
    assert done.code == 0, done.error
    whole = read_split(smoke_run / "split.json")
    new = json.loads((tmp_path / "run" / "start.json").read_text())["new"]
    assert new_cases([str(teacher)], refit_of(whole)) == set(new) == set(whole.validation) != set()
    # What is new depends on the start, so the run goes on with no other.
    alone = call(*run, "--run", tmp_path / "run", "--teacher", teacher)
    assert alone.code == 1
    assert "begun with other start weights" in alone.error
    # Imported weights cannot say what they have seen, so nothing is new or old.
    weights = tmp_path / "weights.safetensors"
    state = released_state(load_checkpoint(teacher))
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, weights)
    wrong = call(*run, "--run", tmp_path / "other", "--init", weights, "--teacher", teacher)
    assert wrong.code == 1
    assert "nothing tells which cases" in wrong.error
    assert "Traceback" not in wrong.error


def test_masks_alone_move_what_the_teacher_would_keep() -> None:
    """One slice is known, one is new, and the teacher is wrong about both: only the new one follows its mask."""
    loss = SegmentationLoss(LossRecipe(bce=1.0, batch_dice=0.0, teacher=10.0))
    mask, guide = torch.ones(2, 1, 4, 4), torch.full((2, 1, 4, 4), 0.1)
    logits = torch.zeros(2, 1, 4, 4, requires_grad=True)
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(100):
        optimiser.zero_grad()
        loss(logits, mask, guide, torch.tensor([1.0, 0.0])).backward()
        optimiser.step()
    known, new = (logits[place].detach().sigmoid().mean().item() for place in (0, 1))
    assert known == pytest.approx((1 + 10 * 0.1) / 11, abs=0.01)  # where both terms balance
    assert new > 0.95
