"""Requests in the shapes in which TorchServe hands them over (tried on 0.12.0)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.errors import RequestError
from handler.fields import Fields
from handler.request import Request, parse_request

SCAN = b"\x89PNG and so on \xff\xfe"
FORM = {"Content-Type": "multipart/form-data; boundary=abc"}


def refused(parts: dict[str, Any], headers: dict[str, Any]) -> RequestError:
    with pytest.raises(RequestError) as refusal:
        parse_request(parts, headers)
    return refusal.value


def test_raw_body() -> None:
    request = parse_request({"body": bytearray(SCAN)}, {"Content-Type": "image/png", "Accept": "image/tiff"})
    assert request == Request({"file": SCAN}, Fields(), ("image/tiff",))


def test_a_body_without_any_header() -> None:
    assert parse_request({"body": bytearray(SCAN)}, {}) == Request({"file": SCAN}, Fields(), ("application/json",))


def test_text_types_arrive_as_str() -> None:
    assert parse_request({"body": "hello"}, {"content-type": "text/plain"}).scans["file"] == b"hello"


@pytest.mark.parametrize("body", [{"image": "abc"}, {}, [1, 2], 7, None, True])
def test_json_is_no_scan(body: object) -> None:
    assert refused({"body": body}, {"content-type": "application/json"}).code == "unsupported_format"


@pytest.mark.parametrize("parts", [{}, {"body": bytearray()}, {"body": ""}])
@pytest.mark.parametrize("content_type", ["image/png", "application/octet-stream", "text/plain"])
def test_empty_body(parts: dict[str, Any], content_type: str) -> None:
    assert refused(parts, {"Content-Type": content_type}).code == "empty_body"


def test_multipart_with_fields_and_the_types_of_the_parts_among_the_headers() -> None:
    # TorchServe adds a dict for every part, under the same name in another case.
    headers = {**FORM, "content-type": {"content-type": "image/png"}, "accept": "image/png"}
    parts = {"file": bytearray(SCAN), "threshold": bytearray(b"0.25"), "outputs": bytearray(b"mask, scan")}
    expected = Fields(threshold=0.25, outputs=("mask", "scan"))
    assert parse_request(parts, headers) == Request({"file": SCAN}, expected, ("image/png",))


def test_fields_of_a_form_may_come_as_text_or_numbers() -> None:
    request = parse_request({"file": bytearray(SCAN), "threshold": 0.25, "min_lesion_pixels": "12"}, FORM)
    assert request.fields == Fields(threshold=0.25, min_lesion_pixels=12)


def test_empty_form() -> None:
    assert refused({}, FORM).code == "empty_body"


def test_form_without_a_file() -> None:
    error = refused({"threshold": bytearray(b"0.5")}, FORM)
    assert error.code == "no_image"
    assert "'file'" in error.detail


def test_form_whose_file_is_json() -> None:
    assert refused({"file": {"a": 1}}, FORM).code == "unsupported_format"


def test_urlencoded_form_gets_a_hint() -> None:
    error = refused({"\ufffdPNG": ""}, {"Content-Type": "application/x-www-form-urlencoded"})
    assert error.code == "no_image"
    assert "-F file=@FILE" in error.detail


@pytest.mark.parametrize("name", ["thresold", "body", "version", "", "n" * 999])
def test_unknown_part(name: str) -> None:
    error = refused({"file": bytearray(SCAN), name: bytearray(b"1")}, FORM)
    assert error.code == "invalid_parameter"
    assert len(error.detail) < 250


def test_a_part_that_is_not_text() -> None:
    error = refused({"file": bytearray(SCAN), "threshold": bytearray(b"\xff\xfe")}, FORM)
    assert (error.code, "threshold" in error.detail) == ("invalid_parameter", True)


def test_a_second_file_is_an_unknown_field() -> None:
    assert refused({"file": bytearray(SCAN), "file2": bytearray(SCAN)}, FORM).code == "invalid_parameter"


@pytest.mark.parametrize("name", ["X-BrainSeg-Threshold", "x-brainseg-threshold", "X-BRAINSEG-THRESHOLD"])
def test_header_fields_in_any_case(name: str) -> None:
    assert parse_request({"body": bytearray(SCAN)}, {name: "0.125"}).fields.threshold == 0.125


def test_header_and_part_together_are_given_twice() -> None:
    parts = {"file": bytearray(SCAN), "threshold": bytearray(b"0.5")}
    assert "twice" in refused(parts, {**FORM, "X-BrainSeg-Threshold": "0.5"}).detail


def test_headers_that_are_not_text_are_passed_over() -> None:
    headers = {"X-BrainSeg-Threshold": 0.5, "Accept": ["image/png"], "Content-Type": {"content-type": "image/png"}}
    assert parse_request({"body": bytearray(SCAN)}, headers) == Request({"file": SCAN}, Fields(), ("application/json",))


@pytest.mark.parametrize(
    "content_type", ["Multipart/Form-Data; Boundary=x", "multipart/form-data", " multipart/form-data ;x"]
)
def test_spelling_of_the_content_type(content_type: str) -> None:
    assert parse_request({"file": bytearray(SCAN)}, {"CONTENT-TYPE": content_type}).scans["file"] == SCAN


VALUES = (
    st.binary(max_size=30).map(bytearray) | st.text(max_size=30) | st.dictionaries(st.text(), st.text()) | st.none()
)


@given(
    parts=st.dictionaries(st.sampled_from(["body", "file", "threshold", "slices", "x"]), VALUES),
    headers=st.dictionaries(
        st.sampled_from(["Content-Type", "content-type", "Accept", "X-BrainSeg-Slices", "x-brainseg-outputs"]),
        st.sampled_from(["multipart/form-data", "application/json", "image/png", "0-3", "mask", ""]) | VALUES,
    ),
)
def test_whatever_comes_is_a_request_or_a_refusal(parts: dict[str, Any], headers: dict[str, Any]) -> None:
    try:
        code = "ok" if isinstance(parse_request(parts, headers), Request) else "?"
    except RequestError as refusal:
        code = refusal.code
    assert code in {"ok", "empty_body", "no_image", "unsupported_format", "invalid_parameter", "not_acceptable"}
