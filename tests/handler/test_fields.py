"""The fields of a request: what each accepts, and that everything else is refused by name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import RequestError
from handler.fields import OUTPUTS, PARSERS, TTA, Fields, header_fields, parse_fields


def refused(*pairs: tuple[str, str]) -> str:
    with pytest.raises(RequestError) as refusal:
        parse_fields(pairs)
    assert refusal.value.code == "invalid_parameter"
    return refusal.value.detail


def test_nothing_given_is_all_defaults() -> None:
    assert parse_fields([]) == Fields(None, None, None, None, None, None, False, None)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("threshold", "0.5", 0.5),
        ("threshold", " .25 ", 0.25),
        ("threshold", "1e-3", 0.001),
        ("threshold", "0.999999", 0.999999),
        ("min_lesion_pixels", "0", 0),
        ("min_lesion_pixels", "999999999", 999_999_999),
        ("outputs", "none", ()),
        ("outputs", "mask", ("mask",)),
        ("outputs", " probability , scan", ("probability", "scan")),
        ("outputs", ",".join(OUTPUTS), OUTPUTS),
        ("slices", "all", None),
        ("slices", "7", (7, 7)),
        ("slices", "0-19", (0, 19)),
        ("slices", "3-3", (3, 3)),
        ("intensity_range", "0,4095", (0, 4095)),
        ("intensity_range", "-1.5e3, +2", (-1500, 2)),
        ("series", "12", 12),
        ("register", "none", False),
        ("tta", "none", "none"),
        ("tta", "flip", "flip"),
        ("register", "rigid", True),
        ("seg", "binary", "binary"),
        ("seg", "labelmap", "labelmap"),
    ],
)
def test_accepted(name: str, text: str, value: object) -> None:
    assert getattr(parse_fields([(name, text)]), name) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *[
            ("threshold", text)
            for text in ("0", "1", "-0.1", "1.0001", "", "nan", "inf", "0x1p-1", "half", "0,5", "1e-999")
        ],
        *[("min_lesion_pixels", text) for text in ("-1", "1.5", "", "1e3", "9999999999", "many", "+1")],
        *[("outputs", text) for text in ("", "mask,mask", "none,mask", "Mask", "mask;scan", "mask,", "all", "jpeg")],
        *[("slices", text) for text in ("", "5-3", "-3", "1-", "1,2", "1-2-3", "a-b", "1234567", "none")],
        *[
            ("intensity_range", text)
            for text in ("", "1", "1,2,3", "2,1", "1,1", "0,inf", "nan,1", "0,1e31", "0,1e-31")
        ],
        *[("series", text) for text in ("0", "", "-1", "1.5", "flair", "10000")],
        *[("register", text) for text in ("", "affine", "Rigid", "1")],
        *[("seg", text) for text in ("", "fractional", "BINARY")],
        *[("tta", text) for text in ("", "Flip", "mirror", "1")],
        ("threshold", "0." + 300 * "5"),
    ],
)
def test_out_of_range(name: str, text: str) -> None:
    assert name in refused((name, text))


@pytest.mark.parametrize("name", ["", "treshold", "Threshold", "file", "version", "x" * 500])
def test_unknown(name: str) -> None:
    detail = refused((name, "0.5"))
    assert all(known in detail for known in PARSERS)
    assert len(detail) < 300


@pytest.mark.parametrize("name", list(PARSERS))
def test_doubled(name: str) -> None:
    good = {
        **{"outputs": "mask", "intensity_range": "0,1", "slices": "0"},
        **{"register": "rigid", "seg": "binary", "gate": "on", "tta": "flip"},
        "passport": "on",
    }.get(name, "0.5")
    good = "5" if name in ("min_lesion_pixels", "series") else good
    assert "twice" in refused((name, good), (name, good))


@given(name=st.sampled_from(list(PARSERS)), text=st.text(max_size=300))
def test_any_text_is_parsed_or_refused(name: str, text: str) -> None:
    try:
        outcome = getattr(parse_fields([(name, text)]), name)
    except RequestError as refusal:
        outcome = refusal.code
    assert outcome is None or isinstance(outcome, float | int | tuple) or outcome in ("invalid_parameter", *TTA)


@given(threshold=st.floats(0, 1, exclude_min=True, exclude_max=True))
def test_any_threshold_survives_being_written(threshold: float) -> None:
    text = f"{threshold:.20f}"
    if 0 < float(text) < 1:
        assert parse_fields([("threshold", text)]).threshold == float(text)
    else:
        assert "threshold" in refused(("threshold", text))


@pytest.mark.parametrize(
    "name", ["X-BrainSeg-Min-Lesion-Pixels", "x-brainseg-min-lesion-pixels", "X-BRAINSEG-MIN_LESION_PIXELS"]
)
def test_header_names_in_any_case(name: str) -> None:
    assert header_fields([(name, "3"), ("Content-Type", "image/png")]) == [("min_lesion_pixels", "3")]


def test_a_header_in_two_cases_is_given_twice() -> None:
    pairs = header_fields([("X-BrainSeg-Threshold", "0.4"), ("x-brainseg-threshold", "0.4")])
    assert "twice" in refused(*pairs)


def test_an_unknown_header_with_our_prefix_is_refused() -> None:
    assert "tresh" in refused(*header_fields([("X-BrainSeg-Tresh", "0.4")]))
