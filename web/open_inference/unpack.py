"""A packed body, made plain a piece at a time, so that no more of it is ever held than is allowed."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

from web.contract.fields import MIB, RefusedError
from web.edge.admission import too_large

READ = 2**16  # bytes of the body at a time
WINDOWS = {"gzip": 31, "x-gzip": 31, "deflate": 15}


def unpacked(body: bytes, encoding: str, limit: int, grow: Callable[[int], None]) -> bytes:
    """``body`` without its Content-Encoding (empty or ``identity``: as it is). ``grow`` is told of every piece, in
    bytes, before it is kept, and may raise. Raises ``unsupported_format`` for another encoding, ``too_large`` over
    ``limit`` bytes and ``bad_request`` for what is no whole stream of its kind."""
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    if name not in WINDOWS:
        raise RefusedError(
            "unsupported_format", f"Content-Encoding {name[:40]!r}: expected gzip, deflate or none, one only."
        )
    stream, pieces, size = _Stream(name), [], 0
    try:
        for piece in stream.pieces(body):
            size += len(piece)
            if size > limit:
                raise too_large(limit)
            grow(len(piece))
            pieces.append(piece)
    except zlib.error:
        raise RefusedError("bad_request", f"The body is no {name} stream, as its Content-Encoding says.") from None
    if not stream.whole:
        raise RefusedError("bad_request", f"The {name} stream of the body is cut off, or something follows it.")
    return b"".join(pieces)


class _Stream:
    """``whole``: whether the stream ended with the body."""

    def __init__(self, name: str) -> None:
        self._packed = zlib.decompressobj(WINDOWS[name])
        self.whole = False

    def pieces(self, body: bytes) -> Iterator[bytes]:
        """At most a MiB each."""
        view, read = memoryview(body), 0
        while read < len(view) and not self._packed.eof:
            rest: bytes | memoryview = view[read : read + READ]
            read += len(rest)
            while len(rest) and not self._packed.eof:
                yield self._packed.decompress(rest, MIB)
                rest = self._packed.unconsumed_tail
        self.whole = self._packed.eof and not self._packed.unused_data and read == len(view)
