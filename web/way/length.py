"""Whether a scan is short work or long, told from its first bytes and a TIFF's chain of pages; no picture is looked
into, and a guess that is wrong costs an order of turns and nothing else."""

from __future__ import annotations

import struct

SHORT_PAGES = 4
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG")
_CLASSIC = {b"II*\0": "<", b"MM\0*": ">"}
_BIG = {b"II+\0": "<", b"MM\0+": ">"}


def is_long(scan: bytes | memoryview) -> bool:
    """A JPEG, a PNG and a TIFF of at most :data:`SHORT_PAGES` pages are short; a volume is long."""
    head = bytes(scan[:4])
    if head.startswith(_PICTURES):
        return False
    if head in _CLASSIC:
        return _pages(scan, f"{_CLASSIC[head]}I", 4, f"{_CLASSIC[head]}H", 12) > SHORT_PAGES
    if head in _BIG:
        return _pages(scan, f"{_BIG[head]}Q", 8, f"{_BIG[head]}Q", 20) > SHORT_PAGES
    return True


def _pages(scan: bytes | memoryview, pointer: str, first: int, count: str, entry: int) -> int:
    """Directories of a TIFF, counted no further than is asked."""
    pages = 0
    try:
        (place,) = struct.unpack_from(pointer, scan, first)
        while place and pages <= SHORT_PAGES:
            (entries,) = struct.unpack_from(count, scan, place)
            pages += 1
            (place,) = struct.unpack_from(pointer, scan, place + struct.calcsize(count) + entries * entry)
    except (struct.error, OverflowError):
        pass  # cut off or nonsense, which the handler will say in a moment
    return pages
