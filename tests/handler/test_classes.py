"""Several classes: phantoms in, their labels out, by networks whose answer is known."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from scipy.special import expit, softmax

from handler.card import Calibration, parse_card
from handler.compose import Rule, label_steps, probabilities, region_steps, tumour_of
from handler.explain.tumour import of_tumour
from handler.explain.way import explain
from handler.labels import ACTIVATIONS, SIGMOID, SOFTMAX, Labelling, Region
from handler.measure import STEPS, to_steps
from handler.pipeline import Model
from prove.drawn.pictures import png
from tests.contract import picture
from tests.handler.models import FLAIR_RULE, model
from tests.handler.test_pipeline import ask, refused, told
from tests.labelled import (
    CUTS,
    ENHANCING,
    GREY,
    LABELS,
    NECROSIS,
    OEDEMA,
    REGIONS,
    brightness_rule,
    labelled_card,
    labelled_model,
    painted,
    truth,
)

TRUTH = truth()
SCAN = png(painted(TRUTH))


@pytest.fixture(params=ACTIVATIONS)
def activation(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def three(activation: str) -> Model:
    return labelled_model(activation)


def image(data: bytes) -> NDArray[Any]:
    return np.asarray(Image.open(io.BytesIO(data)))


class TestAnswer:
    def test_labels_are_found_and_counted(self, three: Model) -> None:
        reply = told(three, SCAN)
        mask = image(picture(reply, "mask"))
        np.testing.assert_array_equal(mask, TRUTH)
        assert reply["tumor_pixels"] == np.count_nonzero(TRUTH)
        for label, known in zip(reply["labels"], LABELS, strict=True):
            assert (label["value"], label["name"], tuple(label["colour"])) == (known.value, known.name, known.colour)
            assert label["code"]["value"] == known.code.value
            assert label["pixels"] == np.count_nonzero(known.value == TRUTH) > 0
            assert label["volume_ml"] is None
            assert label["max_probability"] > 0.99
        whole, core, enhancing = reply["regions"]
        assert whole["pixels"] == reply["tumor_pixels"]
        assert core["pixels"] == np.isin(TRUTH, (NECROSIS, ENHANCING)).sum()
        assert (enhancing["name"], enhancing["labels"]) == ("enhancing tumour", [3])

    def test_nothing_there(self, three: Model) -> None:
        reply = told(three, png(painted(np.zeros_like(TRUTH))))
        assert reply["verdict"] == "no_tumor_detected"
        assert [label["pixels"] for label in reply["labels"]] == [0, 0, 0]
        assert max(label["max_probability"] for label in reply["labels"]) < 0.01
        assert not image(picture(reply, "mask")).any()

    def test_a_model_of_tumour_alone_has_none(self) -> None:
        reply = told(model(FLAIR_RULE), SCAN)
        assert (reply["labels"], reply["regions"], reply["slices"][0]["labels"]) == (None, None, None)
        said = refused(model(FLAIR_RULE), SCAN, "not_acceptable", X_BrainSeg_Outputs="label_probabilities")
        assert "label_probabilities" in said

    def test_a_stack_is_its_slices(self, three: Model) -> None:
        stack = np.stack([painted(TRUTH), painted(np.zeros_like(TRUTH)), painted(truth(core=False))])
        file = io.BytesIO()
        tifffile.imwrite(file, stack, photometric="rgb")
        reply = told(three, file.getvalue())
        assert [s["labels"][ENHANCING - 1]["pixels"] > 0 for s in reply["slices"]] == [True, False, True]
        pages = tifffile.imread(io.BytesIO(ask(three, file.getvalue(), Accept="image/tiff").answer.body))
        np.testing.assert_array_equal(pages, np.stack([TRUTH, np.zeros_like(TRUTH), truth(core=False)]))

    @pytest.mark.parametrize("side", [160, 512, 600])
    def test_probabilities_and_not_labels_are_brought_to_the_grid(self, three: Model, side: int) -> None:
        """A spot that enhances, in nothing: were labels blurred, a ring of the labels between would lie around it."""
        mask = image(picture(told(three, png(painted(truth(side, core=False)))), "mask"))
        assert mask.shape == (side, side)
        counts = np.bincount(mask.ravel(), minlength=4)
        assert abs(int(counts[ENHANCING]) - np.count_nonzero(truth(side, core=False))) < 0.08 * counts[ENHANCING]
        assert counts[1:3].sum() < 0.2 * counts[ENHANCING]  # the scan's own blur, on the network's grid

    def test_a_passport_is_of_the_labels(self, three: Model) -> None:
        reply = told(three, SCAN, X_BrainSeg_Passport="on")
        content = json.loads(base64.b64decode(reply["passport"]["payload"]))
        assert content["mask"]["sha256"] == hashlib.sha256(TRUTH.tobytes()).hexdigest()


class TestPictures:
    def test_colours(self, three: Model) -> None:
        reply = told(three, SCAN, X_BrainSeg_Outputs="overlay,panel,scan")
        scan, overlay = image(picture(reply, "scan")), image(picture(reply, "overlay"))
        panel = image(picture(reply, "panel"))
        for label in LABELS:
            there = label.value == TRUTH
            np.testing.assert_array_equal(overlay[there][0], (scan[there][0].astype(int) + label.colour) // 2)
            assert tuple(panel[:, 256:512][there][0]) == label.colour
        np.testing.assert_array_equal(overlay[TRUTH == 0], scan[TRUTH == 0])
        np.testing.assert_array_equal(panel[:, 512:], overlay)

    def test_probabilities_by_label(self, three: Model, activation: str) -> None:
        reply = told(three, SCAN, X_BrainSeg_Outputs="label_probabilities,probability")
        maps = image(picture(reply, "label_probabilities")).reshape(3, 256, 256) / STEPS
        tumour = image(picture(reply, "probability")) / STEPS
        for label, one in zip(LABELS, maps, strict=True):
            assert ((one > 0.5) == (label.value == TRUTH)).all()
        assert ((tumour > 0.5) == (TRUTH > 0)).all()
        grey = np.array([GREY[OEDEMA] / 255], np.float64)
        regions = expit(60 * (grey - np.array(CUTS)))
        wanted = regions[0] - regions[1]
        if activation == SOFTMAX:
            z = 60 * np.array([0.0, 2 * grey[0] - CUTS[0] - CUTS[1], grey[0] - CUTS[0], 3 * grey[0] - sum(CUTS)])
            wanted = softmax(z)[OEDEMA]
        assert maps[OEDEMA - 1][TRUTH == OEDEMA] == pytest.approx(wanted, abs=1e-3)

    def test_a_png_alone(self, three: Model) -> None:
        reply = ask(three, SCAN, Accept="image/png").answer
        np.testing.assert_array_equal(image(reply.body), TRUTH)
        assert reply.headers["X-BrainSeg-Tumor-Pixels"] == str(np.count_nonzero(TRUTH))


class TestFields:
    def test_small_components_of_tumour_go_with_all_their_labels(self, three: Model) -> None:
        values = TRUTH.copy()
        values[10:14, 10:14], values[12:14, 10:14] = OEDEMA, ENHANCING
        kept = told(three, png(painted(values)), X_BrainSeg_Min_Lesion_Pixels="16")
        np.testing.assert_array_equal(image(picture(kept, "mask")), values)
        dropped = told(three, png(painted(values)), X_BrainSeg_Min_Lesion_Pixels="17")
        np.testing.assert_array_equal(image(picture(dropped, "mask")), TRUTH)

    def test_the_threshold_moves_the_edge_of_tumour(self, three: Model) -> None:
        _, x = np.mgrid[:256, :256]
        ramp = np.repeat((40 + (x * 0.6).astype(np.uint8))[..., None], 3, axis=-1).astype(np.uint8)
        steps = image(picture(told(three, png(ramp), X_BrainSeg_Outputs="probability"), "probability"))
        sizes = []
        for threshold in (0.02, 0.5, 0.98):
            reply = told(three, png(ramp), X_BrainSeg_Threshold=str(threshold))
            mask = image(picture(reply, "mask"))
            np.testing.assert_array_equal(mask > 0, steps / STEPS > threshold)
            sizes.append(reply["tumor_pixels"])
        assert sizes == sorted(sizes, reverse=True)
        assert len(set(sizes)) == 3


MAPS = st.lists(st.integers(0, STEPS), min_size=12, max_size=12).map(lambda n: np.array(n, np.uint16).reshape(3, 2, 2))


class TestRule:
    @settings(max_examples=60, deadline=None)
    @given(odds=st.lists(st.floats(-8, 8), min_size=4, max_size=4))
    def test_softmax_is_the_argmax(self, odds: list[float]) -> None:
        logits = np.array(odds, np.float32).reshape(1, 4, 1, 1)
        card = labelled_card(SOFTMAX)
        found = to_steps(probabilities(logits, card)[0])
        rule = Rule.of(card)
        value = int(rule.values(found, rule.mask(found))[0, 0])
        order = np.sort(odds)
        if order[-1] - order[-2] > 1e-3:  # nearer they are one step of 65535
            assert value == int(np.argmax(odds))
        assert (value > 0) == bool(rule.tumour(found)[0, 0] > STEPS // 2)

    @settings(max_examples=60, deadline=None)
    @given(maps=MAPS, thresholds=st.tuples(*[st.floats(0.05, 0.95)] * 3))
    def test_sigmoid_is_the_regions_written_in_order(
        self, maps: NDArray[np.uint16], thresholds: tuple[float, float, float]
    ) -> None:
        regions = tuple(
            Region(one.name, one.labels, cut, one.writes) for one, cut in zip(REGIONS[SIGMOID], thresholds, strict=True)
        )
        rule = Rule(0.5, 0, Labelling(LABELS, regions, SIGMOID), 0.5)
        values = rule.values(maps, rule.mask(maps))
        wanted = np.zeros((2, 2), np.uint8)
        clear = np.ones((2, 2), bool)
        for one, region in zip(maps / STEPS, regions, strict=True):
            wanted[one > region.threshold] = region.writes
            clear &= np.abs(one - region.threshold) > 1e-3  # nearer they are one step of 65535
        np.testing.assert_array_equal(values[clear], wanted[clear])
        np.testing.assert_array_equal(values > 0, rule.tumour(maps) > STEPS // 2)

    @settings(max_examples=30, deadline=None)
    @given(maps=MAPS, threshold=st.floats(0.01, 0.99), kind=st.sampled_from(ACTIVATIONS))
    def test_a_label_is_where_tumour_is_above_the_threshold(
        self, maps: NDArray[np.uint16], threshold: float, kind: str
    ) -> None:
        if kind == SOFTMAX:
            maps = (maps // 3).astype(np.uint16)  # together at most 1
        rule = Rule(threshold, 0, Labelling(LABELS, REGIONS[kind], kind), 0.5)
        mask = rule.mask(maps)
        np.testing.assert_array_equal(rule.values(maps, mask) > 0, mask)
        found = rule.measured(maps, 0)
        assert sum(part.pixels for part in found.measurement.labels) == mask.sum()

    def test_one_label_is_tumour_alone(self) -> None:
        """Two channels of softmax are the sigmoid of their difference."""
        maps = np.arange(0, STEPS, 1000, dtype=np.uint16)[None, None]
        rule = Rule(0.3, 0, Labelling(LABELS[:1], (), SOFTMAX))
        np.testing.assert_allclose(rule.tumour(maps), maps[0], atol=1)

    def test_what_labels_and_regions_have_of_each_other(self) -> None:
        maps = np.array([[[50000]], [[30000]], [[10000]]], np.uint16)
        nested = Labelling(LABELS, REGIONS[SIGMOID], SIGMOID)
        assert label_steps(maps, nested)[:, 0, 0].tolist() == [20000, 20000, 10000]
        assert region_steps(maps, nested) is maps
        flat = Labelling(LABELS, REGIONS[SOFTMAX], SOFTMAX)
        assert label_steps(maps, flat) is maps
        assert region_steps(maps, flat)[:, 0, 0].tolist() == [STEPS, 60000, 10000]


class TestCalibration:
    def test_a_number_a_channel(self) -> None:
        scale, offset = (1.0, 0.5, 0.25, 2.0), (0.0, 0.1, -0.1, 0.2)
        card = parse_card(labelled_card(SOFTMAX, calibration=Calibration(scale, offset)).to_json())
        assert card.calibration == Calibration(scale, offset)
        logits = np.random.default_rng(0).normal(size=(2, 4, 3, 5)).astype(np.float32)
        moved = logits * np.array(scale).reshape(4, 1, 1) + np.array(offset).reshape(4, 1, 1)
        np.testing.assert_allclose(probabilities(logits, card), softmax(moved, axis=1)[:, 1:], atol=1e-6)
        nested = labelled_card(SIGMOID, calibration=Calibration((1.0, 0.5, 2.0), 0.3))
        wanted = expit(logits[:, :3] * np.array([1, 0.5, 2]).reshape(3, 1, 1) + 0.3)
        np.testing.assert_allclose(probabilities(logits[:, :3], nested), wanted, atol=1e-6)

    @pytest.mark.parametrize("activation", ACTIVATIONS)
    def test_as_many_as_channels(self, activation: str) -> None:
        with pytest.raises(ValueError, match=r"calibration\.scale .*one a channel"):
            labelled_card(activation, calibration=Calibration((1.0, 2.0)))
        with pytest.raises(ValueError, match=r"calibration\.offset .*one number"):
            model(FLAIR_RULE, calibration=Calibration(1.0, (0.0,)))


class TestReasons:
    def test_a_map_is_of_tumour_as_a_whole(self, three: Model) -> None:
        outcome = explain(three, {"body": SCAN}, {"X-BrainSeg-Method": "occlusion", "X-BrainSeg-Window": "64"})
        assert outcome.code == "ok", outcome.answer.body
        assert json.loads(outcome.answer.body)["deletion"]["whole"]["max_probability"] > 0.9

    def test_gradients_are_of_the_probability_that_is_answered(self, activation: str) -> None:
        network, known = brightness_rule(activation), labelled_card(activation)
        network.encoder = torch.nn.Identity()
        images = torch.rand(1, 3, 6, 8)
        seen, calibration = of_tumour(network, known)
        with torch.no_grad():
            odds, logits = seen(images)[:, 0], network(images)
        assert calibration == Calibration()
        wanted = tumour_of(probabilities(logits.numpy(), known), known)
        np.testing.assert_allclose(odds.sigmoid().numpy(), wanted, atol=1e-4)
