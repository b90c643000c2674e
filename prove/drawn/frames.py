"""Frames of a drawn DICOM file, compressed by the transfer syntaxes that scanners use."""

from __future__ import annotations

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRBigEndian

RLE = "1.2.840.10008.1.2.5"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
JPEG_EXTENDED = "1.2.840.10008.1.2.4.51"
JPEG_LOSSLESS = "1.2.840.10008.1.2.4.70"
JPEG_LS = "1.2.840.10008.1.2.4.80"
JPEG_2000 = "1.2.840.10008.1.2.4.90"
COMPRESSED = (RLE, JPEG_LOSSLESS, JPEG_LS, JPEG_2000)  # lossless ones


def encoded(frame: NDArray[np.int16], transfer_syntax: str) -> bytes:
    """One frame, compressed."""
    unsigned = np.ascontiguousarray(frame.astype(np.uint16))
    if transfer_syntax == JPEG_LOSSLESS:
        return bytes(imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=16))
    if transfer_syntax == JPEG_EXTENDED:
        return bytes(imagecodecs.jpeg8_encode(unsigned, level=100, bitspersample=12))
    if transfer_syntax == JPEG_BASELINE:
        return bytes(imagecodecs.jpeg8_encode((unsigned // 8).astype(np.uint8), level=100))
    if transfer_syntax == JPEG_LS:
        return bytes(imagecodecs.jpegls_encode(unsigned))
    if transfer_syntax == JPEG_2000:
        return bytes(imagecodecs.jpeg2k_encode(unsigned, level=0, codecformat="j2k", reversible=True, mct=False))
    halves = [(unsigned >> 8).astype(np.uint8), (unsigned & 255).astype(np.uint8)]
    packed = [b"".join(bytes(imagecodecs.packbits_encode(row.tobytes())) for row in half) for half in halves]
    packed = [part + bytes(len(part) % 2) for part in packed]
    head = np.array([2, 64, 64 + len(packed[0]), *[0] * 13], "<u4").tobytes()
    return head + packed[0] + packed[1]


def set_pixels(dataset: Dataset, frames: NDArray[np.int16], transfer_syntax: str) -> None:
    """``frames`` as the pixels of ``dataset``."""
    if transfer_syntax in (*COMPRESSED, JPEG_BASELINE, JPEG_EXTENDED):
        dataset.PixelData = encapsulate([encoded(frame, transfer_syntax) for frame in frames])
        dataset["PixelData"].VR = "OB"
        if transfer_syntax == JPEG_BASELINE:
            dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        return
    order = ">" if transfer_syntax == ExplicitVRBigEndian else "<"
    dataset.PixelData = frames.astype(f"{order}i2").tobytes()
    dataset["PixelData"].VR = "OW"
