"""What was found -> the answer's body: JSON, with the binary tensors behind it where they are wanted so."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from web.open_inference.asked import Asked, Wish
from web.open_inference.found import Found
from web.open_inference.tensors import MEASUREMENTS, OUTPUTS

if TYPE_CHECKING:
    from numpy.typing import NDArray

DIGITS = 6
LENGTH_HEADER = "Inference-Header-Content-Length"
KINDS = {tensor.name: tensor.datatype for tensor in OUTPUTS}


@dataclass(frozen=True)
class Body:
    """What goes out, and the headers that say what it is."""

    headers: Mapping[str, str]
    data: bytes


def bytes_element(text: str) -> bytes:
    """A BYTES tensor of one element, in the binary form."""
    data = text.encode()
    return struct.pack("<I", len(data)) + data


def raw(found: Found, name: str) -> bytes:
    """The output ``name`` in the binary form: row-major, the lowest byte first."""
    if name == MEASUREMENTS:
        return bytes_element(found.measurements)
    picture = found.pictures[name]
    return picture.astype(picture.dtype.newbyteorder("<"), copy=False).tobytes()


def shape(found: Found, name: str) -> list[int]:
    """Of the output ``name``."""
    return [1] if name == MEASUREMENTS else list(found.pictures[name].shape)


def _numbers(picture: NDArray[Any]) -> str:
    """In JSON, flat; a slice at a time, for a list of Python's numbers has ten times the size of its text."""
    texts = []
    for one in picture:
        values = one.ravel().tolist()
        if picture.dtype.kind == "f":
            values = [None if value != value else round(value, DIGITS) for value in values]  # NaN is no JSON
        texts.append(json.dumps(values, separators=(",", ":"))[1:-1])
    return f"[{','.join(texts)}]"


def _described(found: Found, wish: Wish, size: int) -> str:
    told: dict[str, Any] = {"name": wish.name, "datatype": KINDS[wish.name], "shape": shape(found, wish.name)}
    if wish.binary:
        return json.dumps({**told, "parameters": {"binary_data_size": size}})
    if wish.name == MEASUREMENTS:
        return json.dumps({**told, "data": [found.measurements]})
    return f'{json.dumps(told)[:-1]}, "data": {_numbers(found.pictures[wish.name])}}}'


def write_reply(asked: Asked, found: Found, model: str) -> Body:
    """The answer to ``asked``."""
    tensors = [raw(found, wish.name) if wish.binary else b"" for wish in asked.wishes]
    outputs = ", ".join(_described(found, wish, len(data)) for wish, data in zip(asked.wishes, tensors, strict=True))
    head = {"model_name": model, "model_version": found.version}
    if asked.identity is not None:
        head["id"] = asked.identity
    text = f'{json.dumps(head)[:-1]}, "outputs": [{outputs}]}}'.encode()
    if not any(wish.binary for wish in asked.wishes):
        return Body({"Content-Type": "application/json"}, text)
    headers = {"Content-Type": "application/octet-stream", LENGTH_HEADER: str(len(text))}
    return Body(headers, b"".join([text, *tensors]))
