"""Bounds on what one request may bring or ask for. Checked from headers, before memory is spent."""

from __future__ import annotations

from dataclasses import dataclass

from handler.errors import RequestError

MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """Sides in pixels, sizes in bytes. ``pixels`` counts all pages together; ``segments`` bounds the strips or tiles
    of a TIFF, each of which costs a Python call however small it is; ``jpeg_scans``: passes of a progressive JPEG."""

    request_bytes: int = 64 * MIB
    answer_bytes: int = 32 * MIB
    pages: int = 200
    min_side: int = 16
    max_side: int = 4096
    pixels: int = 100_000_000
    segments: int = 200_000
    jpeg_scans: int = 64

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


DEFAULT_LIMITS = Limits()
