"""Files of a few MB that would cost a careless reader gigabytes or minutes: too large for ``tests/malformed.py``."""

from __future__ import annotations

import struct
import zlib

import imagecodecs

from prove.drawn.pictures import (
    LONG,
    TiffPage,
    chunk,
    first_ifd,
    jpeg,
    jpeg_claiming,
    png,
    png_header,
    png_of,
    png_rows,
    ramp,
    tiff_of,
)

STRIP_OFFSETS, STRIP_COUNTS, TILE_OFFSETS, TILE_COUNTS, DESCRIPTION = 273, 279, 324, 325, 270
ASCII = 2


def deflated(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join([*(packer.compress(bytes(2**20)) for _ in range(megabytes)), packer.flush()])


def shared(pages: int, codes: tuple[int, ...], kind: int, count: int, value: bytes, **tags: int) -> bytes:
    """``pages`` pages whose tags ``codes`` all point to the same ``count`` values."""
    page = TiffPage(**tags)
    if DESCRIPTION in codes:
        page.extra.append((DESCRIPTION, LONG, (0,)))
    data = bytearray(tiff_of(*[page] * pages))
    end = len(data)
    for code in codes:
        pattern, place = struct.pack("<HHI", code, LONG, 1), 0
        while (place := data.find(pattern, place, end)) >= 0:
            struct.pack_into("<HHII", data, place, code, kind, count, end)
            place += 12
    return bytes(data) + value


def overlapping_strips(half: int) -> bytes:
    """4096 strips, every one of them the second half of the file: a row, deflated, and nothing behind it."""
    rows = {"width": 4096, "height": 4096, "rows": 1, "compression": 8}
    value = struct.pack("<I", half) * 4096 + bytes(2 * half)
    data = bytearray(shared(1, (STRIP_OFFSETS, STRIP_COUNTS), LONG, 4096, value, **rows))
    row = zlib.compress(bytes(4096))
    data[half : half + len(row)] = row
    return bytes(data)


def big_tiff_of_endless_values() -> bytes:
    """A BigTIFF whose offsets number 2**60."""
    tags = [(256, 4, 1, 16), (257, 4, 1, 16), (STRIP_OFFSETS, 16, 2**60, 64), (STRIP_COUNTS, 16, 2**60, 64)]
    entries = b"".join(struct.pack("<HHQQ", *tag) for tag in tags)
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, len(tags)) + entries + bytes(64)


def progressive(scans: int) -> bytes:
    data = jpeg(ramp(64, 64) * 0, progressive=True)
    claims = data.replace(struct.pack(">HH", 64, 64), struct.pack(">HH", 4096, 4096), 1)
    scan = data[data.rindex(b"\xff\xda") : -2]
    return claims[:-2] + scans * scan + b"\xff\xd9"


def traps() -> dict[str, tuple[bytes, str]]:
    """name -> (file, the code it must get)."""
    text = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(7_900_000), 9))
    large = jpeg_claiming(60_000, 60_000)
    longs = struct.pack("<I", 8)
    strips = (STRIP_OFFSETS, STRIP_COUNTS)
    many = [TiffPage() for _ in range(5000)]
    return {
        "png claims": (png_of([png_header(60_000, 60_000), png_rows([b""]), chunk(b"IEND")]), "too_large"),
        "jpeg claims": (large, "too_large"),
        "tiff claims": (tiff_of(TiffPage(60_000, 60_000)), "too_large"),
        "tiff claims in all": (tiff_of(*[TiffPage(4096, 4096)] * 7), "too_large"),
        "png pixels": (png_of([png_header(16, 16), chunk(b"IDAT", deflated(300)), chunk(b"IEND")]), "corrupt_image"),
        "png texts": (png(ramp(), [text] * 150), "ok"),
        "png profile": (png(ramp(), [chunk(b"iCCP", b"k\0\0" + deflated(300))]), "ok"),
        "png chunks": (png(ramp(), [chunk(b"IDAT")] * 250_000), "corrupt_image"),
        "tiff deflate": (tiff_of(TiffPage(strip=deflated(300), compression=8)), "corrupt_image"),
        "tiff zstd": (
            tiff_of(TiffPage(strip=bytes(imagecodecs.zstd_encode(bytes(200 * 2**20))), compression=50000)),
            "corrupt_image",
        ),
        "tiff tile": (
            tiff_of(TiffPage(tile_width=4096, tile_height=4096, bits=64, samples=4, format=3, compression=8)),
            "too_large",
        ),
        "tiff jpeg": (tiff_of(TiffPage(strip=large, compression=7)), "corrupt_image"),
        "tiff jpeg filled": (
            tiff_of(TiffPage(strip=large.replace(b"\xff\xc0", b"\xff\xff\xc0") + bytes(60_000), compression=7)),
            "corrupt_image",
        ),
        "tiff circle": (tiff_of(*[TiffPage()] * 2, following=first_ifd(tiff_of(TiffPage()))), "corrupt_image"),
        "tiff pages": (tiff_of(*many), "too_large"),
        "tiff tiny tiles": (tiff_of(TiffPage(4096, 4096, tile_width=1, tile_height=1)), "too_large"),
        "tiff offsets": (shared(199, strips, LONG, 10**6, longs * 10**6), "too_large"),
        "tiff strips": (overlapping_strips(8_000_000), "corrupt_image"),
        "tiff text": (shared(199, (DESCRIPTION,), ASCII, 10**7, b"x" * 10**7), "corrupt_image"),
        "tiff endless": (big_tiff_of_endless_values(), "too_large"),
        "jpeg scans": (progressive(50_000), "too_large"),
    }
