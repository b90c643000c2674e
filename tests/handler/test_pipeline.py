"""The whole way of a request, around a network whose answer is known: phantoms in, their lesions out."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image

from handler.card import Calibration, InputSpec
from handler.decode import decode
from handler.outcome import Outcome
from handler.pipeline import Model, answer
from handler.predict import predict
from prove.drawn.pictures import TiffPage, jpeg, png, ramp, tiff, tiff_of
from samples.phantom import draw, draw_stack
from tests.contract import STAGES, check_answer, check_problem, picture
from tests.handler.models import (
    FLAIR_RULE,
    ConstantEngine,
    ForbiddenEngine,
    SmallEngine,
    card,
    channel_rule,
    dice,
    forbidden,
    model,
)

LESION = draw(7, 0.09)
HEALTHY = draw(7)


def ask(model: Model, data: bytes, **headers: str) -> Outcome:
    return answer(model, {"body": bytearray(data)}, {name.replace("_", "-"): value for name, value in headers.items()})


def told(model: Model, data: bytes, **headers: str) -> dict[str, Any]:
    reply = ask(model, data, **headers).answer
    assert reply.status == 200, reply.body
    return check_answer(reply.body)


def refused(model: Model, data: bytes, code: str, **headers: str) -> str:
    outcome = ask(model, data, **headers)
    assert outcome.code == code
    assert outcome.summary is None
    reply = outcome.answer
    return check_problem(reply.status, reply.content_type, reply.body, code)["detail"]


def mask_of(reply: Mapping[str, Any], index: int = 0) -> np.ndarray:
    return decode(picture(reply, "mask", index)).pixels[0, ..., 0] == 255


class TestLesions:
    @pytest.mark.parametrize("seed", range(5))
    @pytest.mark.parametrize("encode", [png, jpeg, lambda image: tiff(image, photometric="rgb", compression="lzw")])
    def test_a_lesion_is_found(self, flair: Model, encode: Any, seed: int) -> None:
        phantom = draw(seed, 0.08)
        reply = told(flair, encode(phantom.image))
        assert dice(mask_of(reply), phantom.mask) > 0.95
        assert reply["verdict"] == "tumor_detected"
        assert reply["tumor_pixels"] == mask_of(reply).sum()
        assert reply["max_probability"] > 0.8

    @pytest.mark.parametrize("size", [128, 200, 500])
    def test_a_lesion_is_found_in_other_sizes(self, flair: Model, size: int) -> None:
        phantom = draw(2, 0.1, size)
        reply = told(flair, png(phantom.image))
        assert dice(mask_of(reply), phantom.mask) > 0.93
        assert reply["total_pixels"] == size**2

    @pytest.mark.parametrize("seed", range(5))
    def test_a_healthy_head_has_none(self, flair: Model, seed: int) -> None:
        reply = told(flair, png(draw(seed).image))
        assert (reply["verdict"], reply["tumor_pixels"], reply["max_probability"] < 0.5) == (
            "no_tumor_detected",
            0,
            True,
        )
        assert not mask_of(reply).any()

    def test_a_wide_picture_keeps_its_shape(self, flair: Model) -> None:
        wide = np.concatenate([HEALTHY.image, LESION.image], axis=1)
        reply = told(flair, png(wide))
        truth = np.concatenate([HEALTHY.mask, LESION.mask], axis=1)
        assert mask_of(reply).shape == (256, 512)
        assert dice(mask_of(reply), truth) > 0.95

    def test_sixteen_bits_say_the_same_as_eight(self, flair: Model) -> None:
        eight = told(flair, png(LESION.image))
        sixteen = told(flair, png(LESION.image.astype(np.uint16) * 257))
        np.testing.assert_array_equal(mask_of(sixteen), mask_of(eight))

    def test_an_oriented_picture_is_answered_upright(self, flair: Model) -> None:
        turned = jpeg(np.ascontiguousarray(LESION.image[::-1, ::-1]), orientation=3)
        assert dice(mask_of(told(flair, turned)), LESION.mask) > 0.95

    def test_calibration_of_the_card_is_used(self) -> None:
        plain = model(FLAIR_RULE, min_lesion_pixels=0)
        shifted = model(FLAIR_RULE, calibration=Calibration(scale=0.5, offset=-2.0))
        steps = [
            decode(picture(told(m, png(LESION.image), X_BrainSeg_Outputs="probability"), "probability"))
            for m in (plain, shifted)
        ]
        before, after = (scan.pixels[0] / 65535 for scan in steps)
        inner = (before > 0.01) & (before < 0.99)
        logits = np.log(before[inner] / (1 - before[inner]))
        np.testing.assert_allclose(after[inner], 1 / (1 + np.exp(2 - 0.5 * logits)), atol=1e-3)


class TestStacks:
    PHANTOMS = draw_stack(3, 6, 192)
    FILE = tiff([phantom.image for phantom in PHANTOMS], photometric="rgb", compression="zlib")

    @pytest.mark.parametrize("batch", [1, 4])
    def test_a_slice_has_the_same_mask_in_a_stack_as_alone(self, batch: int) -> None:
        stacked = told(model(FLAIR_RULE, batch=batch), self.FILE)
        for index, phantom in enumerate(self.PHANTOMS):
            alone = told(model(FLAIR_RULE), png(phantom.image))
            np.testing.assert_array_equal(mask_of(stacked, index), mask_of(alone))
            for key in ("tumor_pixels", "tumor_coverage_percent", "max_probability"):
                assert stacked["slices"][index][key] == alone["slices"][0][key]

    def test_empty_and_full_slices_add_up(self, flair: Model) -> None:
        reply = told(flair, self.FILE)
        found = [entry["tumor_pixels"] for entry in reply["slices"]]
        assert [count > 0 for count in found] == [bool(phantom.mask.any()) for phantom in self.PHANTOMS]
        assert reply["tumor_pixels"] == sum(found)

    def test_slices_chooses_pictures_and_not_measurements(self, flair: Model) -> None:
        whole = told(flair, self.FILE, X_BrainSeg_Outputs="mask")
        part = told(flair, self.FILE, X_BrainSeg_Outputs="mask", X_BrainSeg_Slices="2-3")
        assert [list(entry["images"]) for entry in part["slices"]] == [[], [], ["mask"], ["mask"], [], []]
        assert part["tumor_pixels"] == whole["tumor_pixels"]
        assert part["slices"][2] == whole["slices"][2]

    @pytest.mark.parametrize("slices", ["6", "5-6", "100-200"])
    def test_slices_outside_the_stack(self, slices: str) -> None:
        assert "0 to 5" in refused(forbidden(), self.FILE, "invalid_parameter", X_BrainSeg_Slices=slices)

    def test_masks_as_tiff(self, flair: Model) -> None:
        reply = ask(flair, self.FILE, Accept="image/tiff").answer
        assert (reply.status, reply.content_type) == (200, "image/tiff")
        with tifffile.TiffFile(io.BytesIO(reply.body)) as tif:
            masks = np.stack([page.asarray() for page in tif.pages])
        reference = told(flair, self.FILE)
        np.testing.assert_array_equal(masks, np.stack([mask_of(reference, i) for i in range(6)]) * 255)

    def test_one_slice_as_png(self, flair: Model) -> None:
        reply = ask(flair, self.FILE, Accept="image/png", X_BrainSeg_Slices="3").answer
        assert (reply.status, reply.content_type) == (200, "image/png")
        expected = mask_of(told(flair, self.FILE), 3)
        np.testing.assert_array_equal(decode(reply.body).pixels[0, ..., 0] == 255, expected)
        assert reply.headers["X-BrainSeg-Tumor-Pixels"] == str(told(flair, self.FILE)["tumor_pixels"])

    def test_several_slices_are_no_png(self) -> None:
        refused(forbidden(), self.FILE, "not_acceptable", Accept="image/png")
        refused(forbidden(), self.FILE, "not_acceptable", Accept="image/png, image/*;q=0")

    @pytest.mark.parametrize(
        ("accept", "kind"),
        [
            ("image/*", "image/tiff"),
            ("image/png, image/tiff;q=0.5", "image/tiff"),
            ("image/avif,image/webp,image/apng,image/*,*/*;q=0.8", "image/tiff"),
            ("image/png, application/json;q=0.3", "application/json"),
        ],
    )
    def test_several_slices_come_as_what_the_client_likes_next(self, flair: Model, accept: str, kind: str) -> None:
        assert ask(flair, self.FILE, Accept=accept).answer.content_type == kind
        one = ask(flair, self.FILE, Accept=accept, X_BrainSeg_Slices="3").answer
        assert one.content_type == "image/png"


class TestFields:
    def test_threshold_of_the_request_beats_that_of_the_card(self) -> None:
        strict = model(FLAIR_RULE, threshold=0.9, min_lesion_pixels=5)
        default, asked = told(strict, png(LESION.image)), told(strict, png(LESION.image), X_BrainSeg_Threshold="0.1")
        assert (default["threshold"], default["min_lesion_pixels"], asked["threshold"]) == (0.9, 5, 0.1)
        assert default["tumor_pixels"] < asked["tumor_pixels"]

    def test_the_mask_can_be_redrawn_for_any_threshold(self, flair: Model) -> None:
        data = png(LESION.image)
        steps = decode(picture(told(flair, data, X_BrainSeg_Outputs="probability"), "probability")).pixels[0, ..., 0]
        for threshold in (0.001, 0.3, 0.5, 0.777, 0.999):
            reply = told(flair, data, X_BrainSeg_Threshold=str(threshold), X_BrainSeg_Outputs="mask")
            np.testing.assert_array_equal(mask_of(reply), steps / 65535 > threshold)

    def test_small_lesions_are_dropped(self, flair: Model) -> None:
        size = told(flair, png(LESION.image))["tumor_pixels"]
        reply = told(flair, png(LESION.image), X_BrainSeg_Min_Lesion_Pixels=str(size + 1))
        assert (reply["verdict"], reply["min_lesion_pixels"]) == ("no_tumor_detected", size + 1)

    @pytest.mark.parametrize("outputs", ["scan,mask,overlay,heatmap,panel,probability", "panel", "none"])
    def test_pictures_are_those_asked_for(self, flair: Model, outputs: str) -> None:
        reply = told(flair, png(LESION.image), X_BrainSeg_Outputs=outputs)
        assert ",".join(reply["slices"][0]["images"]) == outputs.replace("none", "")

    def test_by_default_mask_and_overlay(self, flair: Model) -> None:
        assert list(told(flair, png(LESION.image))["slices"][0]["images"]) == ["mask", "overlay"]

    def test_a_range_of_the_request_is_used_and_shown(self, flair: Model) -> None:
        twelve = LESION.image.astype(np.uint16) * 16
        dark = told(flair, png(twelve))
        assert [w["code"] for w in dark["warnings"]] == ["low_dynamic_range"]
        assert dark["verdict"] == "no_tumor_detected"
        bright = told(flair, png(twelve), X_BrainSeg_Intensity_Range="0,4080", X_BrainSeg_Outputs="scan,mask")
        assert bright["warnings"] == []
        assert dice(mask_of(bright), LESION.mask) > 0.95
        np.testing.assert_array_equal(decode(picture(bright, "scan")).pixels[0], LESION.image)

    @pytest.mark.parametrize("gain", [255.0, 97.0])
    def test_floats_beyond_0_to_1_are_told_with_the_range_that_makes_them_right(
        self, flair: Model, gain: float
    ) -> None:
        floats = LESION.image.astype(np.float32) * (gain / 255)
        data = tiff(floats, photometric="rgb")
        (warning,) = told(flair, data)["warnings"]
        assert warning["code"] == "out_of_range"
        right = told(flair, tiff(floats / 255, photometric="rgb"))
        assert right["warnings"] == []
        send = warning["detail"].rpartition("intensity_range=")[2]
        assert send == "0,255"
        mended = told(flair, data, X_BrainSeg_Intensity_Range=send)
        assert mended["warnings"] == []
        assert mended["tumor_pixels"] == right["tumor_pixels"]

    def test_z_scores_are_told_with_the_range_seen(self, flair: Model) -> None:
        scores = (LESION.image.astype(np.float32) - 60) / 40
        data = tiff(scores, photometric="rgb")
        (warning,) = told(flair, data)["warnings"]
        assert warning["detail"].endswith(f"intensity_range={scores.min():g},{scores.max():g}")
        send = warning["detail"].rpartition("intensity_range=")[2]
        mended = told(flair, data, X_BrainSeg_Intensity_Range=send)
        assert mended["warnings"] == []
        assert dice(mask_of(mended), LESION.mask) > 0.9

    def test_grey_is_answered_with_a_warning(self, flair: Model) -> None:
        reply = told(flair, png(LESION.image[..., 1:2]))
        assert [w["code"] for w in reply["warnings"]] == ["grey_input"]
        assert dice(mask_of(reply), LESION.mask) > 0.95

    def test_what_is_said_of_the_input(self, flair: Model) -> None:
        data = png(ramp(20, 30, 3))
        expected = {"format": "png", "width": 30, "height": 20, "slices": 1, "sha256": hashlib.sha256(data).hexdigest()}
        assert told(flair, data)["input"] == {**expected, "geometry": None}


class TestLargeScans:
    """What is too large to be kept is decoded page by page, with the same answer."""

    def test_the_largest_picture_allowed_is_answered_with_the_default_outputs(self, flair: Model) -> None:
        image = Image.fromarray(LESION.image).resize((4096, 4096), Image.Resampling.BICUBIC)
        reply = told(flair, tiff(np.asarray(image), photometric="rgb", compression="zlib"))
        assert list(reply["slices"][0]["images"]) == ["mask", "overlay"]
        mask = mask_of(reply)
        assert mask.shape == (4096, 4096)
        assert dice(mask[8::16, 8::16], LESION.mask) > 0.95

    def test_an_answer_too_large_is_found_before_any_pixel_is_decoded(self) -> None:
        page = TiffPage(4096, 4096, b"not deflated at all", compression=8)
        refused(forbidden(), tiff_of(*[page] * 5), "response_too_large", X_BrainSeg_Outputs="scan,panel")
        refused(forbidden(), tiff_of(*[page] * 5), "corrupt_image", X_BrainSeg_Outputs="none")

    PHANTOMS = draw_stack(4, 5, 96)

    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    def test_the_answer_is_the_same(self, flair: Model, dtype: str) -> None:
        top = 255 if dtype == "float32" else 1
        data = tiff([p.image.astype(dtype) / top if top > 1 else p.image for p in self.PHANTOMS], photometric="rgb")
        lazy = dataclasses.replace(flair, limits=dataclasses.replace(flair.limits, held_bytes=0))
        kept, paged = (told(m, data, X_BrainSeg_Outputs="scan,mask,overlay,probability") for m in (flair, lazy))
        for reply in (kept, paged):
            reply.pop("timing_ms")
        assert paged == kept

    def test_a_broken_last_page_is_found_before_the_network_runs(self) -> None:
        limits = dataclasses.replace(forbidden().limits, held_bytes=0)
        broken = TiffPage(compression=8, strip=b"not deflated at all")
        refused(
            forbidden(limits),
            tiff_of(TiffPage(compression=8, strip=zlib.compress(bytes(256))), broken),
            "corrupt_image",
        )


class TestFaults:
    @pytest.mark.parametrize(
        ("headers", "code"),
        [
            ({"X_BrainSeg_Threshold": "2"}, "invalid_parameter"),
            ({"X_BrainSeg_Unknown": "2"}, "invalid_parameter"),
            ({"Accept": "text/html"}, "not_acceptable"),
        ],
    )
    def test_fields_are_refused_before_the_file_is_looked_at(self, headers: dict[str, str], code: str) -> None:
        refused(forbidden(), b"not a picture at all", code, **headers)

    def test_a_long_stack_ends_in_an_answer(self) -> None:
        late = dataclasses.replace(model(FLAIR_RULE), deadline_seconds=-1.0)
        assert "0 of 1" in refused(late, png(LESION.image), "timeout")

    def test_pictures_that_outgrow_the_limit(self) -> None:
        noise = np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)
        tight = model(FLAIR_RULE)
        tight = dataclasses.replace(tight, limits=dataclasses.replace(tight.limits, answer_bytes=150_000))
        refused(tight, png(noise), "response_too_large", X_BrainSeg_Outputs="overlay")

    @pytest.mark.parametrize("engine", [ForbiddenEngine(), ConstantEngine(float("nan")), ConstantEngine(0.0, 3, 3)])
    def test_our_own_fault_stays_an_answer(self, engine: Any) -> None:
        outcome = ask(Model(card(), engine), png(LESION.image))
        problem = json.loads(outcome.answer.body)
        assert (outcome.code, outcome.answer.status, problem["code"]) == ("internal_error", 500, "internal_error")
        assert "Error" not in problem["detail"]

    @pytest.mark.parametrize("logit", [float("inf"), float("-inf"), 3e38, -3e38])
    def test_extreme_logits_are_certainties(self, logit: float) -> None:
        reply = told(Model(card(), ConstantEngine(logit)), png(LESION.image))
        assert reply["max_probability"] == (1.0 if logit > 0 else 0.0)
        assert reply["tumor_pixels"] == (65536 if logit > 0 else 0)


def test_stages_are_timed(flair: Model) -> None:
    outcome = ask(flair, png(LESION.image))
    assert tuple(sorted(outcome.seconds)) == tuple(sorted(STAGES))
    assert all(seconds >= 0 for seconds in outcome.seconds.values())
    assert list(ask(flair, b"text").seconds) == ["decode"]


def test_engines_get_no_more_slices_than_they_want() -> None:
    class Counting(SmallEngine):
        sizes: tuple[int, ...] = ()

        def logits(self, images: np.ndarray) -> np.ndarray:
            self.sizes += (len(images),)
            return super().logits(images)

    engine = Counting(FLAIR_RULE, batch=4)
    scan = decode(tiff(list(ramp(10 * 16, 16).reshape(10, 16, 16))))
    prediction = predict(engine, card(input=InputSpec(32, 64)), scan)
    assert engine.sizes == (4, 4, 2)
    assert prediction.probabilities.shape == (10, 32, 64)


@pytest.mark.parametrize("channel", range(3))
def test_channels_keep_their_order(channel: int) -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[10:30, 20:50, channel] = 255
    rule = channel_rule(channel, 20.0, 0.6)
    assert isinstance(rule, torch.nn.Module)
    assert told(model(rule, input=InputSpec(64, 64)), png(image))["tumor_pixels"] == 20 * 30
