"""Every byte of an archive belongs to a member that was checked, and both ways of reading a zip find the same."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from archive.errors import UntrustedError
from archive.layout import read_members
from archive.mar import pack

MEMBERS = {"card.json": b'{"a": 1}' * 40, "handler/code.py": b"print(1)\n" * 30, "weights.bin": bytes(range(256)) * 4}
GOOD = pack(MEMBERS)
DIRECTORY = GOOD.index(b"PK\x01\x02")
SECOND = GOOD.index(b"PK\x03\x04", 4)


def _end_moved(content: bytes, by: int) -> bytes:
    """``content``, its end record saying that the directory begins ``by`` bytes later."""
    place = len(content) - 6
    start = int.from_bytes(content[place : place + 4], "little") + by
    return content[:place] + start.to_bytes(4, "little") + content[place + 4 :]


def _patched(place: int, value: bytes) -> bytes:
    return GOOD[:place] + value + GOOD[place + len(value) :]


def _streamed() -> bytes:
    class Pipe(io.RawIOBase):
        """Cannot seek: sizes and checksums then come after the data."""

        def __init__(self) -> None:
            self.written = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]
            return len(data)  # type: ignore[arg-type]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w") as target:  # type: ignore[arg-type]
        target.writestr("card.json", b"{}")
    return bytes(pipe.written)


def test_the_members_are_those_that_were_packed() -> None:
    assert {member.name: member.unpack() for member in read_members(GOOD)} == MEMBERS


STRANGE: dict[str, Callable[[], bytes]] = {
    "bytes before the first member": lambda: b"\0" * 8 + GOOD,
    "bytes between the members and the directory": lambda: _end_moved(
        GOOD[:DIRECTORY] + b"\0" * 8 + GOOD[DIRECTORY:], 8
    ),
    "bytes behind the end": lambda: GOOD + b"\0",
    "a comment": lambda: GOOD[:-2] + b"\x01\0x",
    "a header with another name": lambda: _patched(SECOND + 30, b"H"),
    "a header with another size": lambda: _patched(SECOND + 22, b"\x01"),
    "a header with another checksum": lambda: _patched(SECOND + 14, b"\0\0\0\0"),
    "a directory that says less": lambda: _patched(len(GOOD) - 14, b"\x02\0\x02\0"),
    "a directory that says more": lambda: _patched(len(GOOD) - 14, b"\x04\0\x04\0"),
    "a directory that points elsewhere": lambda: _patched(DIRECTORY + 42, b"\x01"),
    "sizes after the data": _streamed,
    "nothing": lambda: b"",
}


@pytest.mark.parametrize("name", STRANGE)
def test_bytes_that_no_checked_member_owns_are_refused(name: str) -> None:
    content = STRANGE[name]()
    assert content != GOOD
    with pytest.raises(UntrustedError, match=r"damaged|never uses"):
        read_members(content)


def test_packed_bytes_behind_a_members_end_are_refused() -> None:
    """Stored by hand: a member whose deflated data ends before the size that its header gives."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        info = zipfile.ZipInfo("a")
        info.compress_type = zipfile.ZIP_DEFLATED
        target.writestr(info, b"a" * 100)
    content = bytearray(buffer.getvalue())
    entry = content.index(b"PK\x01\x02")
    size = int.from_bytes(content[18:22], "little")
    for place in (18, entry + 20):
        content[place : place + 4] = (size + 2).to_bytes(4, "little")
    content[31 + size : 31 + size] = b"\0\0"
    moved = _end_moved(bytes(content), 2)
    with pytest.raises(UntrustedError, match="behind its end"):
        [member.unpack() for member in read_members(moved)]


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
def test_a_changed_byte_changes_nothing_or_is_refused(place: int, change: int) -> None:
    """Only what says when, by which program and with which rights a member was made may differ."""
    damaged = bytearray(GOOD)
    damaged[place] ^= change
    try:
        found = {member.name: member.unpack() for member in read_members(bytes(damaged))}
    except UntrustedError:
        return
    assert found == MEMBERS
