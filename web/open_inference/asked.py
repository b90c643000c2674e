"""The body of an infer request -> the scan, the fields, the outputs wanted.

JSON of a few kilobytes can unfold into gigabytes of objects, so its members are counted before it is read."""

from __future__ import annotations

import base64
import binascii
import json
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Never

from web.contract.fields import FIELDS, MIB, VERSION, RefusedError
from web.open_inference.tensors import INPUT, NAMES, SCAN

MOST_MEMBERS = 1000  # commas and opening brackets; base64 has none of these
LARGE = 2**16  # bytes of JSON; above it has to be plain ASCII, which takes a byte a character in memory
LONGEST_ID = 200
BINARY_OUTPUT, BINARY_DATA, BINARY_SIZE = "binary_data_output", "binary_data", "binary_data_size"
_LARGE_ONES = threading.Lock()  # one at a time: reading holds a few copies of the body
MODEL = "model_name"  # beyond the protocol: KServe's client says the path's model again
REQUEST_KEYS = ("id", "parameters", "inputs", "outputs", MODEL)


@dataclass(frozen=True)
class Wish:
    """An output that is wanted; ``binary``: behind the JSON and not in it."""

    name: str
    binary: bool


@dataclass(frozen=True)
class Asked:
    """``scan``: the file's bytes, perhaps a view of the body. ``fields``: name -> text, as yet unchecked. ``wishes``:
    in the order of the answer. ``identity``: the client's id for the request, None where it gave none;
    ``model``: likewise what it calls the model beside the path."""

    scan: bytes | memoryview
    fields: Mapping[str, str]
    wishes: tuple[Wish, ...]
    identity: str | None = None
    model: str | None = None


def _wrong(detail: str) -> RefusedError:
    return RefusedError("invalid_parameter", detail)


def _not_json(_: object = None) -> Never:
    raise ValueError


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _wrong("The JSON has a key twice in one object; give it once.")
    return found


def _read_json(text: bytes) -> dict[str, Any]:
    members = sum(text.count(sign) for sign in (b",", b"[", b"{"))
    if members > MOST_MEMBERS:
        raise RefusedError("too_large", f"The JSON has over {MOST_MEMBERS} members; send one scan and its settings.")
    if len(text) > LARGE and not (text.isascii() and b"\\u" not in text):
        raise RefusedError("bad_request", f"JSON over {LARGE} bytes has to be plain ASCII without \\u; is it base64?")
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_not_json)
    except (ValueError, RecursionError):
        raise RefusedError("bad_request", "The JSON of the request cannot be read.") from None
    if not isinstance(found, dict):
        raise RefusedError("bad_request", "The request is no JSON object.")
    if unknown := [key for key in found if key not in REQUEST_KEYS]:
        raise _wrong(f"Unknown key {unknown[0][:40]!r}; expected some of {', '.join(REQUEST_KEYS)}.")
    return found


def _objects(value: object, what: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise _wrong(f"{what}: expected a list of objects.")
    return value


def _parameters(holder: Mapping[str, Any], what: str) -> dict[str, Any]:
    found = holder.get("parameters", {})
    if not isinstance(found, dict):
        raise _wrong(f"The parameters of {what}: expected an object.")
    return found


def _flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise _wrong(f"Parameter {name}: expected true or false.")
    return value


def fields_of(parameters: Mapping[str, Any]) -> dict[str, str]:
    """The settings among a request's parameters, as text. Raises ``invalid_parameter`` for what is none."""
    fields = {}
    for name, value in parameters.items():
        if name == "outputs" or name == VERSION:
            where = "the request's list of outputs" if name == "outputs" else "the path or the request's model_version"
            raise _wrong(f"Parameter {name}: it is no parameter here; it is said by {where}.")
        if name not in FIELDS:
            raise _wrong(f"Unknown parameter {name[:40]!r}; expected some of {', '.join(FIELDS)}.")
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise _wrong(f"Parameter {name}: expected text or a number.")
        fields[name] = str(value)
    return fields


def wishes_of(outputs: Sequence[tuple[str, bool]]) -> tuple[Wish, ...]:
    """``outputs``: names, and whether each is wanted in the binary form. Raises ``invalid_parameter``."""
    names = [name for name, _ in outputs]
    for name in names:
        if name not in NAMES:
            raise _wrong(f"Unknown output {name[:40]!r}; expected some of {', '.join(NAMES)}.")
    if len(set(names)) < len(names):
        raise _wrong("An output is named twice; name it once.")
    return tuple(Wish(name, binary) for name, binary in outputs)


def _wishes(request: Mapping[str, Any], binary: bool) -> tuple[Wish, ...]:
    if not request.get("outputs"):
        return wishes_of([(name, binary) for name in NAMES])
    wished = []
    for one in _objects(request["outputs"], "outputs"):
        parameters = _parameters(one, "an output")
        if unknown := [name for name in parameters if name != BINARY_DATA]:
            raise _wrong(f"Parameter {unknown[0][:40]!r} of an output: expected {BINARY_DATA} only.")
        wished.append((str(one.get("name")), _flag(parameters.get(BINARY_DATA, binary), BINARY_DATA)))
    return wishes_of(wished)


def check_input(name: object, datatype: object, shape: object) -> None:
    """Raises ``invalid_parameter`` for an input that is not the scan."""
    if name != SCAN:
        raise _wrong(f"Unknown input {str(name)[:40]!r}; expected one input, {SCAN!r}.")
    if datatype != INPUT.datatype or shape != list(INPUT.shape):
        raise _wrong(f"Input {SCAN!r}: expected datatype {INPUT.datatype} and shape {list(INPUT.shape)}.")


def element(data: bytes | memoryview) -> memoryview:
    """The one element of a BYTES tensor: four bytes for its length, the lowest first, and its bytes. Raises
    ``invalid_parameter``."""
    view = memoryview(data)
    if len(view) < 4 or struct.unpack_from("<I", view)[0] != len(view) - 4:
        raise _wrong(
            f"Input {SCAN!r} has {len(view)} bytes; expected one element: its length in four bytes, the lowest first, "
            "and as many bytes."
        )
    return view[4:]


def _decoded(data: object, grow: Callable[[int], None]) -> bytes:
    if not isinstance(data, list) or len(data) != 1 or not isinstance(data[0], str):
        raise _wrong(f"Input {SCAN!r}: expected in data a list of one text, the scan's file in base64.")
    grow(len(data[0]) * 3 // 4)
    try:
        return base64.b64decode(data[0], validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(f"Input {SCAN!r}: its data is no base64, which bytes have to be in JSON.") from None


def _scan(request: Mapping[str, Any], tail: memoryview, grow: Callable[[int], None]) -> bytes | memoryview:
    inputs = _objects(request.get("inputs"), "inputs")
    if len(inputs) != 1:
        raise _wrong(f"The request has {len(inputs)} inputs; expected one, {SCAN!r}.")
    one = inputs[0]
    check_input(one.get("name"), one.get("datatype"), one.get("shape"))
    parameters = _parameters(one, "the input")
    if unknown := [name for name in parameters if name != BINARY_SIZE]:
        raise _wrong(f"Parameter {unknown[0][:40]!r} of the input: settings are parameters of the request.")
    size = parameters.get(BINARY_SIZE)
    if size is None:
        if len(tail):
            raise _wrong(f"{len(tail)} bytes follow the JSON, and no input has {BINARY_SIZE}.")
        return _decoded(one.get("data"), grow)
    if "data" in one or isinstance(size, bool) or size != len(tail):
        raise _wrong(f"Input {SCAN!r}: {BINARY_SIZE} has to be the {len(tail)} bytes behind the JSON, without data.")
    return element(tail)


def header_length(text: str | None, size: int) -> int | None:
    """Of the JSON in front, out of ``Inference-Header-Content-Length``; None: the body is JSON and nothing else.
    ``size``: of the body. Raises ``bad_request``."""
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12) or int(text) > size:
        raise RefusedError(
            "bad_request", f"Inference-Header-Content-Length: expected the JSON's bytes, at most the body's {size}."
        )
    return int(text)


def read_asked(body: bytes, length: int | None, grow: Callable[[int], None]) -> Asked:
    """``length``: as :func:`header_length` has it; 0: the whole body is the scan, without JSON. ``grow``: is told how
    many bytes are about to be made of the body, and may raise.

    Raises ``bad_request``, ``invalid_parameter`` or ``too_large``."""
    if length == 0:
        return Asked(memoryview(body), {}, wishes_of([(name, True) for name in NAMES]))
    if length is None and len(body) > MIB:
        with _LARGE_ONES:
            return _read(body, memoryview(b""), grow)
    if length is not None and length > MIB:
        raise RefusedError("too_large", f"The JSON in front of the binary data has over {MIB} bytes.")
    return _read(
        body if length is None else body[:length], memoryview(body)[len(body) if length is None else length :], grow
    )


def _read(text: bytes, tail: memoryview, grow: Callable[[int], None]) -> Asked:
    request = _read_json(text)
    identity = request.get("id")
    if identity is not None and (not isinstance(identity, str) or len(identity) > LONGEST_ID):
        raise _wrong(f"id: expected a text of at most {LONGEST_ID} characters.")
    model = request.get(MODEL)
    if model is not None and not isinstance(model, str):
        raise _wrong(f"{MODEL}: expected the text that the path has.")
    parameters = _parameters(request, "the request")
    binary = _flag(parameters.get(BINARY_OUTPUT, False), BINARY_OUTPUT)
    fields = fields_of({name: value for name, value in parameters.items() if name != BINARY_OUTPUT})
    wishes = _wishes(request, binary)
    return Asked(_scan(request, tail, grow), fields, wishes, identity, model)
