"""JPEG: segments by marker, and the coded pixels behind them."""

from __future__ import annotations

import random
import struct

from prove.mutate.damage import odd, shuffled, spoil

Segment = tuple[int, bytes]
_MARKERS = (0xC0, 0xC1, 0xC2, 0xC3, 0xC4, 0xC9, 0xDA, 0xDB, 0xDD, 0xE0, 0xE1, 0xEE, 0xFE)
_FRAMES = range(0xC0, 0xC4)
_SCAN, _RESTART, _END = 0xDA, 0xD0, 0xD9


def segments_of(data: bytes) -> tuple[list[Segment], bytes]:
    """(marker, content) of each segment up to the first scan, that one included, and all that follows it."""
    found, place = [], 2
    while place + 4 <= len(data):
        marker, length = data[place + 1], struct.unpack_from(">H", data, place + 2)[0]
        found.append((marker, data[place + 4 : place + 2 + length]))
        place += 2 + length
        if marker == _SCAN:
            break
    return found, data[place:]


def _frame(content: bytes, chance: random.Random) -> bytes:
    """Precision, size, number of components, their sampling and tables."""
    changed = bytearray(content)
    place = chance.randrange(len(changed))
    if place in (1, 3) and len(changed) > place + 1:
        struct.pack_into(">H", changed, place, odd(chance, 16))
    else:
        changed[place] = odd(chance, 8)
    return bytes(changed)


def _pixels(data: bytes, chance: random.Random) -> bytes:
    """Rubbish, or a marker among the coded pixels."""
    if chance.random() < 0.5 or len(data) < 2:
        return spoil(data, chance)
    place = chance.randrange(len(data))
    marker = chance.choice((_RESTART + chance.randrange(8), _END, _SCAN, *_MARKERS))
    return data[:place] + bytes((0xFF, marker)) + data[place:]


def mutate_jpeg(data: bytes, chance: random.Random) -> bytes:
    """``data``: a whole JPEG."""
    segments, pixels = segments_of(data)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(segments)) if segments else 0
        match chance.randrange(6):
            case 0 | 1 if segments:
                marker, content = segments[place]
                segments[place] = (marker, (_frame if marker in _FRAMES and content else spoil)(content, chance))
            case 2:
                segments = shuffled(segments, chance)
            case 3:
                segments.insert(place, (chance.choice(_MARKERS), chance.randbytes(chance.randrange(40))))
            case 4 if segments:
                segments[place] = (chance.choice(_MARKERS), segments[place][1])
            case _:
                pixels = _pixels(pixels, chance)
    lie = chance.randrange(len(segments)) if segments and chance.random() < 0.15 else None
    written = b"\xff\xd8"
    for number, (marker, content) in enumerate(segments):
        length = odd(chance, 16) if number == lie else (len(content) + 2) & 0xFFFF
        written += bytes((0xFF, marker)) + struct.pack(">H", length) + content
    return written + pixels
