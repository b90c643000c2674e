"""What an infer request says, in both forms, and what is refused before anything unfolds."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from web.contract.fields import RefusedError
from web.open_inference.asked import Asked, Wish, header_length, read_asked

SCAN = b"\x89PNG and more"


def nothing(_: int) -> None:
    return


def request(**more: Any) -> dict[str, Any]:
    text = base64.b64encode(SCAN).decode()
    return {"inputs": [{"name": "scan", "datatype": "BYTES", "shape": [1], "data": [text]}]} | more


def read(body: object) -> Asked:
    return read_asked(body if isinstance(body, bytes) else json.dumps(body).encode(), None, nothing)


def binary(scan: bytes, **more: Any) -> tuple[bytes, int]:
    data = struct.pack("<I", len(scan)) + scan
    told = {"name": "scan", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    text = json.dumps({"inputs": [told]} | more).encode()
    return text + data, len(text)


@given(st.binary(max_size=5000))
def test_bytes_come_through_in_both_forms(scan: bytes) -> None:
    body, length = binary(scan)
    assert bytes(read_asked(body, length, nothing).scan) == scan
    assert bytes(read_asked(scan, 0, nothing).scan) == scan
    entry = request()["inputs"][0] | {"data": [base64.b64encode(scan).decode()]}
    assert read({"inputs": [entry]}).scan == scan


def test_settings_and_outputs() -> None:
    asked = read(
        request(
            id="ward-7",
            parameters={"threshold": 0.4, "min_lesion_pixels": 20, "gate": "off", "binary_data_output": True},
            outputs=[{"name": "measurements"}, {"name": "mask", "parameters": {"binary_data": False}}],
        )
    )
    assert asked.fields == {"threshold": "0.4", "min_lesion_pixels": "20", "gate": "off"}
    assert asked.wishes == (Wish("measurements", True), Wish("mask", False))
    assert (asked.identity, asked.model) == ("ward-7", None)
    assert read(request(model_name="brainseg")).model == "brainseg"
    assert read(request()).wishes == tuple(Wish(name, False) for name in ("mask", "probability", "measurements"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"parameters": {"colour": "red"}}, "Unknown parameter 'colour'"),
        ({"parameters": {"gate": True}}, "expected text or a number"),
        ({"parameters": {"outputs": "mask"}}, "list of outputs"),
        ({"parameters": {"version": "1.0"}}, "the path"),
        ({"parameters": []}, "expected an object"),
        ({"parameters": {"binary_data_output": 1}}, "true or false"),
        ({"outputs": [{"name": "overlay"}]}, "Unknown output 'overlay'"),
        ({"outputs": [{"name": "mask"}, {"name": "mask"}]}, "twice"),
        ({"outputs": [{"name": "mask", "parameters": {"classification": 1}}]}, "classification"),
        ({"outputs": "mask"}, "list of objects"),
        ({"id": 7}, "id: expected"),
        ({"model_name": 7}, "model_name: expected"),
        ({"inputs": []}, "0 inputs"),
        ({"inputs": None}, "list of objects"),
        ({"inputs": request()["inputs"] * 2}, "2 inputs"),
        ({"inputs": [request()["inputs"][0] | {"name": "picture"}]}, "Unknown input 'picture'"),
        ({"inputs": [request()["inputs"][0] | {"shape": [2]}]}, "shape"),
        ({"inputs": [request()["inputs"][0] | {"datatype": "UINT8"}]}, "datatype"),
        ({"inputs": [request()["inputs"][0] | {"data": ["no base64"]}]}, "no base64"),
        ({"inputs": [request()["inputs"][0] | {"data": ["é"]}]}, "no base64"),
        ({"inputs": [request()["inputs"][0] | {"data": [[1, 2]]}]}, "base64"),
        ({"inputs": [request()["inputs"][0] | {"parameters": {"threshold": 1}}]}, "parameters of the request"),
        ({"model": "brainseg"}, "Unknown key 'model'"),
    ],
)
def test_what_is_refused_and_why(more: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=words) as caught:
        read(request(**more))
    assert caught.value.code == "invalid_parameter"


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff", b'{"inputs": NaN}', b"1" * 5000, b'"' + b"\xc3\xa9" * 40_000])
def test_what_is_no_json_of_ours(body: bytes) -> None:
    with pytest.raises(RefusedError) as caught:
        read(body)
    assert caught.value.code == "bad_request"


def test_a_key_comes_once() -> None:
    with pytest.raises(RefusedError, match="twice"):
        read(json.dumps(request()).encode()[:-1] + b', "inputs": []}')


@pytest.mark.parametrize("sign", ["[]", "{}", "1"])
def test_many_members_are_counted_and_not_made(sign: str) -> None:
    with pytest.raises(RefusedError, match="over 1000 members") as caught:
        read(f'{{"inputs": [{",".join([sign] * 1001)}]}}'.encode())
    assert caught.value.code == "too_large"


def test_a_binary_part_that_is_not_what_it_says() -> None:
    body, length = binary(SCAN)
    for wrong, where in ((body + b"x", length), (body[:-1], length)):
        with pytest.raises(RefusedError, match="binary_data_size"):
            read_asked(wrong, where, nothing)
    short = body[:length] + struct.pack("<I", len(SCAN) + 1) + SCAN
    with pytest.raises(RefusedError, match="one element"):
        read_asked(short, length, nothing)
    text = json.dumps(request()).encode()
    with pytest.raises(RefusedError, match="follow the JSON"):
        read_asked(text + b"x", len(text), nothing)


@pytest.mark.parametrize("text", ["", "-1", "11", "1.5", "٣", "9" * 30])
def test_lengths_that_cannot_be(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        header_length(text, 10)
    assert caught.value.code == "bad_request"


def test_lengths() -> None:
    assert (header_length(None, 10), header_length("0", 10), header_length("10", 10)) == (None, 0, 10)


def test_what_is_made_of_a_body_is_told_before_it_is_made() -> None:
    told: list[int] = []
    read_asked(json.dumps(request()).encode(), None, told.append)
    assert sum(told) >= len(SCAN)
    body, length = binary(SCAN)
    told.clear()
    assert read_asked(body, length, told.append).scan.obj is body  # type: ignore[union-attr]
    assert not told
