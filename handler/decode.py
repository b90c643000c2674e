"""Bytes -> scan. Whatever the bytes are, the outcome is a scan or one of the contract's refusals."""

from __future__ import annotations

import hashlib
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.formats import FORMATS
from handler.limits import DEFAULT_LIMITS, Limits
from handler.scan import PageSource, Scan

# A client could fill the log with a file made of broken tags; what matters comes out as an exception.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

# Known by their first bytes only to give a better hint than "unknown".
OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"\x1f\x8b": "gzip with no NIfTI in it",
    b"%PDF": "PDF",
    b"{": "a JSON object",
    b"RIFF": "WebP or another RIFF file",
}


def _foreign(data: bytes) -> RequestError:
    kind = next((name for magic, name in OTHERS.items() if data.startswith(magic)), None)
    return RequestError(
        "unsupported_format",
        f"The file is {kind or 'of an unknown format'}; expected JPEG, PNG, TIFF, NIfTI, DICOM or a zip of "
        "DICOM files. Convert the scan.",
    )


@contextmanager
def _broken_is_told(name: str) -> Iterator[None]:
    """Whatever a library trips over while it reads a file of format ``name`` becomes ``corrupt_image``."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except RequestError:
        raise
    except Exception as error:
        # Three libraries meet hostile bytes here and raise whatever they trip over; all of it means the same.
        raise RequestError(
            "corrupt_image",
            f"The file begins like {name.upper()} but cannot be decoded ({type(error).__name__}). "
            "It may be cut off or damaged; save it again.",
        ) from error


@dataclass(frozen=True, eq=False)
class _Guarded:
    """A source of a file of format ``name`` whose pages are decoded later, when a library may still trip."""

    inner: PageSource
    name: str

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return self.inner.shape

    @property
    def dtype(self) -> np.dtype[np.generic]:
        return self.inner.dtype

    def pages(self, start: int, stop: int) -> NDArray[np.generic]:
        with _broken_is_told(self.name):
            return self.inner.pages(start, stop)


def open_scan(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Scan:
    """The scan in ``data``, the bytes of a whole file, its pixels not decoded yet where its format allows that.

    Raises :class:`RequestError`: ``no_image`` (no bytes), ``too_large``, ``unsupported_format``, ``unsupported_shape``
    or ``corrupt_image``. Sizes are checked from the header, before pixels are decoded.
    """
    if not data:
        raise RequestError("no_image", "The scan is empty (0 bytes); expected the bytes of a file.")
    limits.check_bytes(len(data))
    reader = next((f for f in FORMATS if f.matches(data)), None)
    if reader is None:
        raise _foreign(data)
    with _broken_is_told(reader.name):
        raster = reader.read(data, limits)
    source = _Guarded(raster.source, reader.name)
    return Scan(source, raster.intensity_range, reader.name, hashlib.sha256(data).hexdigest(), raster.warnings)


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Scan:
    """As :func:`open_scan`, with all pixels decoded and in memory, and therefore known to be sound."""
    return open_scan(data, limits).held()
