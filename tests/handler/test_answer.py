"""Answers and refusals as bytes: every key of the contract, every code, and no NaN."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.answer import Answer, Summary, json_answer, picture_answer, problem_answer
from handler.errors import PROBLEMS, RequestError
from handler.measure import SliceMeasurement
from handler.scan import ArraySource, Scan, Warn
from handler.trust.report import Judgement, Quality, ScanQuality, Trust
from prove.drawn.pictures import ramp
from tests.contract import CODES, NOTICE, STAGES, check_answer, check_problem, picture
from tests.handler.models import DIGEST, card

SECONDS = dict.fromkeys(STAGES, 0.0123456)


def summary(*tumours: int, largest: float = 0.75) -> Summary:
    return Summary(tuple(SliceMeasurement(i, pixels, 20 * 31, largest) for i, pixels in enumerate(tumours)))


def scan(slices: int) -> Scan:
    return Scan(ArraySource(ramp(20 * slices, 31, 3).reshape(slices, 20, 31, 3)), (0, 255), "png", 64 * "a")


def reply(found: Summary, **changes: object) -> Answer:
    slices = len(found.slices)
    arguments = {
        "card": card(),
        "scan": scan(slices),
        "threshold": 0.5,
        "min_lesion_pixels": 3,
        "tta": "none",
        "summary": found,
        "images": [{}] * slices,
        "warnings": (),
        "seconds": SECONDS,
        **changes,
    }
    return json_answer(**arguments)


def test_the_body_is_as_json_writes_it() -> None:
    """The pictures are put between the rest as bytes; nobody sees a seam."""
    found = reply(summary(5, 0, 2), images=[{"mask": b"one", "overlay": b"two"}, {}, {"scan": bytes(range(256))}])
    body = json.loads(found.body)
    assert found.body.decode() == json.dumps(body)
    assert [list(one["images"]) for one in body["slices"]] == [["mask", "overlay"], [], ["scan"]]
    assert list(body)[-5:] == ["slices", "warnings", "timing_ms", "passport", "notice"]
    assert picture(body, "scan", 2) == bytes(range(256))


def test_every_key_is_there() -> None:
    images = [{"mask": b"one", "overlay": b"two"}, {}]
    answer = reply(summary(5, 0), images=images, warnings=(Warn("grey_input", "one channel used for all three"),))
    assert (answer.status, answer.content_type) == (200, "application/json")
    body = check_answer(answer.body)
    assert body["model"] == {"name": "brainseg", "version": "1.0", "digest": DIGEST, "architecture": "unet-vgg16"}
    assert body["input"] == {
        "format": "png",
        "width": 31,
        "height": 20,
        "slices": 2,
        "sha256": 64 * "a",
        "geometry": None,
    }
    assert (body["threshold"], body["min_lesion_pixels"], body["notice"]) == (0.5, 3, NOTICE)
    assert (body["verdict"], body["tumor_pixels"], body["total_pixels"]) == ("tumor_detected", 5, 1240)
    assert body["tumor_coverage_percent"] == round(500 / 1240, 3)
    assert body["timing_ms"] == dict.fromkeys(STAGES, 12.35)
    assert [picture(body, name) for name in ("mask", "overlay")] == [b"one", b"two"]
    assert body["slices"][1] == {
        "index": 1,
        "tumor_pixels": 0,
        "tumor_coverage_percent": 0.0,
        "max_probability": 0.75,
        "labels": None,
        "regions": None,
        "trust": {"accepted": None, "score": None, "reasons": [], "uncertain": None, "expected_dice": None},
        "sop_instance_uid": None,
        "images": {},
    }


REFUSED = Judgement(False, 0.01, ("other_plane", "other_contrast"))
KEPT = Judgement(True, 0.9)


def test_a_scan_that_is_refused_has_no_number_about_tumour() -> None:
    trust = Trust("on", REFUSED, (REFUSED, KEPT))
    answer = reply(replace(summary(0, 0), assessed=False), trust=trust, images=[{"scan": b"one"}, {}])
    body = check_answer(answer.body)
    assert answer.headers == {"X-BrainSeg-Refused": "other_plane,other_contrast"}
    assert (body["verdict"], body["tumor_pixels"], body["total_pixels"]) == ("not_assessed", None, 1240)
    assert (body["trust"]["accepted"], body["trust"]["reasons"]) == (False, ["other_plane", "other_contrast"])
    assert picture(body, "scan") == b"one"


def test_of_an_accepted_stack_refused_slices_alone_are_not_assessed() -> None:
    body = check_answer(reply(summary(0, 7), trust=Trust("on", KEPT, (REFUSED, KEPT))).body)
    assert [one["tumor_pixels"] for one in body["slices"]] == [None, 7]
    assert (body["verdict"], body["tumor_pixels"], body["trust"]["gate"]) == ("tumor_detected", 7, "on")


def test_a_gate_that_is_overruled_keeps_its_reasons() -> None:
    answer = reply(summary(5), trust=Trust("off", REFUSED, (REFUSED,)))
    body = check_answer(answer.body)
    assert (body["verdict"], body["trust"]["gate"], body["trust"]["accepted"]) == ("tumor_detected", "off", False)
    assert answer.headers == {}


def test_what_is_expected_of_a_mask_is_told() -> None:
    trust = Trust("on", KEPT, (KEPT, KEPT))
    with pytest.raises(ValueError, match="2"):
        trust.with_quality(ScanQuality(), [Quality()])
    told = trust.with_quality(
        ScanQuality(Quality(True, 0.512345), (3, 9), (0.25, 0.75), 0.9), [Quality(False, 0.8), Quality()]
    )
    body = check_answer(reply(summary(5, 0), trust=told).body)
    assert body["trust"] == {
        "accepted": True,
        "score": 0.9,
        "reasons": [],
        "gate": "on",
        "uncertain": True,
        "expected_dice": 0.5123,
        "tumor_pixels_interval": [3, 9],
        "tumor_volume_ml_interval": [0.25, 0.75],
        "interval_level": 0.9,
    }
    assert [one["trust"]["expected_dice"] for one in body["slices"]] == [0.8, None]


@pytest.mark.parametrize(("tumours", "verdict"), [((0, 0), "no_tumor_detected"), ((0, 1), "tumor_detected")])
def test_one_pixel_left_decides_the_verdict(tumours: tuple[int, ...], verdict: str) -> None:
    assert check_answer(reply(summary(*tumours)).body)["verdict"] == verdict


@given(st.lists(st.integers(0, 620), min_size=1, max_size=5), st.floats(0, 1))
def test_numbers_agree_for_any_counts(tumours: list[int], largest: float) -> None:
    body = check_answer(reply(summary(*tumours, largest=largest)).body)
    assert body["max_probability"] == pytest.approx(largest, abs=1e-5)
    assert body["tumor_coverage_percent"] == pytest.approx(100 * sum(tumours) / (620 * len(tumours)), abs=1e-3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_json_cannot_say_never_leaves(value: float) -> None:
    with pytest.raises(ValueError, match="JSON"):
        reply(summary(1, largest=value))


def test_a_bare_picture_carries_the_essentials_in_headers() -> None:
    answer = picture_answer("image/png", b"picture", card(), summary(5, 0))
    assert (answer.status, answer.content_type, answer.body) == (200, "image/png", b"picture")
    assert answer.headers == {
        "X-BrainSeg-Model-Version": "1.0",
        "X-BrainSeg-Verdict": "tumor_detected",
        "X-BrainSeg-Tumor-Pixels": "5",
        "X-BrainSeg-Notice": NOTICE,
    }
    assert all(value.isascii() for pair in answer.headers.items() for value in pair)


@pytest.mark.parametrize("code", list(CODES))
def test_every_code_is_a_problem_of_rfc_9457(code: str) -> None:
    answer = problem_answer(RequestError(code, "what came, what was expected, what to do"))
    problem = check_problem(answer.status, answer.content_type, answer.body, code)
    assert problem["type"] == f"urn:brainseg:problem:{code}"
    assert problem["detail"] == "what came, what was expected, what to do"


def test_no_other_codes_but_the_one_for_our_own_faults() -> None:
    assert set(PROBLEMS) - set(CODES) == {"internal_error"}
    assert len({problem.title for problem in PROBLEMS.values()}) == len(PROBLEMS)


def test_an_unknown_code_cannot_be_raised() -> None:
    with pytest.raises(KeyError):
        RequestError("no_such_code", "")


@given(st.text(max_size=50))
def test_any_detail_leaves_as_ascii_json(detail: str) -> None:
    body = problem_answer(RequestError("corrupt_image", detail)).body
    assert body.isascii()
    assert json.loads(body)["detail"] == detail
