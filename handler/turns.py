"""Requests of a batch are worked on side by side, but large scans one after the other: each may take half a gigabyte
of memory, and a stack keeps all cores busy by itself."""

from __future__ import annotations

import struct
import threading
from types import TracebackType

from handler.formats import jpeg, png
from handler.limits import MIB
from handler.request import Request
from handler.scan import Scan
from handler.wanted import ask

LARGE_BYTES = 8 * MIB  # as sent, or decoded
LARGE_PIXELS = 2**21
LOOK_SECONDS = 0.5
_turn = threading.Lock()


def _pixels(data: bytes) -> int:
    """What the header of a PNG or JPEG claims; 0 for others, whose pixels are decoded only when they are asked for."""
    width, height = 0, 0
    if png.matches(data) and len(data) >= png.HEADER_BYTES:
        width, height = struct.unpack_from(">II", data, png.SIZE_AT)
    elif jpeg.matches(data):
        width, height = jpeg.frame_size(data) or (0, 0)
    return width * height


class Turn:
    """Of one request: waited for where its scan is large, given back at the end of the ``with`` block."""

    def __init__(self) -> None:
        self._taken = False

    def before_decoding(self, request: Request) -> None:
        """Waits where it can be told from what came: scans with geometry, and what is large as sent or by the header of
        its picture."""
        scans = request.scans.values()
        if request.geometric or sum(map(len, scans)) > LARGE_BYTES or max(map(_pixels, scans)) > LARGE_PIXELS:
            self._take()

    def before_pixels(self, scan: Scan) -> None:
        """Waits where ``scan`` turns out large, its pixels not decoded yet."""
        if scan.decoded_bytes > LARGE_BYTES:
            self._take()

    def _take(self) -> None:
        while not self._taken:
            ask()
            self._taken = _turn.acquire(timeout=LOOK_SECONDS)

    def __enter__(self) -> Turn:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._taken:
            _turn.release()
