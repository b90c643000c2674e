"""Bytes -> scan. Whatever the bytes are, the outcome is a scan or one of the contract's refusals."""

from __future__ import annotations

import hashlib
import logging
import warnings

from handler.errors import RequestError
from handler.formats import FORMATS
from handler.limits import DEFAULT_LIMITS, Limits
from handler.scan import Scan

# A client could fill the log with a file made of broken tags; what matters comes out as an exception.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

# Known by their first bytes only to give a better hint than "unknown".
OTHERS = {
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"PK\x03\x04": "a zip archive",
    b"\x1f\x8b": "gzip (a compressed NIfTI?)",
    b"%PDF": "PDF",
    b"RIFF": "WebP or another RIFF file",
}


def _foreign(data: bytes) -> RequestError:
    kind = next((name for magic, name in OTHERS.items() if data.startswith(magic)), None)
    if data[128:132] == b"DICM":
        kind = "DICOM"
    return RequestError(
        "unsupported_format",
        f"The file is {kind or 'of an unknown format'}; expected JPEG, PNG or TIFF. Convert the scan.",
    )


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Scan:
    """The scan in ``data``, the bytes of a whole file.

    Raises :class:`RequestError`: ``no_image`` (no bytes), ``too_large``, ``unsupported_format``, ``unsupported_shape``
    or ``corrupt_image``. Sizes are checked from the header, before pixels are decoded.
    """
    if not data:
        raise RequestError("no_image", "The scan is empty (0 bytes); expected a JPEG, PNG or TIFF file.")
    limits.check_bytes(len(data))
    reader = next((f for f in FORMATS if f.matches(data)), None)
    if reader is None:
        raise _foreign(data)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            raster = reader.read(data, limits)
    except RequestError:
        raise
    except Exception as error:
        # Three libraries meet hostile bytes here and raise whatever they trip over; all of it means the same.
        raise RequestError(
            "corrupt_image",
            f"The file begins like {reader.name.upper()} but cannot be decoded ({type(error).__name__}). "
            "It may be cut off or damaged; save it again.",
        ) from error
    return Scan(raster.pixels, raster.intensity_range, reader.name, hashlib.sha256(data).hexdigest(), raster.warnings)
