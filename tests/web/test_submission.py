"""What a request holds is found without a form parser, and doubled, unknown and broken things are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests import Request

from web.contract.fields import FIELDS, LONGEST_ACCEPT, LONGEST_VALUE, RefusedError
from web.way.multipart import read_form
from web.way.submission import Submission, read_submission

PNG = b"\x89PNG\r\n\x1a\nrest"
OCTETS = {"Content-Type": "application/octet-stream"}


def form(files: object = None, data: object = None) -> tuple[bytes, dict[str, str]]:
    """As requests, an independent implementation, writes a multipart body."""
    prepared = Request("POST", "http://x/", files=files, data=data).prepare()  # type: ignore[arg-type]
    assert isinstance(prepared.body, bytes)
    return prepared.body, dict(prepared.headers)


def detail_of(body: bytes, headers: dict[str, str], query: str = "") -> str:
    with pytest.raises(RefusedError) as caught:
        read_submission(body, headers, query)
    return caught.value.detail


def code_of(body: bytes, headers: dict[str, str], query: str = "") -> str:
    with pytest.raises(RefusedError) as caught:
        read_submission(body, headers, query)
    return caught.value.code


def test_a_raw_body_goes_through_as_it_is() -> None:
    found = read_submission(PNG, {"content-type": "image/png", "ACCEPT": "image/png"}, "threshold=0.4&version=1.0")
    assert found == Submission(PNG, {"threshold": "0.4"}, "image/png", "1.0")
    assert found.headers() == {
        "Content-Type": "application/octet-stream",
        "Accept": "image/png",
        "X-BrainSeg-Threshold": "0.4",
    }


@given(scan=st.binary(min_size=1, max_size=300), name=st.text(st.characters(codec="utf-8"), max_size=20))
def test_the_scan_of_a_form_is_found_byte_for_byte(scan: bytes, name: str) -> None:
    body, headers = form([("file", (name or "x", scan)), ("threshold", (None, "0.3"))])
    found = read_submission(body, headers, "")
    assert bytes(found.scan) == scan
    assert found.fields == {"threshold": "0.3"}


@pytest.mark.parametrize(
    "disposition",
    [
        'filename="x; name=threshold"; name="file"',
        'filename="a\\"; name=b"; name="file"',
        'NAME=file; filename="x"',
        'name="file"; filename="C:\\scan\\"',
    ],
)
def test_a_file_name_is_no_field_name(disposition: str) -> None:
    head = f"--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    found = read_submission(head + PNG + b"\r\n--b--\r\n", {"content-type": "multipart/form-data; boundary=b"}, "")
    assert bytes(found.scan) == PNG


def test_fields_come_from_query_header_and_form_together() -> None:
    body, headers = form({"file": ("a", PNG)}, {"slices": "0-1"})
    headers["X-BrainSeg-Min-Lesion-Pixels"] = "7"
    found = read_submission(body, headers, "outputs=mask")
    assert found.fields == {"outputs": "mask", "min_lesion_pixels": "7", "slices": "0-1"}


@pytest.mark.parametrize(
    "query", ["threshold=1&threshold=1", "x=1", "threshold=", "threshold=%0d%0aX: 1", "version=1&version=1"]
)
def test_bad_query_parameters(query: str) -> None:
    assert code_of(PNG, OCTETS, query) == "invalid_parameter"


@pytest.mark.parametrize("version", ["../models", "1%2f..", "", "a" * 61, ".hidden", "1 0"])
def test_a_version_never_leaves_its_place_in_the_path(version: str) -> None:
    assert code_of(PNG, OCTETS, f"version={version}") == "model_not_found"


def test_a_field_given_in_two_places_is_doubled() -> None:
    assert code_of(PNG, {**OCTETS, "x-brainseg-threshold": "0.5"}, "threshold=0.5") == "invalid_parameter"
    body, headers = form([("file", ("a", PNG)), ("threshold", (None, "1")), ("threshold", (None, "1"))])
    assert code_of(body, headers) == "invalid_parameter"
    body, headers = form([("file", ("a", PNG)), ("file", ("b", PNG))])
    assert code_of(body, headers) == "invalid_parameter"


def test_a_doubled_field_is_told_with_both_places() -> None:
    detail = detail_of(PNG, {**OCTETS, "x-brainseg-threshold": "0.5"}, "threshold=0.5")
    assert "threshold is given in the query and in a header" in detail
    assert "twice in the query" in detail_of(PNG, OCTETS, "slices=1&slices=1")
    body, headers = form([("file", ("a", PNG)), ("version", (None, "1.0"))])
    assert "version is given in the query and in the form" in detail_of(body, headers, "version=1.0")


def test_an_empty_header_says_nothing() -> None:
    sent = {**OCTETS, "X-BrainSeg-Threshold": "", "X-BrainSeg-Version": " "}
    found = read_submission(PNG, sent, "threshold=0.4&version=2.0")
    assert (found.fields, found.version) == ({"threshold": "0.4"}, "2.0")
    assert read_submission(PNG, sent, "") == Submission(PNG, {}, "", None)


def test_the_version_goes_where_fields_go() -> None:
    assert read_submission(PNG, {**OCTETS, "X-BrainSeg-Version": "2.0"}, "").version == "2.0"
    body, headers = form({"file": ("a", PNG)}, {"version": "2.0"})
    found = read_submission(body, headers, "")
    assert (found.version, found.fields) == ("2.0", {})
    assert "X-BrainSeg-Version" not in found.headers()
    body, headers = form({"file": ("a", PNG)}, {"version": "../models"})
    assert code_of(body, headers) == "model_not_found"


@pytest.mark.parametrize("part", [("scan.png", PNG), (None, PNG * 200)])
def test_a_scan_in_a_part_of_another_name_is_sent_to_file(part: tuple[str | None, bytes]) -> None:
    body, headers = form([("image", part)])
    assert code_of(body, headers) == "invalid_parameter"
    assert "file in the part 'image'; the scan goes in the part 'file'" in detail_of(body, headers)


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b'{"file": "iVBO"}', "application/json", "a JSON object"),
        (b" [1]", "application/json; charset=utf-8", "a JSON array"),
        (b'"iVBO"', "application/vnd.x+json", "a JSON string"),
    ],
)
def test_json_is_told_what_it_is(body: bytes, kind: str, words: str) -> None:
    assert code_of(body, {"Content-Type": kind}) == "unsupported_format"
    detail = detail_of(body, {"Content-Type": kind})
    assert words in detail
    assert "'file'" in detail
    assert read_submission(PNG, {"Content-Type": kind}, "").scan == PNG


def test_unknown_parts_and_headers_are_refused() -> None:
    body, headers = form({"file": ("a", PNG), "other": ("b", b"1")})
    assert code_of(body, headers) == "invalid_parameter"
    assert code_of(PNG, {**OCTETS, "X-BrainSeg-Colour": "red"}) == "invalid_parameter"


def test_no_scan() -> None:
    assert code_of(b"", OCTETS) == "empty_body"
    body, headers = form({"image": ("a", PNG)})
    assert code_of(*form({"threshold": (None, "0.5")})) == "no_image"
    assert code_of(body, headers) == "invalid_parameter"
    assert code_of(*form({"file": ("a", b"")})) == "no_image"


def test_what_curl_does_by_default() -> None:
    urlencoded = {"Content-Type": "application/x-www-form-urlencoded"}
    assert read_submission(PNG, urlencoded, "").scan == PNG
    assert code_of(b"file=scan.png", urlencoded) == "no_image"


def test_a_long_accept_is_refused_in_words_and_a_browsers_is_not() -> None:
    with pytest.raises(RefusedError, match=r"9900 characters.*1000.*image/png") as caught:
        read_submission(PNG, {**OCTETS, "Accept": "image/png, " * 900}, "")
    assert (caught.value.status, caught.value.code) == (406, "not_acceptable")
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8"
    assert read_submission(PNG, {**OCTETS, "Accept": browser}, "").headers()["Accept"] == browser


def test_the_headers_that_go_on_stay_below_torchserves_bound() -> None:
    """8192 bytes; a quarter of it is left to the token, the request's id and HTTP itself."""
    longest = {f"X-BrainSeg-{name}": "1" * LONGEST_VALUE for name in FIELDS} | {"Accept": "a" * LONGEST_ACCEPT}
    found = read_submission(PNG, OCTETS | {"Cookie": "c" * 9000, "User-Agent": "u" * 9000} | longest, "")
    assert sum(len(name) + len(value) + 4 for name, value in found.headers().items()) < 8192 * 3 / 4


def test_a_field_of_a_form_is_not_cut_short() -> None:
    body, headers = form([("file", ("a", PNG)), ("threshold", (None, "0.5" + 1000 * " " + "6"))])
    assert code_of(body, headers) == "invalid_parameter"


@pytest.mark.parametrize("cut", [1, 10, 60, 90, -3, -5, -30])
def test_a_form_cut_off_is_refused(cut: int) -> None:
    body, headers = form({"file": ("a", PNG * 20)})
    assert code_of(body[:cut], headers) in ("no_image", "empty_body")


def test_a_form_without_boundary_or_with_endless_parts() -> None:
    assert code_of(b"--x", {"Content-Type": "multipart/form-data"}) == "no_image"
    body, headers = form([("threshold", (None, "1"))] + [("file", ("a", b""))] * 40)
    assert code_of(body, headers) in ("no_image", "invalid_parameter")


def test_an_encoded_body_is_refused() -> None:
    assert code_of(PNG, {**OCTETS, "Content-Encoding": "gzip"}) == "unsupported_format"
    assert read_submission(PNG, {**OCTETS, "Content-Encoding": "identity"}, "").scan == PNG


@given(body=st.binary(max_size=200), kind=st.sampled_from(["multipart/form-data; boundary=x", "image/png", "a/b", ""]))
def test_no_bytes_cause_anything_but_a_refusal(body: bytes, kind: str) -> None:
    with contextlib.suppress(RefusedError):
        read_submission(body, {"Content-Type": kind}, "")


def test_several_sequences_go_on_as_one_form() -> None:
    """Byte for byte, under their own names, the fields as headers; and the same bytes each time."""
    scans = {"flair": b"\x5c\x01\0\0one\r\n--", "t1": b"two" * 50, "t1c": b"\r\n"}
    body, headers = form([*((name, (name + ".nii", data)) for name, data in scans.items()), ("seg", (None, "binary"))])
    found = read_submission(body, headers, "")
    assert found.fields == {"seg": "binary"}
    kind = found.headers()["Content-Type"]
    assert kind.startswith("multipart/form-data; boundary=")
    again, _ = read_form(bytes(found.scan), kind)
    assert {name: bytes(data) for name, data in again.items()} == scans
    assert read_submission(body, headers, "").scan == found.scan


def test_a_sequence_twice() -> None:
    assert code_of(*form([("t1", ("a", b"x")), ("t1", ("b", b"y"))])) == "invalid_parameter"


@pytest.mark.parametrize("data", [b"\x1f\x8brest", b"PK\x03\x04rest", b"\x5c\x01\0\0rest", bytes(128) + b"DICM"])
def test_what_curl_calls_a_form_may_be_a_volume(data: bytes) -> None:
    assert read_submission(data, {"Content-Type": "application/x-www-form-urlencoded"}, "").scan == data
