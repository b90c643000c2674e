"""An instance -> the numbers of its frames, unscaled. What is not one plain number a pixel is refused."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.encaps import generate_frames

from handler.errors import RequestError
from handler.volumes.dicom.beside import Decoder
from handler.volumes.dicom.codecs import RLE, Shape, decompress
from handler.volumes.dicom.files import BIG_ENDIAN, EXPLICIT, IMPLICIT, Instance
from handler.volumes.dicom.values import text, whole

NATIVE = (IMPLICIT, EXPLICIT, BIG_ENDIAN)
MOST_FRAMES = 20_000
ITEM, END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"


@dataclass(frozen=True)
class Layout:
    """How the numbers of an instance are stored. ``bits``: allocated; ``stored``: of them used, the lowest ones."""

    rows: int
    columns: int
    frames: int
    bits: int
    stored: int
    signed: bool


def layout(instance: Instance) -> Layout:
    """Raises ``unsupported_shape`` for colours, several samples, inverted grey, float pixels; ``corrupt_image``."""
    dataset = instance.dataset
    samples, photometric = whole(dataset, "SamplesPerPixel", 1), text(dataset, "PhotometricInterpretation")
    if samples != 1 or photometric not in (None, "MONOCHROME2"):
        inverted = photometric == "MONOCHROME1"
        raise RequestError(
            "unsupported_shape",
            f"The pixels of file {instance.number} are {'inverted grey (MONOCHROME1)' if inverted else 'colours'}; "
            "expected grey, brighter for more signal (MONOCHROME2). Send the original series.",
        )
    if instance.pixels is None or instance.tag != 0x7FE00010:
        raise RequestError(
            "corrupt_image" if instance.pixels is None else "unsupported_shape",
            f"File {instance.number} has no pixels of whole numbers (PixelData). Send the original series.",
        )
    rows, columns = whole(dataset, "Rows"), whole(dataset, "Columns")
    frames = whole(dataset, "NumberOfFrames", 1)
    bits = whole(dataset, "BitsAllocated")
    stored = whole(dataset, "BitsStored", bits)
    high = whole(dataset, "HighBit", stored - 1)
    if not (bits in (8, 16, 32) and 1 <= stored <= bits and high == stored - 1):
        raise RequestError(
            "unsupported_shape",
            f"The pixels of file {instance.number} use {stored} of {bits} bits, the highest {high}; expected 8, 16 or "
            "32 bits, the lowest ones used.",
        )
    if not (1 <= frames <= MOST_FRAMES and 1 <= rows <= 65535 and 1 <= columns <= 65535):
        raise RequestError(
            "corrupt_image", f"File {instance.number} claims {frames} frames of {columns} x {rows} pixels."
        )
    needed = rows * columns * frames * bits // 8
    if not instance.encapsulated and len(instance.pixels) < needed:
        raise RequestError(
            "corrupt_image",
            f"File {instance.number} has {len(instance.pixels)} of the {needed} bytes of pixels that it claims. Send "
            "the whole file.",
        )
    return Layout(rows, columns, frames, bits, stored, whole(dataset, "PixelRepresentation", 0) == 1)


def _fragments(data: memoryview, number: int, most: int) -> int:
    """How many items there are behind the offset table; each complete, and the end there."""
    place, count = 0, -1
    while data[place : place + 4] == ITEM:
        if place + 8 > len(data) or count > most:
            break
        (length,) = struct.unpack_from("<I", data, place + 4)
        place += 8 + length
        count += 1
    if count < 1 or count > most or data[place : place + 4] != END:
        raise RequestError(
            "corrupt_image", f"The compressed pixels of file {number} are cut off or in very many pieces."
        )
    return count


def compressed_frames(instance: Instance, frames: int) -> list[bytes]:
    """The streams of an encapsulated instance, one a frame."""
    if instance.pixels is None:
        return []
    fragments = _fragments(instance.pixels, instance.number, 16 * frames + 1000)
    try:
        found = list(generate_frames(bytes(instance.pixels), number_of_frames=frames))
    except Exception:
        found = []
    if len(found) != frames:
        raise RequestError(
            "corrupt_image",
            f"File {instance.number} claims {frames} compressed frames, but its {fragments} pieces make "
            f"{len(found)}. Export the series again.",
        )
    return found


class Pixels:
    """The frames of one instance, decoded one at a time."""

    def __init__(self, instance: Instance, decoder: Callable[[str], Decoder]) -> None:
        """``decoder``: the one for a transfer syntax, started when the first compressed frame needs it."""
        self.layout = layout(instance)
        self._instance = instance
        self._decoder = decoder
        self._streams = compressed_frames(instance, self.layout.frames) if instance.encapsulated else []

    def _native(self, index: int) -> NDArray[Any]:
        shape = self.layout
        kind = f"{'>' if self._instance.big_endian else '<'}u{shape.bits // 8}"
        count = shape.rows * shape.columns
        if shape.bits == 8 and self._instance.big_endian and self._instance.words:
            swapped = np.frombuffer(self._instance.pixels or b"", ">u2").astype("<u2").view(np.uint8)
            return swapped[index * count : (index + 1) * count].reshape(shape.rows, shape.columns)
        raw = np.frombuffer(self._instance.pixels or b"", kind, count, index * count * shape.bits // 8)
        return raw.reshape(shape.rows, shape.columns)

    def _compressed(self, stream: bytes, shape: Shape) -> NDArray[Any]:
        syntax = self._instance.transfer_syntax
        if syntax == RLE:  # read by Python: nothing to be put beside
            return decompress(stream, syntax, shape)
        return self._decoder(syntax).decode(stream, shape)

    def frame(self, index: int) -> NDArray[Any]:
        """Frame ``index``, from 0: whole numbers (rows, columns), bits above the stored ones cleared (old files keep
        overlays there), the sign brought out."""
        shape = self.layout
        if self._instance.encapsulated:
            raw = self._compressed(self._streams[index], Shape(shape.rows, shape.columns, shape.bits))
        elif self._instance.transfer_syntax in NATIVE:
            raw = self._native(index)
        else:
            raise RequestError(
                "corrupt_image", f"File {self._instance.number} names a compression, but its pixels are not compressed."
            )
        if raw.dtype.kind == "u" and not shape.signed and shape.stored == raw.dtype.itemsize * 8:
            return raw
        wide: NDArray[Any] = raw.astype(np.int32 if shape.bits <= 16 else np.int64)
        numbers = wide & ((1 << shape.stored) - 1)
        if shape.signed:
            numbers = np.where(numbers >> (shape.stored - 1), numbers - (1 << shape.stored), numbers)
        return numbers
