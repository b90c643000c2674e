"""gzip, read to its very end within a bound: a stream that is cut or whose check sum is wrong is no scan."""

from __future__ import annotations

import zlib

from handler.errors import RequestError
from handler.wanted import ask

CHUNK = 1 << 20


def gunzip(data: bytes, at_most: int) -> bytearray:
    """The bytes inside of all members of a gzip, zeros behind the last one passed over.

    Raises ``too_large`` for more than ``at_most`` bytes, as soon as they are met; ``corrupt_image`` for a stream that
    is cut, broken, or does not have the check sum that its end claims."""
    out = bytearray()
    rest = data
    while rest.strip(b"\0"):
        member = zlib.decompressobj(wbits=31)
        try:
            while not member.eof:
                ask()
                piece = member.decompress(rest, CHUNK)
                rest = member.unconsumed_tail
                out += piece
                if len(out) > at_most:
                    raise RequestError(
                        "too_large", f"The gzip holds more than {at_most} bytes; expected no more. Is it a NIfTI?"
                    )
                if not piece and not rest and not member.eof:
                    raise RequestError(
                        "corrupt_image", "The gzip is cut off before its end. Send the whole file, or pack it again."
                    )
        except zlib.error:
            raise RequestError(
                "corrupt_image",
                "The gzip is damaged: it cannot be unpacked, or its check sum is wrong. Pack the scan again.",
            ) from None
        rest = member.unused_data
    return out
