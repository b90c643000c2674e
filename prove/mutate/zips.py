"""Zip: members, their names, and the headers that tell of them twice."""

from __future__ import annotations

import io
import random
import struct
import warnings
import zipfile

from prove.mutate.damage import Mutator, odd, shuffled, spoil
from prove.mutate.dicom import mutate_dicom

Member = tuple[str, bytes]
_NAMES = (
    "../up.dcm",
    "/root.dcm",
    "a/../../b.dcm",
    "C:\\x.dcm",
    "",
    ".",
    "x" * 300,
    "ä\udcff.dcm",
    "same.dcm",
    "__MACOSX/._x",
)
_LOCAL, _CENTRAL, _END = b"PK\3\4", b"PK\1\2", b"PK\5\6"
# Numbers in a header: what it begins with, format and place of each.
_NUMBERS = (
    (_LOCAL, (("<H", 6), ("<H", 8), ("<I", 14), ("<I", 18), ("<I", 22), ("<H", 26), ("<H", 28))),
    (_CENTRAL, (("<H", 8), ("<H", 10), ("<I", 16), ("<I", 20), ("<I", 24), ("<H", 28), ("<H", 30), ("<I", 42))),
    (_END, (("<H", 4), ("<H", 8), ("<H", 10), ("<I", 12), ("<I", 16), ("<H", 20))),
)


def _members(data: bytes) -> list[Member]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return [(name, archive.read(name)) for name in archive.namelist()]


def _written(members: list[Member], chance: random.Random) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")  # doubled names are wanted
        for name, content in members:
            info = zipfile.ZipInfo(name.encode("utf-8", "replace").decode())
            info.compress_type = chance.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
            archive.writestr(info, content)
    return buffer.getvalue()


def _header(data: bytes, chance: random.Random) -> bytes:
    """One number of one header, so that the two that tell of a member differ, or none is where it should be."""
    mark, numbers = chance.choice(_NUMBERS)
    places: list[int] = []
    place = data.find(mark)
    while place >= 0 and len(places) < 64:
        places.append(place)
        place = data.find(mark, place + 4)
    form, offset = chance.choice(numbers)
    changed = bytearray(data)
    if places:
        struct.pack_into(form, changed, chance.choice(places) + offset, odd(chance, 32 if form == "<I" else 16))
    return bytes(changed)


def mutate_zip(data: bytes, chance: random.Random, member: Mutator = mutate_dicom) -> bytes:
    """``data``: a whole zip; ``member``: what damages one of its files."""
    members = _members(data)
    for _ in range(chance.randrange(1, 3)):
        place = chance.randrange(len(members)) if members else 0
        match chance.randrange(5):
            case 0 | 1 if members:
                name, content = members[place]
                try:
                    members[place] = (name, member(content, chance))
                except (struct.error, IndexError):  # an earlier step has been there
                    members[place] = (name, spoil(content, chance))
            case 2 if members:
                members[place] = (chance.choice(_NAMES), members[place][1])
            case 3:
                members = shuffled(members, chance)
            case _:
                members.insert(place, (chance.choice(_NAMES), chance.randbytes(chance.randrange(200))))
    written = _written(members, chance)
    if chance.random() < 0.3:
        written = _header(written, chance)
    return spoil(written, chance) if chance.random() < 0.1 else written
