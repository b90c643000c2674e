"""The page directories of a TIFF, walked over before a library reads them: what they claim must fit in the file.

tifffile reads the values of many tags as soon as it meets a page, as tuples of Python numbers. A 4 MB file whose 199
pages all point to one array of a million strip offsets would take 3 GB that way."""

from __future__ import annotations

import struct

import tifffile

from handler.errors import RequestError
from handler.limits import Limits

VALUE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
TEXT_KINDS = (1, 2, 6, 7)  # kept as bytes, not as numbers
MOST_TAGS = 4096  # a page of tifffile may not have more either
NEW_SUBFILE_TYPE, SHORT, LONG = 254, 3, 4
REDUCED, MASK = 1, 4  # bits of NewSubfileType, TIFF 6.0
MOST_LEFT_OUT = 4  # times as many pages as a stack may have: previews and masks beside each
SHARED_BYTES = 16 * 2**20  # pages may share a colour profile or a text; nothing honest shares more


def _layout(data: bytes) -> tuple[str, str, str, int, int]:
    """struct formats of (tag count, tag, next offset), the bytes a tag holds itself, and the first page's offset."""
    order = "<" if data[:2] == b"II" else ">"
    if 43 in data[2:4]:
        return f"{order}Q", f"{order}HHQ8s", f"{order}Q", 8, struct.unpack_from(f"{order}Q", data, 8)[0]
    return f"{order}H", f"{order}HHI4s", f"{order}I", 4, struct.unpack_from(f"{order}I", data, 4)[0]


def left_out(subfile_type: int) -> bool:
    """Whether a page is no slice by its NewSubfileType: a reduced picture of another page, or a mask for one."""
    return bool(subfile_type & (REDUCED | MASK))


def check_ifds(data: bytes, limits: Limits) -> None:
    """Raises ``too_large`` for too many pages, strips or tiles; ``corrupt_image`` for pages in a circle or tags that
    hold more than the file, or a page beyond the end, which the reader would pass over as if there were none."""
    order = "<" if data[:2] == b"II" else ">"
    count_format, tag_format, next_format, inline, position = _layout(data)
    tag_bytes = struct.calcsize(tag_format)
    seen: set[int] = set()
    value_bytes = numbers = slices = 0
    while position:
        if position in seen:
            raise RequestError("corrupt_image", f"Page {len(seen)} of the TIFF is one of the pages before it.")
        seen.add(position)
        limits.check_pages(-(-len(seen) // MOST_LEFT_OUT))
        try:
            (tags,) = struct.unpack_from(count_format, data, position)
            begin = position + struct.calcsize(count_format)
            end = begin + tags * tag_bytes
            (position,) = struct.unpack_from(next_format, data, end)
        except struct.error:
            raise RequestError(
                "corrupt_image", f"Page {len(seen) - 1} of the TIFF lies beyond its end: it was cut off. Send it whole."
            ) from None
        if tags > MOST_TAGS:
            raise RequestError("corrupt_image", f"A page of the TIFF claims {tags} tags.")
        subfile_type = 0
        for code, kind, count, value in struct.iter_unpack(tag_format, data[begin:end]):
            size = count * VALUE_BYTES.get(kind, 0)
            value_bytes += size if size > inline else 0
            if code == NEW_SUBFILE_TYPE and kind in (SHORT, LONG):
                (subfile_type,) = struct.unpack_from(f"{order}{'H' if kind == SHORT else 'I'}", value)
            numbers += count if code in tifffile.TIFF.TAG_LOAD and kind not in TEXT_KINDS else 0
        slices += not left_out(subfile_type)
        limits.check_pages(slices)
        if numbers > 4 * limits.segments:
            raise RequestError(
                "too_large", f"The TIFF has more than {limits.segments} strips or tiles. Use larger ones."
            )
        if value_bytes > len(data) + SHARED_BYTES:
            raise RequestError("corrupt_image", "The tags of the TIFF claim more bytes than the file has.")
