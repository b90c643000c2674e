"""Bounds on what one request may bring or ask for. Checked from headers, before memory is spent."""

from __future__ import annotations

import math
from dataclasses import dataclass

from handler.errors import RequestError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Sides in pixels, sizes in bytes. ``pixels`` counts all pages together; ``segments`` bounds the strips or tiles
    of a TIFF, each of which costs a Python call however small it is; ``jpeg_scans``: passes of a progressive JPEG.
    ``page_bytes`` bounds what a page takes decoded, in the samples of its file, ``decoded_bytes`` all of them: 12 bytes
    for each pixel of the largest page and stack. A scan of more than ``held_bytes`` decoded is not kept, but decoded
    page by page and once more for its pictures.

    Volumes: ``voxels`` counts all that are decoded for one request, ``unpacked_bytes`` what its archives hold together,
    ``archive_files`` the files of a zip, ``archive_ratio`` how many times larger than the zip its files may be,
    ``dicom_elements`` the elements of all headers (each costs some 200 bytes and 6 microseconds)."""

    request_bytes: int = 64 * MIB
    answer_bytes: int = 32 * MIB
    pages: int = 200
    min_side: int = 16
    max_side: int = 4096
    pixels: int = 100_000_000
    segments: int = 200_000
    jpeg_scans: int = 64
    page_bytes: int = 192 * MIB
    decoded_bytes: int = 1_200_000_000
    held_bytes: int = 128 * MIB
    voxels: int = 100_000_000
    unpacked_bytes: int = 400 * MIB
    archive_files: int = 5000
    archive_ratio: int = 250
    dicom_elements: int = 1_000_000

    def check_bytes(self, size: int) -> None:
        """Raises ``too_large`` for a file of more than ``request_bytes``."""
        if size > self.request_bytes:
            raise RequestError(
                "too_large", f"The file has {size} bytes; at most {self.request_bytes} are taken. Send fewer slices."
            )

    def check_pages(self, pages: int) -> None:
        """Raises ``too_large`` for a stack of more than ``pages`` slices."""
        if pages > self.pages:
            raise RequestError("too_large", f"The stack has more than {self.pages} pages. Split it into several.")

    def check_geometry(self, width: int, height: int, pages: int = 1) -> None:
        """Raises ``unsupported_shape`` for a side below ``min_side``, ``too_large`` for one above ``max_side``, too
        many pages, or too many pixels in all. Arguments are what a header claims; nothing is allocated yet."""
        if min(width, height) < self.min_side:
            raise RequestError(
                "unsupported_shape",
                f"The scan is {width} x {height} pixels; each side must have at least {self.min_side}.",
            )
        if max(width, height) > self.max_side:
            raise RequestError(
                "too_large",
                f"The scan claims {width} x {height} pixels; a side may have at most {self.max_side}. Scale it down.",
            )
        self.check_pages(pages)
        if width * height * pages > self.pixels:
            raise RequestError(
                "too_large",
                f"The scan claims {width * height * pages} pixels in {pages} slices; at most {self.pixels} are taken. "
                "Split the stack or scale it down.",
            )

    def check_volume(self, size: tuple[int, ...], others: int = 0) -> None:
        """Raises ``unsupported_shape`` for an empty axis, ``too_large`` for one above ``max_side`` or for more than
        ``voxels`` together with the ``others`` of the same request. ``size`` is what a header claims."""
        shown = " x ".join(str(side) for side in size)
        if min(size) < 1:
            raise RequestError("unsupported_shape", f"The volume claims {shown} voxels; no side may be empty.")
        if max(size) > self.max_side:
            raise RequestError(
                "too_large", f"The volume claims {shown} voxels; a side may have at most {self.max_side}."
            )
        count = math.prod(size)
        if count + others > self.voxels:
            raise RequestError(
                "too_large",
                f"The volumes claim {count + others} voxels together; at most {self.voxels} are taken. Send fewer "
                "sequences or coarser ones.",
            )

    def check_decoded(self, page_bytes: int, pages: int = 1) -> None:
        """Raises ``too_large`` when a page would take more than ``page_bytes``, or all more than ``decoded_bytes``."""
        if page_bytes > self.page_bytes or page_bytes * pages > self.decoded_bytes:
            raise RequestError(
                "too_large",
                f"{pages} pages of {page_bytes / MIB:.0f} MiB decoded; at most {self.page_bytes / MIB:.0f} MiB a page "
                f"and {self.decoded_bytes / MIB:.0f} MiB in all are taken. Save samples of fewer bits, or no alpha "
                "channel, or split the stack.",
            )


DEFAULT_LIMITS = Limits()
