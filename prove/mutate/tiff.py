"""TIFF and BigTIFF, both byte orders: directories, their entries, what these point to."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from prove.mutate.damage import odd, spoil

# Tags that readers act upon.
_TAGS = (254, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 280, 281, 284, 317, 320, 322, 323, 324, 325, 330,
         338, 339, 340, 341, 347, 529, 530, 34665, 65000)  # fmt: skip
_COMPRESSIONS = (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 32773, 32946, 34712, 34892, 50000, 50001, 65535)
_COMPRESSION = 259


@dataclass(frozen=True)
class Directory:
    """Where the entries of one directory begin and where its link to the next one lies; ``order`` of :mod:`struct`."""

    order: str
    big: bool
    entries: tuple[int, ...]
    link: int

    @property
    def number(self) -> str:
        """The format of an offset."""
        return f"{self.order}Q" if self.big else f"{self.order}I"


def directories_of(data: bytes) -> list[Directory]:
    """Those of a whole TIFF, in their order, eight at most."""
    order, big = "<" if data[:2] == b"II" else ">", 43 in data[2:4]
    number, short, step = (f"{order}Q", f"{order}Q", 20) if big else (f"{order}I", f"{order}H", 12)
    head = struct.calcsize(short)
    place = struct.unpack_from(number, data, 8 if big else 4)[0]
    found: list[Directory] = []
    while 0 < place <= len(data) - head and len(found) < 8:
        count = struct.unpack_from(short, data, place)[0]
        begin = place + head
        link = begin + count * step
        if link + struct.calcsize(number) > len(data):
            break
        found.append(Directory(order, big, tuple(range(begin, link, step)), link))
        place = struct.unpack_from(number, data, link)[0]
    return found


def _entry(changed: bytearray, one: Directory, chance: random.Random) -> None:
    """Tag, type, count or value of one entry; or an entry over another one."""
    if not one.entries:
        return
    at = chance.choice(one.entries)
    bits, size = (64, 20) if one.big else (32, 12)
    tag = struct.unpack_from(f"{one.order}H", changed, at)[0]
    match chance.randrange(5):
        case 0:
            struct.pack_into(f"{one.order}H", changed, at, chance.choice(_TAGS))
        case 1:
            struct.pack_into(f"{one.order}H", changed, at + 2, chance.randrange(20))
        case 2:
            struct.pack_into(one.number, changed, at + 4, odd(chance, bits))
        case 3:
            value = chance.choice(_COMPRESSIONS) if tag == _COMPRESSION else odd(chance, bits)
            if tag != _COMPRESSION and chance.random() < 0.5:
                struct.pack_into(f"{one.order}H", changed, at + size - bits // 8, value & 0xFFFF)
            else:
                struct.pack_into(one.number, changed, at + size - bits // 8, value)
        case _:
            other = chance.choice(one.entries)
            changed[at : at + size] = changed[other : other + size]


def mutate_tiff(data: bytes, chance: random.Random) -> bytes:
    """``data``: a whole TIFF."""
    directories = directories_of(data)
    changed = bytearray(data)
    for _ in range(chance.randrange(1, 5)):
        one = chance.choice(directories)
        match chance.randrange(8):
            case 0:
                struct.pack_into(one.number, changed, one.link, chance.randrange(2 * len(data)))
            case 1:
                place = one.entries[0] - (8 if one.big else 2) if one.entries else one.link
                struct.pack_into(f"{one.order}H", changed, place, odd(chance, 16))
            case 2:
                place = chance.randrange(len(changed))
                changed[place] = chance.randrange(256)
            case _:
                _entry(changed, one, chance)
    return spoil(bytes(changed), chance) if chance.random() < 0.2 else bytes(changed)
