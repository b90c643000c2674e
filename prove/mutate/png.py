"""PNG: chunks, their checksums right again, so that the damage is met by what lies behind the checksum."""

from __future__ import annotations

import random
import struct
import zlib

from prove.drawn.pictures import PNG_SIGNATURE, chunk
from prove.mutate.damage import odd, shuffled, spoil

Chunk = tuple[bytes, bytes]
# Where the numbers of IHDR lie: format and place of each.
_HEADER = ((">I", 0), (">I", 4), ("B", 8), ("B", 9), ("B", 10), ("B", 11), ("B", 12))
_KINDS = (b"PLTE", b"tRNS", b"gAMA", b"iCCP", b"eXIf", b"acTL", b"fcTL", b"IDAT", b"IHDR", b"IEND", b"QuXx")


def chunks_of(data: bytes) -> list[Chunk]:
    """(type, content) of each chunk of a whole PNG."""
    found, place = [], len(PNG_SIGNATURE)
    while place + 8 <= len(data):
        length = struct.unpack_from(">I", data, place)[0]
        found.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + length]))
        place += 12 + length
    return found


def _header(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    form, place = chance.choice(_HEADER)
    struct.pack_into(form, changed, place, odd(chance, 32 if form == ">I" else 8))
    return bytes(changed)


def _content(one: Chunk, chance: random.Random) -> Chunk:
    kind, content = one
    if kind == b"IHDR":
        return kind, _header(content, chance)
    if kind == b"IDAT" and chance.random() < 0.6:  # beyond the compression: filters and samples
        return kind, zlib.compress(spoil(zlib.decompress(content), chance))
    return kind, spoil(content, chance)


def mutate_png(data: bytes, chance: random.Random) -> bytes:
    """``data``: a whole PNG."""
    chunks = chunks_of(data)
    for _ in range(chance.randrange(1, 4)):
        place = chance.randrange(len(chunks)) if chunks else 0
        match chance.randrange(5):
            case 0 | 1 if chunks:
                try:
                    chunks[place] = _content(chunks[place], chance)
                except (zlib.error, struct.error):  # an earlier step has been there
                    chunks[place] = (chunks[place][0], spoil(chunks[place][1], chance))
            case 2:
                chunks = shuffled(chunks, chance)
            case 3:
                chunks.insert(place, (chance.choice(_KINDS), chance.randbytes(chance.randrange(40))))
            case _ if chunks:
                chunks[place] = (chance.choice(_KINDS), chunks[place][1])
    written = [chunk(kind, content) for kind, content in chunks]
    if written and chance.random() < 0.25:  # and sometimes its length or its checksum
        place = chance.randrange(len(written))
        written[place] = spoil(written[place], chance)
    return PNG_SIGNATURE + b"".join(written)
