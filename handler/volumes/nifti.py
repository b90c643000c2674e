"""NIfTI -> volume. nibabel reads the header; what it and the ITK family pass over in silence is checked here first."""

from __future__ import annotations

import hashlib
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from handler.errors import RequestError
from handler.limits import DEFAULT_LIMITS, Limits
from handler.scan import Warn
from handler.volumes.gzips import gunzip
from handler.volumes.place import place
from handler.volumes.sniff import GZIP_MAGIC, HEADER_BYTES, gunzipped_head, nifti_version
from handler.volumes.volume import Acquisition, NiftiSource, Volume
from handler.wanted import ask

HEADERS: dict[int, Any] = {1: nibabel.Nifti1Header, 2: nibabel.Nifti2Header}
# NIfTI's codes of what one number a voxel can be; the others are colours, complex or wider than any scanner's numbers.
NUMBERS = (2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280)
LARGEST = 1e30  # as for pictures (handler.intensity)
TEXTS = ("descrip", "aux_file", "intent_name", "db_name", "data_type")  # where converters write names of patients
SLAB = 1 << 22  # voxels scaled at a time: float64 for all at once would double the memory


def read_header(head: bytes) -> Any:
    """The header at the beginning of ``head``, extensions left out, its free texts blanked.

    Raises ``corrupt_image`` or, for ANALYZE and pairs of files, ``unsupported_format``."""
    version = nifti_version(head)
    if not version or head[344:347] == b"ni1" or head[4:7] == b"ni2":
        raise RequestError(
            "unsupported_format",
            "The file is ANALYZE, or the header of a pair of files (.hdr and .img); expected NIfTI in a single file "
            "(.nii or .nii.gz). Convert it.",
        )
    kind = HEADERS[version]
    if len(head) < kind.template_dtype.itemsize:
        raise RequestError("corrupt_image", f"The file ends within its header of {kind.template_dtype.itemsize} bytes.")
    header: Any = kind(head[: kind.template_dtype.itemsize], check=False)
    for name in TEXTS:
        if name in header:
            header[name] = b""
    return header


def _size(header: Any) -> tuple[int, int, int]:
    """Of the one volume in the file: trailing axes of 1 are dropped, a missing third axis is one slice."""
    count = int(header["dim"][0])
    sides = [int(side) for side in header["dim"][1 : count + 1]]
    if not 2 <= count <= 7 or min(sides) < 1:
        raise RequestError("corrupt_image", f"The header claims {count} axes of {sides} voxels; expected 3 above 0.")
    if any(side > 1 for side in sides[3:]):
        raise RequestError(
            "unsupported_shape",
            f"The file holds several volumes ({' x '.join(map(str, sides))}); expected one. Split it, send one.",
        )
    columns, rows, slices = (*sides, 1)[:3]
    return columns, rows, slices


def _dtype(header: Any) -> np.dtype[Any]:
    code = int(header["datatype"])
    if code not in NUMBERS:
        raise RequestError(
            "unsupported_shape",
            f"The voxels are of NIfTI's data type {code} (colours, complex or longer than 64 bits); expected one "
            "number of at most 64 bits each. Convert the scan.",
        )
    dtype: np.dtype[Any] = header.get_data_dtype()
    if int(header["bitpix"]) != dtype.itemsize * 8:
        raise RequestError(
            "corrupt_image", f"The header claims {int(header['bitpix'])} bits for voxels of {dtype.itemsize * 8}."
        )
    return dtype


def _offset(header: Any) -> int:
    """Where the voxels begin. Behind the header and the four bytes that say whether extensions follow."""
    claimed, least = float(header["vox_offset"]), int(header.sizeof_hdr) + 4
    if not np.isfinite(claimed) or claimed != int(claimed) or claimed < least or claimed > 2**40:
        raise RequestError(
            "corrupt_image",
            f"The header puts the first voxel at byte {claimed:g}; expected a whole number from {least}.",
        )
    return int(claimed)


def _scaling(header: Any) -> tuple[float, float]:
    """Slope and intercept. A slope of 0 means none, whatever the intercept (the standard; ITK adds it)."""
    slope, intercept = float(header["scl_slope"]), float(header["scl_inter"])
    if slope == 0:
        return 1.0, 0.0
    if not (np.isfinite(slope) and np.isfinite(intercept)):
        raise RequestError(
            "corrupt_image",
            f"The voxels are to be scaled by slope {slope:g} and intercept {intercept:g}; expected finite numbers.",
        )
    return slope, intercept


def _scaled(raw: NDArray[Any], slope: float, intercept: float) -> tuple[NDArray[np.float32], int]:
    """float32, and how many voxels were no finite number: those get the lowest of the others."""
    voxels = np.empty(raw.size, np.float32)
    bad = np.zeros(raw.size, bool)
    lowest = np.inf
    for begin in range(0, raw.size, SLAB):
        ask()
        part = raw[begin : begin + SLAB].astype(np.float64)
        if (slope, intercept) != (1.0, 0.0):
            part = part * slope + intercept
        low, high = float(part.min()), float(part.max())
        if low >= -LARGEST and high <= LARGEST:  # neither holds where there is a NaN
            lowest = min(lowest, low)
            voxels[begin : begin + SLAB] = part
            continue
        finite = np.isfinite(part)
        bad[begin : begin + SLAB] = ~finite
        if finite.any():
            good = part[finite]
            if np.abs(good).max() > LARGEST:
                raise RequestError("corrupt_image", f"There are voxels beyond {LARGEST:g}: no scanner's numbers.")
            lowest = min(lowest, float(good.min()))
        voxels[begin : begin + SLAB] = part
    if lowest == np.inf:
        raise RequestError("corrupt_image", "Not one voxel is a finite number.")
    voxels[bad] = lowest
    return voxels, int(bad.sum())


def describe(data: bytes, limits: Limits = DEFAULT_LIMITS) -> tuple[tuple[int, int, int], str]:
    """Size (columns, rows, slices) and plane of the volume in ``data``, from its header alone. Raises as
    :func:`read_nifti` does for the header."""
    header = read_header(gunzipped_head(data) if data.startswith(GZIP_MAGIC) else data[:HEADER_BYTES])
    size = _size(header)
    limits.check_volume(size)
    return size, place(header, size)[0].plane


def read_nifti(data: bytes, limits: Limits = DEFAULT_LIMITS, name: str | None = None, others: int = 0) -> Volume:
    """The volume in ``data``: a whole file, ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2, either byte order.

    ``name``: the part or file name it came under. ``others``: voxels already taken for the same request.
    Raises ``unsupported_format``, ``unsupported_shape``, ``too_large`` or ``corrupt_image``; sizes are checked from
    the header, before anything is unpacked. Warnings: ``not_finite_voxels`` and those of
    :func:`handler.volumes.place.place`."""
    packed = data.startswith(GZIP_MAGIC)
    header = read_header(gunzipped_head(data) if packed else data[:HEADER_BYTES])
    size, dtype, offset = _size(header), _dtype(header), _offset(header)
    limits.check_volume(size, others)
    slope, intercept = _scaling(header)
    grid, warnings = place(header, size)
    count = size[0] * size[1] * size[2]
    needed = offset + count * dtype.itemsize
    if needed > limits.unpacked_bytes:
        raise RequestError(
            "too_large", f"The file unpacks to {needed} bytes; at most {limits.unpacked_bytes} are taken."
        )
    content = gunzip(data, limits.unpacked_bytes) if packed else data
    if len(content) < needed:
        raise RequestError(
            "corrupt_image",
            f"The file ends after {len(content)} of the {needed} bytes that its header claims. Send the whole file.",
        )
    raw = np.frombuffer(content, dtype, count, offset)
    voxels, bad = _scaled(raw, slope, intercept)
    if bad:
        detail = f"{bad} of {count} voxels are no finite number: the lowest of the others was taken for them"
        warnings = (*warnings, Warn("not_finite_voxels", detail))
    return Volume(
        voxels.reshape(grid.shape),
        grid,
        NiftiSource(header),
        Acquisition(name=name),
        "nifti",
        hashlib.sha256(data).hexdigest(),
        warnings,
    )
