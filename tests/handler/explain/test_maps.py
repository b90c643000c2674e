"""The two maps around networks whose answer is known: where they point, to the last digit; and captum, which others
wrote, computes the same."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam, Occlusion
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from handler.card import Calibration, HeadCrop, InputSpec
from handler.crop import Box
from handler.errors import RequestError
from handler.explain.deletion import deletion, tiles_of
from handler.explain.gradcam import COARSEST, gradcam, score
from handler.explain.look import Look, look_at
from handler.explain.occlusion import MOST_WINDOWS, occlusion, starts, windows_of
from handler.explain.question import SHARPNESS, scores
from handler.network import build
from handler.preprocess import tensor_of
from tests.handler.models import FLAIR_CHANNEL, FLAIR_RULE, SmallEngine, card
from tests.tiny import TINY

SIDE = 64
SPEC = InputSpec(SIDE, SIDE)
CARD = card(input=SPEC)
NEVER = float("inf")
SQUARE = (slice(16, 32), slice(32, 48))  # a tile, and two cells of 8
Array = NDArray[np.float32]


def nothing() -> None:
    return


def scan(square: float = 0.9) -> Array:
    """Grey all over but for a square that is brighter in FLAIR."""
    image = np.full((SIDE, SIDE, 3), 0.3, np.float32)
    image[(*SQUARE, FLAIR_CHANNEL)] = square
    return image


def look(network: torch.nn.Module = FLAIR_RULE, question: str = "area", image: Array | None = None) -> Look:
    return Look(SmallEngine(network), CARD, scan() if image is None else image, Box(0, SIDE, 0, SIDE), 0.5, question)


class Cells(torch.nn.Module):
    """Logits are ``gain`` times one channel of the input, averaged over cells of ``COARSEST`` pixels."""

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pool = torch.nn.AvgPool2d(COARSEST)

        def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
            return [image, self.pool(image)]

    def __init__(self, channel: int, gain: float) -> None:
        super().__init__()
        self.encoder = self.Encoder()
        self.channel, self.gain = channel, gain

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        cells = self.encoder(image)[1][:, self.channel : self.channel + 1]
        return self.gain * torch.nn.functional.interpolate(cells, scale_factor=COARSEST)


class TestOcclusion:
    def test_the_area_falls_by_what_is_covered_and_by_nothing_else(self) -> None:
        """A window over k pixels of the square takes k times what a pixel of it is more than grey ones."""
        heat, count = occlusion(look(), 16, NEVER, 30)
        a_pixel = expit(20 * (0.9 - 0.6)) - expit(20 * (0.3 - 0.6))
        rows, columns = starts(SIDE, 16), starts(SIDE, 16)
        expected, covered = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE))
        square = np.zeros((SIDE, SIDE))
        square[SQUARE] = 1
        for top in rows:
            for left in columns:
                window = slice(top, top + 16), slice(left, left + 16)
                expected[window] += a_pixel * square[window].sum()
                covered[window] += 1
        assert count == len(rows) * len(columns) == 49
        assert np.allclose(heat, expected / covered, atol=1e-3)
        far = np.ones((SIDE, SIDE), bool)
        far[0:48, 16:64] = False
        assert not heat[far].any()
        assert heat[SQUARE].min() > heat[far].max()

    def test_the_verdict_hangs_on_the_only_bright_place(self) -> None:
        """Covered whole, the largest log-odds fall from 6 to -6."""
        heat, _ = occlusion(look(question="verdict"), 32, NEVER, 30)
        softened = np.log(16 * 16) / SHARPNESS  # of the square's pixels, all alike
        rest = np.log(SIDE * SIDE) / SHARPNESS
        assert heat.max() == pytest.approx(6 + softened - (-6 + rest), abs=0.01)
        assert heat[20, 40] == pytest.approx(heat.max(), abs=0.01)
        assert heat[0, 0] == heat[63, 0] == 0

    def test_another_channel_alone_moves_nothing(self) -> None:
        image = scan(0.3)
        image[(*SQUARE, 0)] = 0.9  # T1
        assert not occlusion(look(image=image, question="verdict"), 16, NEVER, 30)[0].any()

    @pytest.mark.parametrize("question", ["verdict", "area"])
    def test_captum_computes_the_same(self, question: str) -> None:
        torch.manual_seed(0)
        layers = [torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(4, 1, 3, padding=1)]
        image = np.random.default_rng(0).random((SIDE, SIDE, 3), np.float32) * np.float32(0.9) + np.float32(0.1)
        one = look(torch.nn.Sequential(*layers).eval(), question, image)
        one = dataclasses.replace(one, threshold=float(np.median(one.whole)))
        assert one.head.all()
        ours, _ = occlusion(one, 16, NEVER, 30)

        def asked(images: torch.Tensor) -> torch.Tensor:
            probabilities = torch.sigmoid(one.engine.network(images)[:, 0]).detach().numpy()  # type: ignore[attr-defined]
            return torch.from_numpy(scores(question, probabilities, one.region))

        baseline = torch.from_numpy(tensor_of(np.broadcast_to(one.baseline, (1, SIDE, SIDE, 3)).copy(), SPEC))
        image = torch.from_numpy(tensor_of(one.image[None], SPEC))
        theirs = Occlusion(asked).attribute(
            image, sliding_window_shapes=(3, 16, 16), strides=(3, 8, 8), baselines=baseline
        )
        assert np.abs(ours).max() > 1e-3
        assert np.allclose(ours, theirs[0, 0].numpy(), atol=1e-4)

    def test_the_air_is_left_as_it_is(self) -> None:
        image = scan()
        image[:, :16] = 0
        heat, count = occlusion(look(image=image), 16, NEVER, 30)
        assert count == 7 * 6
        assert not heat[:, :8].any()
        part = np.ones((SIDE, SIDE), bool)
        assert not look(image=image).blanked(part)[:, :16].any()
        assert np.allclose(look(image=image).blanked(part)[:, 16:], 0.3)

    def test_more_windows_than_the_budget_are_refused(self) -> None:
        big = dataclasses.replace(look(), image=np.full((512, 512, 3), 0.3, np.float32))
        with pytest.raises(RequestError, match=f"at most {MOST_WINDOWS} are looked at") as refusal:
            occlusion(big, 8, NEVER, 30)
        assert refusal.value.code == "invalid_parameter"

    def test_what_will_take_too_long_is_refused_as_soon_as_that_shows(self) -> None:
        calls = 0

        class Slow(SmallEngine):
            def logits(self, images: Array) -> Array:
                nonlocal calls
                calls += 1
                return super().logits(images)

        slow = dataclasses.replace(look(), engine=Slow(FLAIR_RULE))
        with pytest.raises(RequestError, match=r"49 windows would take about \d+ s; 3 are given") as refusal:
            occlusion(slow, 16, time.monotonic() - 1, 3)
        assert refusal.value.code == "timeout"
        assert calls == 2  # the picture as it came, and one window


@given(st.integers(1, 300), st.integers(8, 128))
def test_windows_begin_half_a_window_apart_and_reach_the_end(length: int, window: int) -> None:
    begins = starts(length, window)
    assert begins[0] == 0
    assert set(np.diff(begins)) <= {window // 2}
    assert begins[-1] + window >= length
    assert begins[-1] < length
    assert len(begins) == 1 or begins[-2] + window < length


@given(st.integers(8, 70), st.integers(8, 70), st.integers(8, 40), st.randoms())
def test_the_head_is_covered_and_windows_of_air_are_left_out(
    rows: int, columns: int, window: int, dice: object
) -> None:
    head = np.zeros((rows, columns), bool)
    head[dice.randrange(rows), dice.randrange(columns)] = True
    head[dice.randrange(rows) :, dice.randrange(columns)] = True
    covered = np.zeros_like(head)
    for place in windows_of(head, window):
        assert head[place].any()
        covered[place] = True
    assert (covered | ~head).all()


class TestGradCam:
    IMAGE = torch.from_numpy(tensor_of(scan()[None], SPEC))
    REGION = torch.from_numpy(scan()[..., FLAIR_CHANNEL] > 0.5)

    def test_exact_values_around_a_network_of_one_channel(self) -> None:
        """The soft maximum's gradient sums to the gain over the cells, so that a cell's weight is the gain over their
        number, and the heat that times the feature, where it is above 0."""
        found = gradcam(Cells(FLAIR_CHANNEL, 5.0), self.IMAGE, "verdict", Calibration(), self.REGION)
        assert (found.stage, found.cell, found.channels) == (1, COARSEST, 3)
        cells = torch.nn.functional.avg_pool2d(self.IMAGE, COARSEST)[:, FLAIR_CHANNEL : FLAIR_CHANNEL + 1]
        expected = torch.relu(5.0 / 16 * cells)
        upsampled = torch.nn.functional.interpolate(expected, (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
        assert torch.allclose(found.heat, upsampled, atol=1e-5)
        top, left = np.unravel_index(int(found.heat.argmax()), (SIDE, SIDE))
        assert SQUARE[0].start <= top < SQUARE[0].stop
        assert SQUARE[1].start <= left < SQUARE[1].stop

    def test_a_network_of_another_channel_points_elsewhere(self) -> None:
        image = scan(0.3)
        image[0:16, 0:16, 0] = 0.95
        tensor = torch.from_numpy(tensor_of(image[None], SPEC))
        for channel, place in ((0, (0, 0)), (FLAIR_CHANNEL, None)):
            heat = gradcam(Cells(channel, 5.0), tensor, "verdict", Calibration(), self.REGION).heat
            assert heat.any() == (place is not None)
            assert place is None or heat[place] == heat.max()

    @pytest.mark.parametrize("question", ["verdict", "area"])
    def test_captum_computes_the_same(self, question: str) -> None:
        torch.manual_seed(1)
        network, calibration = Cells(FLAIR_CHANNEL, 3.0), Calibration(1.4, -0.5)
        ours = gradcam(network, self.IMAGE, question, calibration, self.REGION).heat

        def asked(images: torch.Tensor) -> torch.Tensor:
            return score(question, network(images)[0, 0], calibration, self.REGION)[None]

        theirs = LayerGradCam(asked, network.encoder.pool).attribute(self.IMAGE, relu_attributions=True)
        bigger = torch.nn.functional.interpolate(theirs, (SIDE, SIDE), mode="bilinear", align_corners=False)[0, 0]
        assert bigger.max() > 0
        assert torch.allclose(ours, bigger.detach(), atol=1e-6)

    @pytest.mark.parametrize("question", ["verdict", "area"])
    def test_both_ways_of_the_score_are_one(self, question: str) -> None:
        """Occlusion takes it of probabilities, gradients of logits."""
        logits = torch.randn(SIDE, SIDE, generator=torch.Generator().manual_seed(2)) * 2
        probabilities = expit(1.4 * logits.numpy() - 0.5)[None].astype(np.float32)
        by_numpy = scores(question, probabilities, self.REGION.numpy())[0]
        assert float(score(question, logits, Calibration(1.4, -0.5), self.REGION)) == pytest.approx(by_numpy, rel=1e-4)

    def test_other_weights_give_another_map(self) -> None:
        """A map that is the same for a network of random weights shows the picture and not the network (Adebayo et al.,
        2018)."""
        noise = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 3, SIDE, SIDE), np.float32))
        maps = []
        for seed in (0, 0, 1):
            torch.manual_seed(seed)
            found = gradcam(build(TINY).eval(), noise, "verdict", Calibration(), self.REGION)
            maps.append(found.heat.numpy().ravel())
        assert found.cell == COARSEST
        assert np.array_equal(maps[0], maps[1])
        assert np.corrcoef(maps[0], maps[2])[0, 1] < 0.8


class TestDeletion:
    def test_a_map_of_the_truth_moves_the_answer_and_chance_does_not(self) -> None:
        truth = np.zeros((SIDE, SIDE), np.float32)
        truth[SQUARE] = 1
        found = deletion(look(), truth, nothing)
        assert (found.side, found.tiles, found.blanked) == (4, 256, 26)
        assert found.faithful
        assert found.without_most_important.area == pytest.approx(256 * expit(-6), abs=0.1)
        assert found.whole.area == pytest.approx(256 * expit(6), abs=0.1)
        assert len({one.area for one in found.without_random}) > 1
        assert min(one.area for one in found.without_random) > 0.5 * found.whole.area

    def test_a_map_of_something_else_is_told_from_it(self) -> None:
        wrong = np.zeros((SIDE, SIDE), np.float32)
        wrong[48:, :] = 1
        assert not deletion(look(), wrong, nothing).faithful

    def test_the_same_request_gets_the_same_answer(self) -> None:
        heat = scan()[..., FLAIR_CHANNEL]
        assert deletion(look(), heat, nothing) == deletion(look(), heat, nothing)

    def test_it_can_be_stopped_between_calls(self) -> None:
        calls: list[int] = []

        def stop() -> None:
            calls.append(1)
            if len(calls) == 3:
                raise RequestError("timeout", "enough")

        with pytest.raises(RequestError, match="enough"):
            deletion(look(), scan()[..., 0], stop)
        assert len(calls) == 3

    @pytest.mark.parametrize(
        ("head", "count"),
        [
            (lambda head: head[:8, :8].fill(True), 4),
            (lambda head: head[:8, :2].fill(True), 2),
            (lambda head: head[0, 0:1].fill(True), 1),  # less than half of any: what there is
        ],
    )
    def test_tiles_are_those_of_the_head(self, head: Callable[[NDArray[np.bool_]], None], count: int) -> None:
        there = np.zeros((SIDE, SIDE), bool)
        head(there)
        assert len(tiles_of(there, 4)) == count


def test_a_black_slice_has_no_look() -> None:
    cropped = CARD.with_changes(crop=HeadCrop(0.1, 0))
    black = np.zeros((SIDE, SIDE, 3), np.float32)
    assert look_at(SmallEngine(FLAIR_RULE), cropped, black, 0.5, "verdict") is None
    found = look_at(SmallEngine(FLAIR_RULE), cropped, np.pad(scan()[:20, :20], ((0, 44), (0, 44), (0, 0))), 0.5, "area")
    assert found is not None
    assert found.image.shape == (32, 32, 3)
