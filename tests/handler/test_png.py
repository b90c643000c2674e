"""PNG: palettes, few bits, transparency, interlacing, and what must not be believed."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from handler.decode import decode
from handler.errors import RequestError
from prove.drawn.pictures import GREY, RGB, chunk, png, png_header, png_indexed, png_of, png_rows, ramp

PALETTE = np.array([[0, 0, 0], [255, 0, 0], [0, 200, 0], [9, 8, 7]], np.uint8)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("alphas", [b"", b"\x00\xff\x80"])
def test_palette_becomes_rgb(bits: int, alphas: bytes) -> None:
    indices = np.random.default_rng(bits).integers(0, 4, (19, 21), np.uint8)
    scan = decode(png_indexed(indices, PALETTE, alphas, bits))
    np.testing.assert_array_equal(scan.pixels[0], PALETTE[indices])
    assert [w.code for w in scan.warnings] == (["alpha_dropped"] if alphas else [])


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_few_grey_bits_are_scaled_to_eight(bits: int) -> None:
    top = 2**bits - 1
    levels = np.random.default_rng(bits).integers(0, top, (16, 24), np.uint8, endpoint=True)
    per_byte = 8 // bits
    packed = sum(levels[:, i::per_byte].astype(np.uint16) << (8 - bits * (i + 1)) for i in range(per_byte))
    rows = [row.tobytes() for row in packed.astype(np.uint8)]
    scan = decode(png_of([png_header(24, 16, bits), png_rows(rows), chunk(b"IEND")]))
    np.testing.assert_array_equal(scan.pixels[0, ..., 0], levels * (255 // top))
    assert scan.intensity_range == (0, 255)


@pytest.mark.parametrize(("colour", "channels", "key"), [(GREY, 1, b"\0\x07"), (RGB, 3, b"\0\x01\0\x02\0\x03")])
def test_transparent_colour_does_not_change_pixels(colour: int, channels: int, key: bytes) -> None:
    image = ramp(16, 16, channels)
    rows = [row.tobytes() for row in image]
    data = png_of([png_header(16, 16, 8, colour), chunk(b"tRNS", key), png_rows(rows), chunk(b"IEND")])
    np.testing.assert_array_equal(decode(data).pixels[0], image)


def _passes(image: np.ndarray) -> bytes:
    """The seven passes of Adam7, unfiltered."""
    starts = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
    parts = [image[y::step_y, x::step_x] for y, x, step_y, step_x in starts]
    return b"".join(b"\0" + row.tobytes() for part in parts for row in part if part.size)


@pytest.mark.parametrize(("height", "width"), [(16, 16), (33, 17)])
def test_interlaced(height: int, width: int) -> None:
    image = ramp(height, width, 3)
    header = png_header(width, height, 8, RGB, interlace=1)
    data = png_of([header, chunk(b"IDAT", zlib.compress(_passes(image))), chunk(b"IEND")])
    np.testing.assert_array_equal(decode(data).pixels[0], image)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_what_pillow_writes(mode: str) -> None:
    source = Image.fromarray(ramp(20, 30, 3))
    picture = Image.fromarray(ramp(20, 30, 1, "uint16")[..., 0]) if mode == "I;16" else source.convert(mode)
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    wanted = np.asarray(picture if mode in ("L", "LA", "RGB", "RGBA", "I;16") else picture.convert("RGB"))
    decoded = decode(buffer.getvalue()).pixels[0]
    wanted = wanted.reshape(20, 30, -1)
    np.testing.assert_array_equal(decoded, wanted[..., : decoded.shape[-1]])


def test_pixels_in_many_small_chunks() -> None:
    image = ramp(64, 64, 3)
    packed = zlib.compress(b"".join(b"\0" + row.tobytes() for row in image))
    pieces = [chunk(b"IDAT", packed[i : i + 7]) for i in range(0, len(packed), 7)]
    data = png_of([png_header(64, 64, 8, RGB), *pieces, chunk(b"IEND")])
    np.testing.assert_array_equal(decode(data).pixels[0], image)


def test_texts_and_profiles_are_passed_over() -> None:
    image = ramp(16, 16)
    extra = [
        chunk(b"tEXt", b"Comment\0hello"),
        chunk(b"zTXt", b"Long\0\0" + zlib.compress(bytes(100_000))),
        chunk(b"iCCP", b"broken profile"),
        chunk(b"gAMA", struct.pack(">I", 100)),
        chunk(b"prIv", b"?"),
    ]
    np.testing.assert_array_equal(decode(png(image, extra)).pixels[0], image)


def test_what_follows_the_end_is_ignored() -> None:
    image = ramp()
    np.testing.assert_array_equal(decode(png(image) + b"appended by a careless program").pixels[0], image)


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("animated", png(ramp(), [chunk(b"acTL", struct.pack(">II", 2, 0))]), "unsupported_format"),
        ("signature only", png_of([]), "corrupt_image"),
        ("no header", png_of([chunk(b"IEND")]), "corrupt_image"),
        ("short header", png_of([chunk(b"IHDR", bytes(12)), chunk(b"IEND")]), "corrupt_image"),
        ("no pixels", png_of([png_header(16, 16), chunk(b"IEND")]), "corrupt_image"),
        ("no end", png(ramp())[:-12], "corrupt_image"),
        ("wrong checksum", png(ramp())[:-20] + bytes(4) + png(ramp())[-16:], "corrupt_image"),
        ("too few rows", png_of([png_header(16, 16), png_rows([bytes(16)] * 9), chunk(b"IEND")]), "corrupt_image"),
        ("unknown critical chunk", png(ramp(), [chunk(b"CRIT")]), "corrupt_image"),
        (
            "palette without entries",
            png_of([png_header(16, 16, 8, 3), png_rows([bytes(16)] * 16), chunk(b"IEND")]),
            "corrupt_image",
        ),
        ("3 bits", png_of([png_header(16, 16, 3), png_rows([bytes(6)] * 16), chunk(b"IEND")]), "corrupt_image"),
        (
            "colour type 5",
            png_of([png_header(16, 16, 8, 5), png_rows([bytes(16)] * 16), chunk(b"IEND")]),
            "corrupt_image",
        ),
    ],
)
def test_refused(name: str, data: bytes, code: str) -> None:
    with pytest.raises(RequestError) as refusal:
        decode(data)
    assert refusal.value.code == code, name
