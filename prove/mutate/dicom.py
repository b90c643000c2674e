"""DICOM: data elements by tag, value representation, length and value. Little-endian, explicit or implicit; a file in
another transfer syntax is damaged as bytes behind its head."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass

from prove.mutate.damage import odd, shuffled, spoil

PREAMBLE = 132
_LONG = (b"OB", b"OD", b"OF", b"OL", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT", b"OV", b"SV", b"UV")
_VRS = (*_LONG, b"AE", b"CS", b"DA", b"DS", b"FD", b"FL", b"IS", b"LO", b"PN", b"SH", b"SL", b"SS", b"UI", b"UL", b"US")
_UNDEFINED = 0xFFFFFFFF
_TEXTS = (b"", b" ", b"0", b"-1", b"1e400", b"nan", b"1\\2\\3\\4\\5\\6", b"\\\\", b"9" * 64, b"\xff\xfe", b"1.2.3")
_IMPLICIT = b"1.2.840.10008.1.2\0"
# Rows, columns, samples, bits, frames, spacing, position, orientation, slope: what readers compute with.
_ASKED = {
    (0x0028, 0x0002), (0x0028, 0x0004), (0x0028, 0x0006), (0x0028, 0x0008), (0x0028, 0x0010), (0x0028, 0x0011),
    (0x0028, 0x0030), (0x0028, 0x0100), (0x0028, 0x0101), (0x0028, 0x0102), (0x0028, 0x0103), (0x0028, 0x1052),
    (0x0028, 0x1053), (0x0020, 0x0032), (0x0020, 0x0037), (0x0020, 0x000E), (0x0008, 0x0016), (0x7FE0, 0x0010),
}  # fmt: skip


@dataclass(frozen=True)
class Element:
    """``vr`` is empty in an implicit transfer syntax; ``length``: as written, for an element that lies about it."""

    tag: tuple[int, int]
    vr: bytes
    value: bytes
    length: int | None = None

    def written(self) -> bytes:
        length = len(self.value) if self.length is None else self.length
        head = struct.pack("<HH", *self.tag)
        if not self.vr:
            return head + struct.pack("<I", length) + self.value
        if self.vr in _LONG:
            return head + self.vr + bytes(2) + struct.pack("<I", length) + self.value
        return head + self.vr + struct.pack("<H", length & 0xFFFF) + self.value


def elements_of(data: bytes, implicit: bool = False) -> list[Element]:
    """The elements of the outermost level; one of undefined length takes all that follows it."""
    found, place = [], 0
    while place + 8 <= len(data):
        tag = struct.unpack_from("<HH", data, place)
        vr = b"" if implicit else data[place + 4 : place + 6]
        if implicit:
            length, begin = struct.unpack_from("<I", data, place + 4)[0], place + 8
        elif vr in _LONG:
            length, begin = struct.unpack_from("<I", data, place + 8)[0], place + 12
        else:
            length, begin = struct.unpack_from("<H", data, place + 6)[0], place + 8
        if length == _UNDEFINED:
            found.append(Element((tag[0], tag[1]), vr, data[begin:], _UNDEFINED))
            break
        found.append(Element((tag[0], tag[1]), vr, data[begin : begin + length]))
        place = begin + length
    return found


def split(data: bytes) -> tuple[bytes, bytes]:
    """Preamble and file meta information, and the data set behind them."""
    length = struct.unpack_from("<I", data, PREAMBLE + 8)[0]  # group length is the first element
    end = PREAMBLE + 12 + length
    return data[:end], data[end:]


def _value(one: Element, chance: random.Random) -> bytes:
    if one.vr in (b"US", b"SS") or (not one.vr and len(one.value) == 2):
        return struct.pack("<H", odd(chance, 16))
    if one.vr in (b"UL", b"SL"):
        return struct.pack("<I", odd(chance, 32))
    if one.vr in (b"FD", b"FL"):
        return struct.pack("<d", chance.choice((0.0, -1.0, 1e308, float("nan"), float("inf"))))[: len(one.value) or 8]
    if one.vr in _LONG or not one.vr:
        return spoil(one.value, chance)
    return chance.choice(_TEXTS) if chance.random() < 0.6 else spoil(one.value, chance)


def _changed(elements: list[Element], chance: random.Random) -> list[Element]:
    asked = [place for place, one in enumerate(elements) if one.tag in _ASKED]
    places = asked if asked and chance.random() < 0.7 else list(range(len(elements)))
    place = chance.choice(places)
    one = elements[place]
    match chance.randrange(6):
        case 0 | 1 | 2:
            elements[place] = Element(one.tag, one.vr, _value(one, chance), one.length)
        case 3:
            elements[place] = Element(one.tag, one.vr, one.value, odd(chance, 32))
        case 4 if one.vr:
            elements[place] = Element(one.tag, chance.choice(_VRS), one.value)
        case _:
            return shuffled(elements, chance)
    return elements


def mutate_dataset(dataset: bytes, chance: random.Random, implicit: bool = False) -> bytes:
    """``dataset``: a data set as in a file or a C-STORE, little-endian."""
    elements = elements_of(dataset, implicit)
    for _ in range(chance.randrange(1, 4)):
        if elements:
            elements = _changed(elements, chance)
    written = b"".join(one.written() for one in elements)
    return spoil(written, chance) if chance.random() < 0.15 else written


def mutate_dicom(data: bytes, chance: random.Random) -> bytes:
    """``data``: a whole DICOM file."""
    head, dataset = split(data)
    if chance.random() < 0.15:
        return spoil(head, chance) + dataset
    if b"1.2.840.10008.1.2.2" in head or b"1.2.840.10008.1.2.1.99" in head:  # big-endian; deflated
        return head + spoil(dataset, chance)
    return head + mutate_dataset(dataset, chance, _IMPLICIT in head)
