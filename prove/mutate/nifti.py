"""NIfTI-1 and -2, both byte orders, packed or not: the fields of the header, and the packing itself."""

from __future__ import annotations

import gzip
import math
import random
import struct
import zlib

from prove.mutate.damage import odd, spoil

_FLOATS = (0.0, -0.0, 1.0, -1.0, 1e-38, 1e38, math.nan, math.inf, -math.inf, 1e-9, 32768.0)
_SIZES = (-32768, -1, 0, 1, 2, 3, 4, 7, 8, 255, 32767)
_TYPES = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 768, 1024, 1280, 1536, 1792, 2048, 2304, -1)
# (format, where, how many, what goes there), by version.
_FIELDS = {
    1: (
        ("h", 40, 8, _SIZES), ("h", 70, 1, _TYPES), ("h", 72, 1, _SIZES), ("f", 76, 8, _FLOATS), ("f", 108, 1, _FLOATS),
        ("f", 112, 2, _FLOATS), ("b", 123, 1, tuple(range(32))), ("h", 252, 2, (-1, 0, 1, 2, 3, 4, 99)),
        ("f", 256, 6, _FLOATS), ("f", 280, 12, _FLOATS),
    ),
    2: (
        ("h", 12, 1, _TYPES), ("h", 14, 1, _SIZES), ("q", 16, 8, (*_SIZES, 2**40)), ("d", 104, 8, _FLOATS),
        ("q", 168, 1, (*_SIZES, 2**40)), ("d", 176, 2, _FLOATS), ("i", 344, 2, (-1, 0, 1, 2, 3, 4, 99)),
        ("d", 352, 6, _FLOATS), ("d", 400, 12, _FLOATS), ("i", 500, 1, tuple(range(32))),
    ),
}  # fmt: skip
_MAGIC = (b"n+1\0", b"ni1\0", b"n+2\0", b"ni2\0", b"\0\0\0\0")


def mutate_header(data: bytes, chance: random.Random) -> bytes:
    """``data``: a whole file that is not packed."""
    size, order = (struct.unpack_from("<i", data)[0], "<")
    if size not in (348, 540):
        size, order = struct.unpack_from(">i", data)[0], ">"
    version = 1 if size == 348 else 2
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 4)):
        if chance.random() < 0.1:
            place = 344 if version == 1 else 4
            changed[place : place + 4] = chance.choice(_MAGIC)
            continue
        form, begin, count, values = chance.choice(_FIELDS[version])
        place = begin + chance.randrange(count) * struct.calcsize(form)
        struct.pack_into(f"{order}{form}", changed, place, chance.choice(values))
    if chance.random() < 0.1:
        struct.pack_into(f"{order}i", changed, 0, odd(chance, 31))
    return spoil(bytes(changed), chance) if chance.random() < 0.2 else bytes(changed)


def mutate_nifti(data: bytes, chance: random.Random) -> bytes:
    """``data``: a whole file."""
    if data[:2] != b"\x1f\x8b":
        return mutate_header(data, chance)
    if chance.random() < 0.2:  # the packing: its head, its checksum, a second member
        return spoil(data, chance) if chance.random() < 0.7 else data + data
    packed = gzip.compress(mutate_header(gzip.decompress(data), chance), mtime=0)
    if chance.random() < 0.1:
        return packed[:-8] + struct.pack("<II", zlib.crc32(b"other"), odd(chance, 32))
    return packed
