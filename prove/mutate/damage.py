"""What the mutators of all formats do to bytes and numbers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TypeVar

Mutator = Callable[[bytes, random.Random], bytes]
Step = Callable[[bytearray, random.Random], None]
T = TypeVar("T")
# Numbers at which readers err: ends of the integer types, their neighbours, sizes that overflow when multiplied.
ODD = (0, 1, 2, 3, 7, 8, 15, 16, 127, 128, 255, 256, 4095, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 1)


def odd(chance: random.Random, bits: int) -> int:
    """A number of ``bits`` bits, mostly one of :data:`ODD`."""
    value = chance.choice(ODD) if chance.random() < 0.8 else chance.getrandbits(bits)
    return value & (2**bits - 1)


def spoil(data: bytes, chance: random.Random) -> bytes:
    """One change that knows nothing of the format: bits, bytes, a run of rubbish, a cut, a part doubled or left out."""
    if not data:
        return chance.randbytes(chance.randrange(1, 9))
    changed = bytearray(data)
    place = chance.randrange(len(changed))
    length = chance.randrange(1, 65)
    match chance.randrange(6):
        case 0:
            changed[place] ^= 1 << chance.randrange(8)
        case 1:
            changed[place] = chance.choice((0, 1, 127, 128, 255, chance.randrange(256)))
        case 2:
            changed[place : place + length] = chance.randbytes(min(length, len(changed) - place))
        case 3:
            del changed[place:]
        case 4:
            changed[place:place] = changed[place : place + length]
        case _:
            del changed[place : place + length]
    return bytes(changed)


def shuffled(parts: Sequence[T], chance: random.Random) -> list[T]:
    """``parts`` with one of them left out, doubled, or in another's place."""
    found = list(parts)
    if not found:
        return found
    place = chance.randrange(len(found))
    match chance.randrange(3):
        case 0:
            del found[place]
        case 1:
            found.insert(place, found[place])
        case _:
            found.insert(chance.randrange(len(found)), found.pop(place))
    return found
