"""The tensors that go in and out, and what the protocol's metadata says of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SCAN = "scan"
MASK, PROBABILITY, MEASUREMENTS = "mask", "probability", "measurements"
EXTENSIONS = ("binary_tensor_data",)
PLATFORM = "torchserve"
CONTRACT = "1"  # the version of the API


@dataclass(frozen=True)
class Tensor:
    """``shape``: -1 where it depends on the scan. ``about``: what the protocol's types cannot say."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    about: str

    def described(self) -> dict[str, Any]:
        """As the metadata has it."""
        told = {"about": self.about}
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape), "parameters": told}


INPUT = Tensor(
    SCAN,
    "BYTES",
    (1,),
    "The bytes of the scan's file. In the binary form as they are; in JSON as base64.",
)
OUTPUTS = (
    Tensor(
        MASK,
        "UINT8",
        (-1, -1, -1),
        "Slices, rows, columns of the input; 255 where there is tumour, else 0; of a model with labels their values.",
    ),
    Tensor(
        PROBABILITY,
        "FP32",
        (-1, -1, -1),
        "Slices, rows, columns of the input; 0 to 1 in steps of 1/65535; NaN (null in JSON) in a slice not assessed.",
    ),
    Tensor(
        MEASUREMENTS,
        "BYTES",
        (1,),
        "The answer of POST /api/v1/segment without pictures: JSON as text, in JSON too (no base64).",
    ),
)
NAMES = tuple(tensor.name for tensor in OUTPUTS)


def server_metadata(name: str) -> dict[str, Any]:
    """The answer of ``GET /v2``; ``name``: of the model."""
    return {"name": name, "version": CONTRACT, "extensions": list(EXTENSIONS)}


def model_metadata(name: str, versions: list[str]) -> dict[str, Any]:
    """The answer of ``GET /v2/models/<name>``."""
    return {
        "name": name,
        "versions": versions,
        "platform": PLATFORM,
        "inputs": [INPUT.described()],
        "outputs": [tensor.described() for tensor in OUTPUTS],
    }
