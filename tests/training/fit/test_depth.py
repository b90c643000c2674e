"""Networks that see a slice with its neighbours, or a slab: their data, their start, a whole run of each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from handler.card import read_card
from handler.depth import SLAB
from handler.neighbours import inputs_of
from handler.network import build
from handler.preprocess import network_grid
from settings.mapping import SettingsError
from tests.tiny import TINY
from tests.training.conftest import call, changed_recipe
from training.data.cases import find_pairs
from training.data.dataset import TrainingSlices, WholeSlabs, WholeSlices
from training.data.phantoms import write_phantoms
from training.data.sampler import Draw
from training.data.slices import LabelledSlice, load_slices
from training.data.stacks import places
from training.fit.architecture import architecture_of, input_spec
from training.fit.recipe import load_recipe
from training.fit.slabs import answered
from training.fit.start import StartWeightsError, network_state

CASE = "TCGA_CS_0000_20000101"
VOLUME = {
    "model.decoder": "unet3d",
    "model.encoder": "dynunet",
    "model.decoder_channels": [4, 4, 8],
    "model.depth": "volume",
    "sampling.batch_size": 2,
}
FINE = {"augment.affine": 0.0, "augment.elastic": 0.0, "augment.flip": 0.0, "augment.intensity": 0.0}
PLAIN = {**FINE, "augment.missing_sequence": 0.0}


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> list[LabelledSlice]:
    """Twenty slices of one case, number 9 missing."""
    folder = tmp_path_factory.mktemp("case")
    write_phantoms(folder, 64, 21, (CASE,))
    return load_slices([pair for pair in find_pairs(folder).pairs if pair.number != 9])


def test_a_stack_ends_at_a_gap_and_its_last_slice_stands_in(case: list[LabelledSlice]) -> None:
    found = places(case[::-1])[::-1]  # whatever order they come in
    numbers = [[case[::-1][index].pair.number for index in place.around(2, 2)] for place in found]
    by_number = dict(zip([item.pair.number for item in case], numbers, strict=True))
    assert by_number[5] == [3, 4, 5, 6, 7]
    assert by_number[1] == [1, 1, 1, 2, 3]
    assert by_number[8] == [6, 7, 8, 8, 8]  # 9 is missing, 10 lies beyond
    assert by_number[10] == [10, 10, 10, 11, 12]


def test_another_case_or_size_is_no_neighbour(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "a", 64, 2, (CASE, "TCGA_DU_0000_20000101"))
    write_phantoms(tmp_path / "b", 96, 3, (CASE,))
    small = load_slices(find_pairs(tmp_path / "a").pairs)
    large = [item for item in load_slices(find_pairs(tmp_path / "b").pairs) if item.pair.number == 3]
    stacks = {place.stack for place in places([*small, *large])}
    assert stacks == {(0, 1), (2, 3), (4,)}


def test_neighbours_are_the_further_channels(case: list[LabelledSlice], tmp_path: Path) -> None:
    recipe = load_recipe(str(changed_recipe("smoke", tmp_path / "r.yaml", {"model.depth": 3, **PLAIN})))
    whole = WholeSlices(case, input_spec(recipe))
    image, mask = whole[3]
    flat = WholeSlices(case, input_spec(load_recipe("smoke")))
    assert image.shape == (9, 64, 64)
    assert mask.shape == (1, 64, 64)
    for at, index in enumerate((2, 3, 4)):
        assert torch.equal(image[3 * at : 3 * at + 3], flat[index][0])
    drawn, drawn_mask, _ = TrainingSlices(case, recipe)[Draw(3, 11, 2)]  # the last epoch's window is the whole slice
    assert torch.allclose(drawn, image)
    assert torch.equal(drawn_mask, mask)


def test_the_slice_that_was_drawn_is_changed_as_it_is_without_neighbours(
    case: list[LabelledSlice], tmp_path: Path
) -> None:
    """So a witness of depth 1 is trained on the very same slices."""
    changes: dict[str, object] = {
        "augment.flip": 0.5,
        "augment.affine": 1.0,
        "augment.elastic": 1.0,
        "augment.intensity": 1.0,
    }
    changes |= {"sampling.stages": [{"epochs": 1, "window": [32, 64]}]}
    flat = load_recipe(str(changed_recipe("smoke", tmp_path / "1.yaml", changes)))
    deep = load_recipe(str(changed_recipe("smoke", tmp_path / "3.yaml", {"model.depth": 3, **changes})))
    for seed in range(4):
        one, mask, _ = TrainingSlices(case, flat)[Draw(5, seed, 0)]
        three, same, _ = TrainingSlices(case, deep)[Draw(5, seed, 0)]
        assert one.shape == (3, 32, 64)
        assert torch.equal(three[3:6], one)
        assert torch.equal(same, mask)
        assert not torch.equal(three[:3], one)


@pytest.mark.parametrize("depth", [{"model.depth": 5}, VOLUME], ids=["neighbours", "volume"])
def test_every_change_is_made_to_all_slices(
    case: list[LabelledSlice], depth: dict[str, object], tmp_path: Path
) -> None:
    """Equal slices stay equal but for their noise, which is of each."""
    names = ("flip", "affine", "elastic", "intensity", "missing_sequence", "alone", "degrade")
    changes: dict[str, object] = {f"augment.{name}": 1.0 for name in names}
    slices = TrainingSlices(case, load_recipe(str(changed_recipe("smoke", tmp_path / "r.yaml", {**changes, **depth}))))
    image, mask, _ = slices[Draw(5, 3, 0)]
    each = image.unflatten(0, (-1, 3)) if image.ndim == 3 else image.transpose(0, 1)
    assert (each - each[:1]).abs().mean() < 0.2  # in units of the normalisation; noise is 0.03 / 0.22 at most
    assert image.std() > 0.2
    assert mask.shape[-2:] == image.shape[-2:]


def test_a_slice_alone_stands_in_for_its_neighbours(case: list[LabelledSlice], tmp_path: Path) -> None:
    path = changed_recipe("smoke", tmp_path / "r.yaml", {"model.depth": 3, "augment.alone": 1.0})
    image, _, _ = TrainingSlices(case, load_recipe(str(path)))[Draw(5, 3, 0)]
    assert torch.equal(image[:3], image[3:6])
    assert torch.equal(image[6:], image[3:6])


def test_a_slab_is_drawn_around_the_slice_and_inside_the_stack(case: list[LabelledSlice], tmp_path: Path) -> None:
    long = [item for item in case if item.pair.number > 9] + case[:2]  # twelve slices and two
    recipe = load_recipe(str(changed_recipe("smoke", tmp_path / "r.yaml", {**VOLUME, **PLAIN})))
    slices = TrainingSlices(long, recipe)
    image, mask, _ = slices[Draw(4, 1, 2)]
    assert image.shape == (3, SLAB, 64, 64)
    assert mask.shape == (1, SLAB, 64, 64)
    truths = torch.from_numpy(np.stack([item.mask for item in long]).astype(np.float32))
    seen = slices._seen(Draw(4, 1, 2))
    assert 4 in seen
    assert torch.equal(mask[0], truths[seen])
    spec = input_spec(recipe)
    own = inputs_of(np.stack([network_grid(long[i].scan, spec)[0] for i in seen])[None], spec)
    assert np.allclose(image, own[0])


def test_slabs_cover_each_slice_once(case: list[LabelledSlice], tmp_path: Path) -> None:
    spec = input_spec(load_recipe(str(changed_recipe("smoke", tmp_path / "r.yaml", VOLUME))))
    slabs = WholeSlabs(case, spec)
    truths = []
    for index in range(len(slabs)):
        image, mask = slabs[index]
        assert image.shape == (3, SLAB, 64, 64)
        logits, truth = answered(image[None, :1], mask[None])
        assert logits.shape == truth.shape
        truths.append(truth[:, 0])
    assert torch.equal(torch.cat(truths), torch.from_numpy(np.stack([item.mask for item in case]).astype(np.float32)))


def test_a_widened_network_begins_as_what_it_was(tmp_path: Path) -> None:
    torch.manual_seed(0)
    flat = build(TINY).eval()
    save_file({key: one.contiguous() for key, one in flat.state_dict().items()}, tmp_path / "w.safetensors")
    wide = build(replace(TINY, in_channels=9)).eval()
    wide.load_state_dict(network_state(wide, str(tmp_path / "w.safetensors"), 3))
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.allclose(wide(torch.cat([torch.rand(1, 3, 64, 64), image, image], 1)), flat(image), atol=1e-6)
    with pytest.raises(StartWeightsError, match="1 of another shape"):
        network_state(wide, str(tmp_path / "w.safetensors"))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model.depth": 3, "augment.transplant": 0.2}, "augment.transplant with model.depth 3"),
        ({"model.depth": 3, "loss.teacher": 1.0}, "loss.teacher with model.depth 3"),
        ({"model.depth": 2}, "model.depth: got 2, expected one of 1, 3, 5, volume"),
        ({"model.depth": "volume"}, "depth 'volume' of a unet"),
        ({"model.decoder": "unet3d", "model.encoder": "dynunet"}, "depth 1 of a unet3d"),
        ({"augment.alone": 0.1}, "augment.alone is for networks that see neighbours"),
    ],
)
def test_what_cannot_be_meant_is_refused(changes: dict[str, object], said: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=said):
        load_recipe(str(changed_recipe("smoke", tmp_path / "r.yaml", changes)))


@pytest.mark.training
@pytest.mark.parametrize(("name", "changes"), [("25d", {"model.depth": 3, "augment.alone": 0.1}), ("3d", VOLUME)])
def test_a_run_becomes_a_release_that_is_judged(
    name: str, changes: dict[str, object], phantoms: Path, tmp_path: Path
) -> None:
    """Trained, resumed where it ended, released, evaluated: by the commands that all others are."""
    cut = {"sampling.stages": [{"epochs": 1, "window": [64, 64]}], "sampling.samples_per_epoch": 8, **changes}
    path = changed_recipe("smoke", tmp_path / "r.yaml", cut)
    options = ("--recipe", path, "--data", phantoms, "--accelerator", "cpu", "--threads", "1")
    for _ in range(2):
        done = call("train", "--run", tmp_path / "run", *options)
        assert done.code == 0, done.error
    release = tmp_path / "brainseg-0.3"
    done = call("release", tmp_path / "run" / "last.ckpt", "--version", "0.3", "--out", release, "--data", phantoms)
    assert done.code == 0, done.error
    card = read_card(release)
    assert card.input.depth == changes["model.depth"]
    assert "send whole stacks" in card.limits[-1]
    assert card.architecture == architecture_of(load_recipe(str(path)))
    done = call("evaluate", release, "--out", tmp_path / "report", "--data", phantoms, "--side", "validation")
    assert done.code == 0, done.error
    figures = json.loads((tmp_path / "report" / "report.json").read_text())
    released = json.loads((release / "report.json").read_text())["validation"]
    assert figures["slices"] == released["slices"]
