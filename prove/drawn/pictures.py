"""Pictures: by the usual encoders, and byte by byte where no encoder would write such a thing."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

import imagecodecs
import numpy as np
import tifffile
from PIL import Image

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
ORIENTATION = 274
GREY, GREY_ALPHA, RGB, RGBA, INDEXED = 0, 4, 2, 6, 3  # PNG colour types
SHORT, LONG = 3, 4  # TIFF field types


def ramp(height: int = 24, width: int = 31, channels: int = 1, dtype: str = "uint8") -> np.ndarray:
    """(h, w, c), every pixel different from its neighbours, spread over the whole range of ``dtype``."""
    values = np.random.default_rng(height * width + channels).random((height, width, channels))
    if np.dtype(dtype).kind == "f":
        return values.astype(dtype)
    info = np.iinfo(dtype)
    return (info.min + values * (float(info.max) - info.min)).astype(dtype)


# --- PNG -------------------------------------------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One chunk, its checksum right."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png_header(width: int, height: int, bits: int = 8, colour: int = GREY, interlace: int = 0) -> bytes:
    """IHDR."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlace))


def png_of(chunks: Iterable[bytes]) -> bytes:
    """A file of these chunks."""
    return PNG_SIGNATURE + b"".join(chunks)


def png_rows(rows: Sequence[bytes]) -> bytes:
    """IDAT of unfiltered rows."""
    return chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))


def exif(orientation: int) -> bytes:
    """A TIFF block with nothing but an orientation, as EXIF has it."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, ORIENTATION, SHORT, 1, orientation, 0, 0)


def png(image: np.ndarray, extra: Sequence[bytes] = ()) -> bytes:
    """uint8 or uint16 (h, w, 1..4), ``extra`` chunks before the pixels."""
    height, width, channels = image.shape
    colour = {1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGBA}[channels]
    big_endian = image.astype(image.dtype.newbyteorder(">"))
    return png_of(
        [
            png_header(width, height, image.dtype.itemsize * 8, colour),
            *extra,
            png_rows([row.tobytes() for row in big_endian]),
            chunk(b"IEND"),
        ]
    )


def png_indexed(indices: np.ndarray, palette: np.ndarray, alphas: bytes = b"", bits: int = 8) -> bytes:
    """``indices`` uint8 (h, w) into ``palette`` uint8 (n, 3); ``alphas`` becomes tRNS."""
    height, width = indices.shape
    shifts = 8 // bits
    padded = np.pad(indices, ((0, 0), (0, -width % shifts)))
    packed = sum(padded[:, i::shifts].astype(np.uint16) << (8 - bits * (i + 1)) for i in range(shifts))
    rows = [row.tobytes() for row in np.asarray(packed, np.uint8)]
    transparency = [chunk(b"tRNS", alphas)] if alphas else []
    head = [png_header(width, height, bits, INDEXED), chunk(b"PLTE", palette.tobytes())]
    return png_of([*head, *transparency, png_rows(rows), chunk(b"IEND")])


# --- JPEG ------------------------------------------------------------------------------------------------------------


def jpeg(image: np.ndarray, orientation: int | None = None, **options: Any) -> bytes:
    """uint8 (h, w, 1 or 3) at the best quality, colours not subsampled."""
    picture = Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)
    if orientation is not None:
        tags = Image.Exif()
        tags[ORIENTATION] = orientation
        options["exif"] = tags
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", **{"quality": 100, "subsampling": 0, **options})
    return buffer.getvalue()


def jpeg_segment(marker: int, payload: bytes) -> bytes:
    """One segment, its length right."""
    return bytes((0xFF, marker)) + struct.pack(">H", len(payload) + 2) + payload


def jpeg_claiming(width: int, height: int) -> bytes:
    """A small JPEG whose frame header claims another size."""
    data = jpeg(ramp(16, 16))
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


# --- TIFF ------------------------------------------------------------------------------------------------------------


def tiff(pages: np.ndarray | Sequence[np.ndarray], tags: Sequence[tuple[Any, ...]] = (), **options: Any) -> bytes:
    """Pages (h, w) or (h, w, c) by tifffile; ``tags`` as its ``extratags``; ``byteorder`` and ``bigtiff`` go to the
    file, other ``options`` to the page."""
    file = {name: options.pop(name) for name in ("byteorder", "bigtiff") if name in options}
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, **file) as writer:
        for page in [pages] if isinstance(pages, np.ndarray) else pages:
            choices = {"metadata": None, "contiguous": False, "photometric": "minisblack", **options}
            writer.write(page, extratags=tags, **choices)
    return buffer.getvalue()


def oriented(orientation: int) -> tuple[tuple[Any, ...], ...]:
    """The extra tags of :func:`tiff` that say how a page is turned."""
    return ((ORIENTATION, "H", 1, orientation, True),)


TAG_CODES = {
    "width": 256,
    "height": 257,
    "bits": 258,
    "compression": 259,
    "photometric": 262,
    "samples": 277,
    "rows": 278,
    "planar": 284,
    "tile_width": 322,
    "tile_height": 323,
    "format": 339,
}


class TiffPage:
    """One hand-made page of a little-endian classic TIFF: tags and the data they point to."""

    def __init__(self, width: int = 16, height: int = 16, strip: bytes = bytes(256), **tags: int) -> None:
        self.strip = strip
        self.values = {
            "width": width,
            "height": height,
            "bits": 8,
            "compression": 1,
            "photometric": 1,
            "samples": 1,
            "rows": height,
            **tags,
        }
        self.extra: list[tuple[int, int, Sequence[int]]] = []

    def entries(self, strip_at: int) -> list[tuple[int, int, Sequence[int]]]:
        offsets, counts = (324, 325) if "tile_width" in self.values else (273, 279)
        plain = [(TAG_CODES[name], LONG, (value,)) for name, value in self.values.items()]
        return sorted([*plain, (offsets, LONG, (strip_at,)), (counts, LONG, (len(self.strip),)), *self.extra])


def tiff_of(*pages: TiffPage, following: int | None = None) -> bytes:
    """The pages in a row; ``following``: where the last one says that the next is (None: nowhere)."""
    data = bytearray(b"II*\0" + bytes(4))
    link = 4  # where the offset of the next page is to be written
    for page in pages:
        strip_at = len(data)
        data += page.strip + bytes(len(page.strip) % 2)
        entries = []
        for code, kind, values in page.entries(strip_at):
            packed = struct.pack(f"<{len(values)}{'H' if kind == SHORT else 'I'}", *values)
            if len(packed) > 4:
                at, packed = len(data), packed
                data += packed
                packed = struct.pack("<I", at)
            entries.append(struct.pack("<HHI", code, kind, len(values)) + packed.ljust(4, b"\0"))
        struct.pack_into("<I", data, link, len(data))
        data += struct.pack("<H", len(entries)) + b"".join(entries)
        link = len(data)
        data += bytes(4)
    if following is not None:
        struct.pack_into("<I", data, link, following)
    return bytes(data)


def first_ifd(data: bytes) -> int:
    """Where the first page's tags begin in a little-endian classic TIFF."""
    return struct.unpack_from("<I", data, 4)[0]


def packbits(data: bytes) -> bytes:
    """As a TIFF of compression 32773 has it."""
    return bytes(imagecodecs.packbits_encode(data))
