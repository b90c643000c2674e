"""An archive's bytes, from the first to the last: each belongs to a member, its header or the directory at the end.

There are two ways to read a zip. Python goes by the directory, TorchServe's Java by the headers from the first byte on.
Here both are read and must say the same, so that what was checked is what will be loaded."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from archive.errors import UntrustedError

_HEADER = struct.Struct("<4s5H3I2H")
_ENTRY = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
STORED, DEFLATED = 0, 8
_UTF8 = 0x800  # the one flag that is understood: encryption, sizes after the data and patches are not


@dataclass(frozen=True)
class Member:
    """``packed``: its bytes in the archive; ``crc``, ``size``: of the unpacked ones; ``mode``: Unix, 0 if not given."""

    name: str
    mode: int
    method: int
    crc: int
    size: int
    packed: memoryview

    def unpack(self) -> bytes:
        """Raises :class:`UntrustedError` where the bytes are not what the header says."""
        content = bytes(self.packed) if self.method == STORED else self._inflated()
        if len(content) != self.size or zlib.crc32(content) != self.crc:
            raise UntrustedError(f"its member {self.name} is damaged (checksum)")
        return content

    def _inflated(self) -> bytes:
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            content = inflater.decompress(self.packed, self.size + 1)
        except zlib.error as error:
            raise UntrustedError(f"its member {self.name} is damaged: {error}") from error
        if not inflater.eof or inflater.unused_data or inflater.unconsumed_tail:
            raise UntrustedError(f"its member {self.name} is damaged, or has bytes behind its end")
        return content


def read_members(content: bytes) -> list[Member]:
    """The members in ``content``, not yet unpacked. Raises :class:`UntrustedError` unless they follow each other from
    the first byte, the directory follows the last of them, says the same of each, and ends the file."""
    if not content.startswith(b"PK\x03\x04"):
        raise UntrustedError("it is damaged or no archive: it does not begin with a member")
    start, count = _directory(content)
    members, place, entry = [], 0, start
    for _ in range(count):
        member, place, entry = _member(content, place, entry, start)
        members.append(member)
    if place != start or entry != len(content) - _END.size:
        raise UntrustedError(f"it is damaged: bytes {place} to {start} belong to no member. {_ANEW}")
    return members


_ANEW = "Make it anew with scripts/package."


def _directory(content: bytes) -> tuple[int, int]:
    """Where the directory begins, and how many entries it has."""
    at = len(content) - _END.size
    if at < 0 or content[at : at + 4] != b"PK\x05\x06":
        raise UntrustedError("it is damaged or no archive: it does not end with a zip's directory")
    _, disk, first, here, count, size, start, comment = _END.unpack_from(content, at)
    if disk or first or comment or here != count or start + size != at:
        raise UntrustedError(f"it is damaged: the end of its directory does not fit the file. {_ANEW}")
    return start, count


def _member(content: bytes, place: int, entry: int, end: int) -> tuple[Member, int, int]:
    """The member whose header is at ``place`` and whose directory entry is at ``entry``, and where the next ones are.
    ``end``: where the directory begins."""
    try:
        header = _HEADER.unpack_from(content, place)
        listed = _ENTRY.unpack_from(content, entry)
    except struct.error as error:
        raise UntrustedError(f"it is damaged: it ends inside a header ({error})") from error
    needed, flags, method, _, _, crc, packed, size, name_length, extra = header[1:]
    *_, comment, disk, _, attributes, offset = listed
    if header[0] != b"PK\x03\x04" or listed[0] != b"PK\x01\x02":
        raise UntrustedError(f"it is damaged: no header of a member at byte {place}, or none in its directory")
    begin = place + _HEADER.size
    name, data = content[begin : begin + name_length], begin + name_length
    same = name == content[entry + _ENTRY.size : entry + _ENTRY.size + name_length]
    if not same or listed[2:12] != header[1:] or offset != place or extra or comment or disk:
        raise UntrustedError(f"it is damaged: its member {name!r} at byte {place} is another one in its directory")
    if flags & ~_UTF8 or method not in (STORED, DEFLATED) or needed > 20 or data + packed > end:
        raise UntrustedError(f"its member {name!r} is packed in a way that scripts/package never uses. {_ANEW}")
    try:
        text = name.decode("utf-8" if flags & _UTF8 else "ascii")
    except UnicodeDecodeError as error:
        raise UntrustedError(f"its member {name!r} has a name that cannot be read") from error
    packed_bytes = memoryview(content)[data : data + packed]
    member = Member(text, attributes >> 16, method, crc, size, packed_bytes)
    return member, data + packed, entry + _ENTRY.size + name_length
