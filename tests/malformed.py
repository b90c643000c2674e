"""Hundreds of broken, foreign and hostile files, the same ones every time, none of them large.

What reads scans must answer each with a refusal of the contract, or with 200 where the damage did no harm (a flipped
bit in a pixel). Used on the core and through a running server."""

from __future__ import annotations

import gzip
import io
import random
import struct
import zipfile
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from prove.drawn.pictures import (
    INDEXED,
    RGB,
    TiffPage,
    chunk,
    first_ifd,
    jpeg,
    jpeg_claiming,
    jpeg_segment,
    png,
    png_header,
    png_of,
    png_rows,
    ramp,
    tiff,
    tiff_of,
)
from prove.drawn.whole import whole_pictures

Named = Iterator[tuple[str, bytes]]
FLIPS_PER_FILE = 15


# --- where to cut ----------------------------------------------------------------------------------------------------


def png_cuts(data: bytes) -> Iterator[int]:
    """Before, within and after the length, type, data and checksum of every chunk."""
    position = 8
    yield from (1, 4, 8)
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        yield from (position + 2, position + 4, position + 8, position + 8 + length // 2, position + 8 + length)
        position += 12 + length
        yield position
    yield len(data) - 2


def jpeg_cuts(data: bytes) -> Iterator[int]:
    """Before and within every segment up to the first scan, and some places among its coded pixels."""
    position = 2
    yield from (1, 2, 3)
    while data[position + 1] != 0xDA:
        length = struct.unpack_from(">H", data, position + 2)[0]
        yield from (position + 1, position + 3, position + 2 + length // 2, position + 2 + length)
        position += 2 + length
    yield from (position + share * (len(data) - position) // 8 for share in range(8))
    yield len(data) - 1


def tiff_cuts(data: bytes) -> Iterator[int]:
    """In the header, around the first directory and each of its tags, and through the pixels."""
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    ifd = struct.unpack_from(f"{order}Q" if big else f"{order}I", data, 8 if big else 4)[0]
    tags = struct.unpack_from(f"{order}Q" if big else f"{order}H", data, ifd)[0]
    begin, step = (ifd + 8, 20) if big else (ifd + 2, 12)
    yield from (1, 2, 4, 6, 8, ifd, ifd + 1, begin)
    yield from (begin + tag * step + part for tag in range(tags) for part in (step // 2, step))
    yield from (share * len(data) // 8 for share in range(1, 8))
    yield len(data) - 1


CUTS = {"png": png_cuts, "jpeg": jpeg_cuts, "tiff": tiff_cuts}


def truncated() -> Named:
    for name, data in whole_pictures().items():
        places = sorted({place for place in CUTS[name.split("-")[0]](data) if 0 < place < len(data)})
        yield from ((f"{name}/cut at {place}", data[:place]) for place in places)


def flipped() -> Named:
    """Single flipped bits, half of them in the first 200 bytes, where the headers are; and runs of rubbish."""
    for name, data in whole_pictures().items():
        generator = random.Random(name)
        for number in range(FLIPS_PER_FILE):
            place = generator.randrange(min(len(data), 200) if number % 2 else len(data))
            damaged = bytearray(data)
            damaged[place] ^= 1 << generator.randrange(8)
            yield f"{name}/bit flipped at {place} ({number})", bytes(damaged)
        middle = len(data) // 2
        yield f"{name}/rubbish in the middle", data[:middle] + generator.randbytes(40) + data[middle + 40 :]
        yield f"{name}/zeros in the middle", data[:middle] + bytes(40) + data[middle + 40 :]
        yield f"{name}/rubbish after the magic", data[:8] + generator.randbytes(len(data) - 8)
        yield f"{name}/wrong magic", b"\0\1\2\3" + data[4:]
        yield f"{name}/twice", data + data


# --- other files -----------------------------------------------------------------------------------------------------


def _saved(kind: str, mode: str = "RGB", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.new(mode, (32, 32)).save(buffer, kind, **options)
    return buffer.getvalue()


def _animation(kind: str) -> bytes:
    frames = [Image.fromarray(ramp(32, 32)[..., 0] >> shift) for shift in (0, 1)]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def _zipped(data: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("scan.png"), data)
    return buffer.getvalue()


def foreign() -> Named:
    picture = whole_pictures()["png-grey"]
    yield "one byte", b"\x89"
    yield "zeros", bytes(5000)
    yield "noise", random.Random(0).randbytes(5000)
    yield "text", "Schöne Grüße, a text.\n".encode() * 20
    yield "json", b'{"image": "none"}'
    yield "html", b"<!doctype html><html><body>404</body></html>"
    yield "svg", b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>'
    yield "base64 of a png", b"iVBORw0KGgoAAAANSUhEUgAAACgAAAAgCAAAAABz"
    yield "zip", _zipped(picture)
    yield "gzip", gzip.compress(picture, mtime=0)
    yield "pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj<</Type/Catalog>>endobj\n%%EOF"
    yield "dicom", bytes(128) + b"DICM" + bytes(200)
    yield "nifti", struct.pack("<i", 348) + bytes(340) + b"n+1\0"
    yield "numpy", b"\x93NUMPY\x01\0v\0" + bytes(200)
    yield "pickle", b"\x80\x04\x95\x0b\0\0\0\0\0\0\0\x8c\x02os\x94."
    yield "gif", _saved("GIF")
    yield "animated gif", _animation("GIF")
    yield "animated png", _animation("PNG")
    yield "bmp", _saved("BMP")
    yield "webp", _saved("WEBP")
    yield "jpeg 2000", _saved("JPEG2000")
    yield "ico", _saved("ICO")
    yield "cmyk jpeg", _saved("JPEG", "CMYK")
    yield "jpeg after a newline", b"\n" + whole_pictures()["jpeg-rgb"]
    yield "png in a tiff's clothes", b"II*\0" + picture
    yield "jpeg in a png's clothes", picture[:8] + whole_pictures()["jpeg-rgb"]


def odd_shapes() -> Named:
    for width, height in ((1, 1), (15, 40), (40, 15), (0, 0), (0, 40), (4097, 16), (2**31, 16), (2**32 - 1, 2**32 - 1)):
        yield f"png {width} x {height}", png_of([png_header(width, height), png_rows([b""]), chunk(b"IEND")])
        yield f"tiff {width} x {height}", tiff_of(TiffPage(width, height))
        if width < 2**16:
            yield f"jpeg {width} x {height}", jpeg_claiming(width, height)
    yield "tiff of 5 channels", tiff(ramp(32, 32, 5), planarconfig="contig")
    yield "tiff of 300 channels", tiff_of(TiffPage(samples=300))
    yield "tiff of unequal pages", tiff([ramp(32, 32)[..., 0], ramp(32, 33)[..., 0]])
    yield "tiff of complex numbers", tiff(np.zeros((32, 32), np.complex64))
    yield "tiff of 64-bit integers", tiff(np.zeros((32, 32), np.int64))
    for value in (np.nan, np.inf, -np.inf):
        yield f"tiff with a {value}", tiff(np.full((32, 32), value, np.float32))
    yield "tiff of huge doubles", tiff(np.full((32, 32), 1e300))


# --- traps -----------------------------------------------------------------------------------------------------------


def traps() -> Named:
    """Small files that claim, hide or repeat a lot. The ones that need a large file are in ``tests/handler``."""
    loop = tiff_of(TiffPage(), TiffPage())
    large = jpeg_claiming(60_000, 60_000)
    bomb = zlib.compress(bytes(20_000_000), 9)
    yield "png that claims 60,000 x 60,000", png_of([png_header(60_000, 60_000), png_rows([b""]), chunk(b"IEND")])
    yield "jpeg that claims 60,000 x 60,000", large
    yield "tiff that claims 60,000 x 60,000", tiff_of(TiffPage(60_000, 60_000))
    yield "tiff whose pages go in a circle", tiff_of(TiffPage(), TiffPage(), following=first_ifd(loop))
    yield "tiff whose page is the header", tiff_of(TiffPage(), following=4)
    yield "tiff whose next page is beyond the end", tiff_of(TiffPage(), following=10**9)
    yield "tiff of 201 pages", tiff_of(*[TiffPage() for _ in range(201)])
    yield "tiff without a page", b"II*\0" + bytes(8)
    yield "tiff without tags", b"II*\0\x08\0\0\0" + bytes(6)
    yield "tiff of 65535 tags", b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65535 + 4)
    yield "tiff with a deflate bomb", tiff_of(TiffPage(strip=bomb, compression=8))
    yield "tiff with a large jpeg in a small page", tiff_of(TiffPage(strip=large, compression=7))
    yield (
        "tiff with a jpeg hidden behind fill bytes",
        tiff_of(TiffPage(strip=large.replace(b"\xff\xc0", b"\xff\xff\xc0"), compression=7)),
    )
    yield "tiff of 1-pixel tiles", tiff_of(TiffPage(4096, 4096, tile_width=1, tile_height=1))
    yield "tiff of tiles without a size", tiff_of(TiffPage(64, 64, tile_width=0, tile_height=0))
    yield "tiff of huge tiles", tiff_of(TiffPage(64, 64, tile_width=2**31, tile_height=2**31))
    yield "tiff without rows in a strip", tiff_of(TiffPage(rows=0))
    yield "tiff of 0 bits", tiff_of(TiffPage(bits=0))
    yield "tiff of 65535 bits", tiff_of(TiffPage(bits=65535))
    yield "tiff with a palette but no colours", tiff_of(TiffPage(photometric=3))
    yield "png with a pixel bomb", png_of([png_header(16, 16), chunk(b"IDAT", bomb), chunk(b"IEND")])
    yield "png with a text bomb", png(ramp(), [chunk(b"zTXt", b"a\0\0" + bomb)] * 5)
    yield "png with a profile bomb", png(ramp(), [chunk(b"iCCP", b"a\0\0" + bomb)])
    yield "png with a chunk of 4 GB", png_of([png_header(16, 16), b"\xff\xff\xff\xffIDAT"])
    yield "png with 1000 headers", png_of([*[png_header(16, 16)] * 1000, chunk(b"IEND")])
    yield (
        "png with colours beyond the palette",
        png_of(
            [png_header(16, 16, 8, INDEXED), chunk(b"PLTE", bytes(3)), png_rows([b"\xff" * 16] * 16), chunk(b"IEND")]
        ),
    )
    yield "png of 3 bits", png_of([png_header(16, 16, 3), png_rows([bytes(16)] * 16), chunk(b"IEND")])
    yield "png of 16-bit colours cut short", png_of([png_header(64, 64, 16, RGB), png_rows([b""]), chunk(b"IEND")])
    data = jpeg(ramp(32, 32), progressive=True)
    scan = data[data.rindex(b"\xff\xda") : -2]
    yield "jpeg of 500 scans", data[:-2] + 500 * scan + b"\xff\xd9"
    yield "jpeg whose exif is rubbish", data[:2] + jpeg_segment(0xE1, b"Exif\0\0II*\0" + b"\xff" * 60) + data[2:]
    yield "jpeg without tables", bytes(b for b in data[:2]) + data[data.index(b"\xff\xc2") :]


def malformed_inputs() -> list[tuple[str, bytes]]:
    """(name, file), names unique and stable."""
    return [*truncated(), *flipped(), *foreign(), *odd_shapes(), *traps()]
