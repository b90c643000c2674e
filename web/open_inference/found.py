"""TorchServe's answer in JSON -> arrays of mask and probability, and the measurements without pictures."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from web.contract.fields import MIB, NOT_ASSESSED, RefusedError
from web.open_inference.tensors import MASK, MEASUREMENTS, PROBABILITY

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANSWER_BYTES = 32 * MIB
STEPS = 65535  # of the probability map
# In bytes of the answer: binary, and at most in JSON, as ``255,`` and ``0.123456,``.
SIZES = {MASK: (1, 4), PROBABILITY: (4, 9)}


@dataclass(frozen=True)
class Found:
    """``pictures``: by output, uint8 or float32 (slices, rows, columns); ``measurements``: JSON; ``version``: which
    answered."""

    pictures: Mapping[str, NDArray[Any]]
    measurements: str
    version: str


def pictures_of(names: Sequence[str]) -> str:
    """The contract's field ``outputs`` for the protocol's outputs ``names``."""
    return ",".join(name for name in names if name != MEASUREMENTS) or "none"


def _chosen(text: str | None, slices: int) -> range:
    """The field ``slices``, which the handler has taken."""
    if text is None or text.strip() == "all":
        return range(slices)
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


def _picture(text: str, shape: tuple[int, int]) -> NDArray[Any]:
    import imagecodecs

    picture = imagecodecs.png_decode(base64.b64decode(text))
    if picture.shape != shape:
        raise ValueError
    return picture


def _stack(answer: Mapping[str, Any], name: str, chosen: range) -> NDArray[Any]:
    """Of a slice that was not assessed: no tumour in the mask, as in a mask of REST, and NaN in the probability."""
    import numpy as np

    shape = int(answer["input"]["height"]), int(answer["input"]["width"])
    empty, kind = (0, np.uint8) if name == MASK else (np.nan, np.float32)
    found: NDArray[Any] = np.full((len(chosen), *shape), empty, kind)
    for place, index in enumerate(chosen):
        if text := answer["slices"][index]["images"].get(name):
            picture = _picture(text, shape)
            found[place] = picture if name == MASK else picture.astype(np.float32) / np.float32(STEPS)
    return found


def _fits(answer: Mapping[str, Any], wishes: Mapping[str, bool], slices: int) -> None:
    pixels = slices * int(answer["input"]["height"]) * int(answer["input"]["width"])
    size = sum(pixels * SIZES[name][not binary] for name, binary in wishes.items() if name in SIZES)
    if size > ANSWER_BYTES:
        raise RefusedError(
            "response_too_large",
            f"The tensors would have about {size} bytes, the limit is {ANSWER_BYTES}: name the outputs you need, take "
            "them in the binary form, or some slices only (parameter slices).",
        )


def read_found(body: bytes, wishes: Mapping[str, bool], slices: str | None) -> Found:
    """``body``: of an answer with status 200; ``wishes``: outputs, and whether each goes in the binary form;
    ``slices``: the field. Raises ``not_assessed`` where a picture is wanted of a scan that has none,
    ``response_too_large``, and ``internal_error`` for a body that is not the handler's."""
    try:
        answer = json.loads(body)
        pictured = [name for name in wishes if name in SIZES]
        if pictured and answer["verdict"] == NOT_ASSESSED:
            reasons = ", ".join(answer["trust"]["reasons"])
            raise RefusedError(
                NOT_ASSESSED,
                f"The model does not know scans of this kind ({reasons}), so there is no mask. Ask for the output "
                f"{MEASUREMENTS} alone, or for a mask all the same with the parameter gate=off.",
            )
        chosen = _chosen(slices, len(answer["slices"]))
        _fits(answer, wishes, len(chosen))
        pictures = {name: _stack(answer, name, chosen) for name in pictured}
        for one in answer["slices"]:
            one["images"] = {}
        return Found(pictures, json.dumps(answer), str(answer["model"]["version"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError):
        raise RefusedError("internal_error", "TorchServe's answer cannot be read as tensors.") from None
