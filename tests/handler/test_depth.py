"""Networks that look at several slices at a time: which slices they are shown, what is answered, and what it costs."""

from __future__ import annotations

import gzip
import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handler.card import Architecture, HeadCrop, InputSpec, parse_card
from handler.depth import SLAB, VOLUME
from handler.explain.way import explain
from handler.neighbours import Rolling
from handler.network import build
from handler.pipeline import Model, answer
from handler.predict import predict
from handler.scan import ArraySource, Scan
from handler.trust.gate import Gate
from prove.drawn.pictures import png, tiff
from prove.drawn.volumes import nifti
from samples.phantom import draw, draw_stack
from tests.contract import check_answer
from tests.handler.deep import CUT, DEPTHS, architecture, deep
from tests.handler.models import FLAIR_CHANNEL, SmallEngine, card, channel_rule, model
from tests.handler.test_batch import ask, started
from tests.handler.test_service import GOOD
from tests.handler.volumes.test_way import head

Pixels = NDArray[np.uint8]
FEW = settings(max_examples=12, deadline=None)


class Counted(SmallEngine):
    """Remembers what it was shown."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__(network)
        self.shapes: list[tuple[int, ...]] = []

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        self.shapes.append(images.shape)
        return super().logits(images)


class Lazy:
    """Pages that are decoded when they are asked for; ``asked``: how often each was."""

    def __init__(self, pixels: Pixels) -> None:
        self._pixels = pixels
        self.shape, self.dtype = pixels.shape, pixels.dtype
        self.asked = [0] * len(pixels)

    def pages(self, start: int, stop: int) -> Pixels:
        for index in range(start, stop):
            self.asked[index] += 1
        return self._pixels[start:stop]


def noise(slices: int, side: int = 64) -> Pixels:
    return np.random.default_rng(slices).integers(0, 256, (slices, side, side, 3), np.uint8)


def scan_of(pixels: Pixels, lazy: bool = False) -> Scan:
    return Scan(Lazy(pixels) if lazy else ArraySource(pixels), (0, 255), "tiff", "")


def before(pixels: Pixels) -> NDArray[np.bool_]:
    """What the rule marks: where the slice before is bright; the first stands in for the one before it."""
    bright = pixels[..., 1] / np.float32(255) > CUT
    return np.concatenate([bright[:1], bright[:-1]])


@FEW
@given(slices=st.integers(1, 64), depth=st.sampled_from(DEPTHS), lazy=st.booleans(), batch=st.sampled_from([1, 3, 8]))
def test_every_stack_gets_a_slice_for_each_of_its_own(slices: int, depth: int | str, lazy: bool, batch: int) -> None:
    served, pixels = deep(depth, batch), noise(slices, 32)
    small = served.card.with_changes(input=InputSpec(32, 32, depth=depth))
    found = predict(served.engine, small, scan_of(pixels, lazy), watched=True)
    assert found.probabilities.shape == (slices, 32, 32)
    assert np.array_equal(found.probabilities > 0.5, before(pixels))
    assert len(found.thumbs) == slices
    assert found.survey.samples == pixels.size


@FEW
@given(slices=st.integers(1, 64))
def test_the_network_over_volumes_answers_for_every_depth(slices: int) -> None:
    """MONAI's UNet gives 24 slices for 23, its others raise."""
    torch.manual_seed(0)
    network = build(architecture(VOLUME)).eval()
    small = card(architecture=architecture(VOLUME), input=InputSpec(32, 32, depth=VOLUME))
    found = predict(SmallEngine(network), small, scan_of(noise(slices, 32)))
    assert found.probabilities.shape == (slices, 32, 32)
    assert 0 < found.probabilities.min() <= found.probabilities.max() < 1


@pytest.mark.parametrize("depth", DEPTHS)
def test_work_and_memory_are_bounded_whatever_the_depth(depth: int | str) -> None:
    served = deep(depth)
    engine = Counted(served.engine.network)  # type: ignore[attr-defined]
    pages = scan_of(noise(50), lazy=True)
    predict(engine, served.card, pages)
    assert pages.source.asked == [1] * 50  # type: ignore[attr-defined]
    if depth == VOLUME:
        assert engine.shapes == [(1, 3, SLAB, 64, 64)] * 7
    else:
        assert engine.shapes == [(1, 3 * int(depth), 64, 64)] * 50


def test_what_lies_behind_is_let_go() -> None:
    brought: list[tuple[int, int]] = []

    def bring(start: int, stop: int) -> NDArray[np.float32]:
        brought.append((start, stop))
        return np.arange(start, stop, dtype=np.float32)[:, None, None, None] * np.ones((1, 2, 2, 3), np.float32)

    window = Rolling(bring, 10, 2)
    seen = [window.of(start, start + 4)[:, 0, 0, 0].astype(int).tolist() for start in (0, 4, 8)]
    assert seen == [
        [0, 0, 0, 1, 2, 3, 4, 5],
        [2, 3, 4, 5, 6, 7, 8, 9],
        [6, 7, 8, 9, 9, 9, 9, 9],
    ]
    assert brought == [(0, 6), (6, 10)]
    assert len(window._held) == 4


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("tta", ["none", "flip"])
def test_a_stack_is_answered(depth: int | str, tta: str) -> None:
    pixels = noise(19)
    headers = {"X-BrainSeg-Outputs": "mask", "X-BrainSeg-Tta": tta}
    outcome = answer(deep(depth), {"body": tiff(pixels, photometric="rgb")}, headers)
    body = check_answer(outcome.answer.body)
    assert [one["tumor_pixels"] for one in body["slices"]] == before(pixels).sum(axis=(1, 2)).tolist()
    assert body["warnings"] == []


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_single_picture_stands_in_for_its_neighbours_and_is_told_so(depth: int | str) -> None:
    pixels = noise(1)
    body = check_answer(answer(deep(depth), {"body": png(pixels[0])}, {}).answer.body)
    assert [warning["code"] for warning in body["warnings"]] == ["no_neighbours"]
    assert body["tumor_pixels"] == before(pixels).sum()
    flat = check_answer(answer(deep(3, crop=None), {"body": tiff(noise(2), photometric="rgb")}, {}).answer.body)
    assert flat["warnings"] == []


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("turned", [False, True])
def test_a_volume_is_answered_in_the_order_of_its_slices(depth: int | str, turned: bool) -> None:
    """The network looks from the feet to the head, whichever way the file runs."""
    scan, _ = head()
    voxels = scan.voxels[::-1] if turned else scan.voxels
    affine = scan.affine.copy()
    if turned:
        affine[:3, 3] += affine[:3, 2] * (len(voxels) - 1)
        affine[:3, 2] *= -1
    served = deep(depth, side=256)
    accept = {"Accept": "application/x-nifti", "X-BrainSeg-Min-Lesion-Pixels": "0"}
    outcome = answer(served, {"body": nifti(replace(scan, voxels=voxels, affine=affine))}, accept)
    mask = nibabel.Nifti1Image.from_bytes(gzip.decompress(outcome.answer.body))
    found = np.asarray(mask.dataobj).transpose(2, 1, 0) > 0
    flat = answer(_flat(), {"body": nifti(scan)}, accept)
    own = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(flat.answer.body)).dataobj).transpose(2, 1, 0) > 0
    own = own[::-1] if turned else own
    assert own.any()
    if turned:
        assert np.array_equal(found, np.concatenate([own[1:], own[-1:]]))
    else:
        assert np.array_equal(found, np.concatenate([own[:1], own[:-1]]))


def _flat() -> Model:
    """The same rule on the slice itself."""
    return model(channel_rule(FLAIR_CHANNEL, 20.0, CUT))


@pytest.mark.parametrize("depth", DEPTHS)
def test_requests_of_a_batch_know_nothing_of_each_other(depth: int | str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the last bit what each gets alone, with a real network, at a batch of several slices, cut to the head."""
    torch.manual_seed(1)
    small = architecture(depth)
    if depth != VOLUME:
        small = replace(small, encoder="tu-tf_mobilenetv3_small_minimal_100", decoder_channels=(16, 8, 8, 8, 8))
    served = replace(deep(depth, crop=HeadCrop(0.1, 0)), engine=SmallEngine(build(small).eval()))
    running = started(monkeypatch, served)
    stacks = [
        tiff([page.image for page in draw_stack(seed, count)], photometric="rgb") for seed, count in ((1, 9), (2, 4))
    ]
    scans = [stacks[0], png(draw(3, 0.08).image), stacks[1], b"text", nifti(head()[0])]
    headers = {**GOOD, "X-BrainSeg-Outputs": "mask,probability"}
    context, bodies = ask(running, *scans, headers=headers)
    assert [context.get_response_status(index)[0] for index in range(5)] == [200, 200, 200, 415, 200]
    for index, scan in enumerate(scans):
        _, (body,) = ask(running, scan, headers=headers)
        together, alone = json.loads(bodies[index]), json.loads(body)
        together.pop("timing_ms", None), alone.pop("timing_ms", None)
        assert together == alone


def test_a_slice_of_a_stack_hangs_on_its_neighbours_alone() -> None:
    """Of a network with neighbours as channels: the same three slices, the same answer, wherever they lie."""
    torch.manual_seed(1)
    small = Architecture("unet", "tu-tf_mobilenetv3_small_minimal_100", (16, 8, 8, 8, 8), 9)
    engine, pixels = SmallEngine(build(small).eval()), noise(12)
    deep_card = card(architecture=small, input=InputSpec(64, 64, depth=3))
    whole = predict(engine, deep_card, scan_of(pixels)).probabilities
    part = predict(engine, deep_card, scan_of(pixels[4:9])).probabilities
    assert np.array_equal(whole[5:8], part[1:4])
    assert not np.array_equal(whole[4], part[0])


@pytest.mark.parametrize("depth", DEPTHS)
def test_black_slices_and_cuts_to_the_head(depth: int | str) -> None:
    """Beyond the box nothing is marked, and the box is that of the slice that is answered for, of a slab of all."""
    pixels = np.zeros((20, 64, 64, 3), np.uint8)
    pixels[5:9, 8:24, 8:24] = 255
    found = predict(deep(depth).engine, deep(depth, crop=HeadCrop(0.1, 0)).card, scan_of(pixels)).probabilities > 0.5
    wanted = before(pixels)
    if depth != VOLUME:
        wanted[9] = False  # black itself: the network never saw it
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("depth", DEPTHS)
def test_explanations_are_refused_in_so_many_words(depth: int | str) -> None:
    outcome = explain(deep(depth), {"body": png(noise(1)[0])}, {})
    told = json.loads(outcome.answer.body)
    assert (told["status"], told["code"]) == (501, "explain_unavailable")
    assert "several slices" in told["detail"]


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_card_says_it_and_says_it_again(depth: int | str) -> None:
    made = deep(depth).card
    text = made.to_json()
    assert json.loads(text)["input"]["depth"] == depth
    assert parse_card(text) == made
    assert "depth" not in json.loads(card().to_json())["input"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"input": InputSpec(depth=2)}, "input.depth 2: expected 1, 3, 5 or 'volume'"),
        ({"input": InputSpec(depth=True)}, "input.depth True"),
        ({"input": InputSpec(depth="all")}, "input.depth 'all'"),
        ({"input": InputSpec(depth=3)}, "'in_channels': 1}: expected one for each and each of 3 slices"),
        ({"architecture": Architecture(in_channels=9)}, "'in_channels': 9"),
        ({"input": InputSpec(depth=VOLUME)}, "input.depth 'volume' of a unet-vgg16"),
        ({"architecture": architecture(VOLUME)}, "input.depth 1 of a unet3d-dynunet"),
    ],
)
def test_cards_that_contradict_themselves_are_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        card(**changes)


def test_the_gate_judges_each_slice_of_a_slab() -> None:
    """Not those that stand in for others, and each once."""
    seen: list[int] = []

    def look(pictures: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        seen.append(len(pictures))
        classes = np.zeros((len(pictures), 9), np.float32)
        classes[:, 0] = 1
        return classes, np.zeros(len(pictures), np.float32)

    gated = replace(deep(VOLUME), gate=Gate(look, 1.0, 0.5, 0.5))
    body = check_answer(answer(gated, {"body": tiff(noise(19), photometric="rgb")}, {}).answer.body)
    assert sum(seen) == 19
    assert body["trust"]["accepted"]
