"""TIFF: stacks, packed bits, palettes, white-is-zero, JPEG inside, and pages that do not fit together."""

from __future__ import annotations

import io
import zlib
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handler.decode import decode
from handler.errors import RequestError
from handler.formats.tiff import PLAIN, PlainTiff
from prove.drawn.pictures import TiffPage, jpeg, jpeg_claiming, oriented, ramp, tiff, tiff_of
from samples.phantom import draw
from tests.handler.models import dice


def code_of(data: bytes) -> str:
    with pytest.raises(RequestError) as refusal:
        decode(data)
    return refusal.value.code


def packed_page(levels: np.ndarray, bits: int, **tags: int) -> bytes:
    strip = bytes(imagecodecs.packints_encode(levels.ravel(), bits))
    return tiff_of(TiffPage(levels.shape[1], levels.shape[0], strip, bits=bits, **tags))


class TestStacks:
    @given(
        pages=st.integers(1, 6), dtype=st.sampled_from(["uint8", "uint16", "float32"]), channels=st.sampled_from([1, 3])
    )
    def test_pages_are_slices_in_order(self, pages: int, dtype: str, channels: int) -> None:
        stack = np.stack([ramp(17 + channels, 20 + number, channels, dtype)[:, :20] for number in range(pages)])
        data = tiff(
            list(stack[..., 0] if channels == 1 else stack), photometric="minisblack" if channels == 1 else "rgb"
        )
        scan = decode(data)
        np.testing.assert_array_equal(scan.pixels, stack)
        assert scan.slices == pages

    def test_two_hundred_pages(self) -> None:
        scan = decode(tiff_of(*[TiffPage(strip=bytes([number]) * 256) for number in range(200)]))
        np.testing.assert_array_equal(scan.pixels[:, 3, 5, 0], np.arange(200))

    def test_slices_of_a_big_endian_stack(self) -> None:
        stack = ramp(3 * 16, 20, 1, "uint16").reshape(3, 16, 20)
        np.testing.assert_array_equal(decode(tiff(list(stack), byteorder=">", compression="lzw")).pixels[..., 0], stack)

    @pytest.mark.parametrize(
        ("first", "second"),
        [
            (ramp(16, 16)[..., 0], ramp(16, 17)[..., 0]),
            (ramp(16, 16)[..., 0], ramp(16, 16, 1, "uint16")[..., 0]),
            (ramp(16, 16, 1, "int16")[..., 0], ramp(16, 16, 1, "uint16")[..., 0]),
            (ramp(16, 16)[..., 0], ramp(16, 16, 2)),
        ],
    )
    def test_pages_must_agree(self, first: np.ndarray, second: np.ndarray) -> None:
        assert code_of(tiff([first, second])) == "unsupported_shape"

    def test_orientations_that_change_the_shape_must_agree(self) -> None:
        lying = TiffPage(20, 16, bytes(320))
        lying.extra.append((274, 3, (6,)))
        assert code_of(tiff_of(TiffPage(20, 16, bytes(320)), lying)) == "unsupported_shape"

    def test_every_page_has_its_own_orientation(self) -> None:
        strip = bytes(range(256))
        turned = TiffPage(strip=strip)
        turned.extra.append((274, 3, (3,)))
        scan = decode(tiff_of(TiffPage(strip=strip), turned))
        np.testing.assert_array_equal(scan.pixels[1], scan.pixels[0, ::-1, ::-1])


class TestBits:
    @pytest.mark.parametrize("bits", [1, 2, 4, 6, 10, 12, 14])
    def test_packed_grey_keeps_its_levels(self, bits: int) -> None:
        dtype = np.uint8 if bits <= 8 else np.uint16
        levels = np.random.default_rng(bits).integers(0, 2**bits, (18, 24)).astype(dtype)
        scan = decode(packed_page(levels.astype(bool) if bits == 1 else levels, bits))
        np.testing.assert_array_equal(scan.pixels[0, ..., 0], levels)
        assert scan.intensity_range == (0, 2**bits - 1)

    def test_bits_from_the_low_end(self) -> None:
        levels = np.random.default_rng(0).integers(0, 2, (16, 24), dtype=np.uint8)
        strip = bytes(np.packbits(levels, axis=-1, bitorder="little"))
        page = TiffPage(24, 16, strip, bits=1)
        page.extra.append((266, 3, (2,)))
        np.testing.assert_array_equal(decode(tiff_of(page)).pixels[0, ..., 0], levels)

    def test_twelve_bits_in_sixteen_are_known_by_the_tag(self) -> None:
        levels = (ramp(16, 16, 1, "uint16") >> 4)[..., 0]
        assert decode(tiff(levels)).intensity_range == (0, 65535)
        assert decode(tiff(levels, ((281, "H", 1, 4095, True),))).intensity_range == (0, 4095)

    @pytest.mark.parametrize("dtype", ["complex64", "int64", "uint64"])
    def test_types_without_a_rule(self, dtype: str) -> None:
        assert code_of(tiff(np.zeros((16, 16), dtype))) == "unsupported_format"

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
    def test_floats_must_be_finite(self, dtype: str, value: float) -> None:
        image = np.zeros((16, 16), dtype)
        image[7, 9] = value
        assert code_of(tiff([np.zeros_like(image), image])) == "corrupt_image"


class TestColours:
    @pytest.mark.parametrize(("dtype", "shift"), [("uint8", 0), ("uint8", 4)])
    def test_palette_becomes_8_bit_rgb(self, dtype: str, shift: int) -> None:
        indices = ramp(18, 20, 1, dtype)[..., 0] >> shift
        palette = ramp(3, 256, 1, "uint16")[..., 0]
        scan = decode(tiff(indices, photometric="palette", colormap=palette))
        np.testing.assert_array_equal(scan.pixels[0], (palette[:, indices] >> 8).transpose(1, 2, 0))
        assert scan.intensity_range == (0, 255)
        assert scan.warnings == ()

    def test_palette_image_without_palette(self) -> None:
        assert code_of(tiff_of(TiffPage(photometric=3))) == "corrupt_image"

    def test_palette_that_is_too_short(self) -> None:
        page = TiffPage(photometric=3, strip=bytes([200]) * 256)
        page.extra.append((320, 3, tuple(range(3 * 16))))
        assert code_of(tiff_of(page)) == "corrupt_image"

    @pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
    def test_white_is_zero_is_turned_round(self, dtype: str) -> None:
        image = ramp(16, 18, 1, dtype)[..., 0]
        top = 1.0 if dtype == "float32" else np.iinfo(dtype).max
        scan = decode(tiff(image, photometric="miniswhite"))
        np.testing.assert_allclose(scan.pixels[0, ..., 0], top - image.astype(np.float64), atol=1e-6)

    def test_white_is_zero_in_one_bit(self) -> None:
        levels = np.random.default_rng(0).integers(0, 2, (16, 24), dtype=np.uint8)
        scan = decode(packed_page(levels.astype(bool), 1, photometric=0))
        np.testing.assert_array_equal(scan.pixels[0, ..., 0], 1 - levels)

    def test_white_is_zero_turns_within_the_range_of_the_file(self) -> None:
        image = (ramp(16, 18, 1, "uint16") >> 4)[..., 0]
        image[0, 0] = 5000  # beyond its own range: as black as black is
        scan = decode(tiff(image, ((281, "H", 1, 4095, True),), photometric="miniswhite"))
        expected = 4095 - np.minimum(image, 4095)
        np.testing.assert_array_equal(scan.pixels[0, ..., 0], expected)

    @pytest.mark.parametrize("ends", [(0, 1000), (-3, 255)])
    def test_white_is_zero_ignores_a_range_beyond_its_type(self, ends: tuple[int, int]) -> None:
        image = ramp(16, 18, 1, "uint8")[..., 0]
        tags = ((340, "d", 1, ends[0], True), (341, "d", 1, ends[1], True))
        scan = decode(tiff(image, tags, photometric="miniswhite"))
        np.testing.assert_array_equal(scan.pixels[0, ..., 0], 255 - image)
        assert "range_tags_ignored" in [warning.code for warning in scan.warnings]

    def test_white_is_zero_with_negative_samples(self) -> None:
        image = np.full((16, 16), -5, np.int16)
        assert decode(tiff(image, photometric="miniswhite")).pixels.min() == 32767

    @pytest.mark.parametrize(("photometric", "expected"), [(5, "unsupported_shape"), (8, "unsupported_shape")])
    def test_cmyk_and_lab(self, photometric: int, expected: str) -> None:
        samples = 4 if photometric == 5 else 3
        page = TiffPage(photometric=photometric, samples=samples, strip=bytes(256 * samples))
        assert code_of(tiff_of(page)) == expected

    @pytest.mark.parametrize("channels", [5, 6, 11])
    def test_many_channels(self, channels: int) -> None:
        assert code_of(tiff(ramp(16, 16, channels), planarconfig="contig")) == "unsupported_shape"

    def test_raw_ycbcr_is_not_taken_for_rgb(self) -> None:
        page = TiffPage(photometric=6, samples=3, strip=bytes(768))
        page.extra.append((530, 3, (1, 1)))
        assert code_of(tiff_of(page)) == "unsupported_shape"


class TestJpegInside:
    @pytest.mark.parametrize("options", [{}, {"tile": (128, 128)}, {"rowsperstrip": 64}])
    @pytest.mark.parametrize(("photometric", "stored"), [("minisblack", None), ("rgb", "ycbcr"), ("rgb", "rgb")])
    def test_close_to_what_was_saved(self, options: dict[str, Any], photometric: str, stored: str | None) -> None:
        phantom = draw(3, 0.08)
        source = phantom.image[..., 1:2] if photometric == "minisblack" else phantom.image
        page = source[..., 0] if photometric == "minisblack" else source
        arguments = {"level": 98, **({"outcolorspace": stored} if stored else {})}
        scan = decode(tiff(page, photometric=photometric, compression="jpeg", compressionargs=arguments, **options))
        assert np.abs(scan.pixels[0].astype(int) - source).mean() < 2
        flair = scan.pixels[0, ..., source.shape[-1] // 2]
        assert dice(flair > 140, source[..., source.shape[-1] // 2] > 140) > 0.97

    @pytest.mark.parametrize("mode", ["L", "RGB"])
    def test_what_libtiff_writes(self, mode: str) -> None:
        picture = Image.fromarray(draw(3, 0.08).image).convert(mode)
        buffer = io.BytesIO()
        picture.save(buffer, "TIFF", compression="jpeg", quality=98)
        with Image.open(buffer) as reread:
            expected = np.asarray(reread).reshape(256, 256, -1)
        assert np.abs(decode(buffer.getvalue()).pixels[0].astype(int) - expected).max() <= 2

    def test_a_plain_jpeg_stream_as_strip(self) -> None:
        image = np.tile(np.arange(0, 240, 10, dtype=np.uint8)[:, None, None], (1, 24, 1))
        page = TiffPage(24, 24, jpeg(image), compression=7)
        assert np.abs(decode(tiff_of(page)).pixels[0].astype(int) - image).max() <= 2

    @pytest.mark.parametrize(("width", "height"), [(16, 17), (17, 16), (16, 60_000), (60_000, 16)])
    def test_a_strip_larger_than_its_page(self, width: int, height: int) -> None:
        assert code_of(tiff_of(TiffPage(strip=jpeg_claiming(width, height), compression=7))) == "corrupt_image"

    def test_a_strip_that_is_no_jpeg(self) -> None:
        assert code_of(tiff_of(TiffPage(compression=7))) == "corrupt_image"


@pytest.mark.parametrize("layout", [{"rows": 16}, {"tile_width": 16, "tile_height": 16}, {"planar": 2, "samples": 3}])
@pytest.mark.parametrize("compression", [1, 8])
def test_missing_strips_and_tiles_are_not_read_as_black(layout: dict[str, int], compression: int) -> None:
    strip = zlib.compress(bytes(1024)) if compression == 8 else bytes(1024)
    assert code_of(tiff_of(TiffPage(64, 64, strip, compression=compression, **layout))) == "corrupt_image"


@pytest.mark.parametrize("compression", [2, 3, 4, 6, 34712, 34925, 50001, 34887, 9999])
def test_other_compressions_stay_outside(compression: int) -> None:
    assert code_of(tiff_of(TiffPage(compression=compression))) == "unsupported_format"


@pytest.mark.parametrize(
    ("compression", "name"), [(33003, "JPEG 2000"), (34712, "JPEG 2000"), (50001, "WebP"), (34927, "WebP")]
)
def test_a_known_compression_is_refused_by_name(compression: int, name: str) -> None:
    with pytest.raises(RequestError, match=f"{name}; expected one of .*zstd.* Save") as refusal:
        decode(tiff_of(TiffPage(compression=compression)))
    assert refusal.value.code == "unsupported_format"


class TestZstd:
    @pytest.mark.parametrize("options", [{}, {"tile": (16, 16)}, {"rowsperstrip": 5}, {"predictor": True}])
    @pytest.mark.parametrize(("dtype", "channels"), [("uint8", 3), ("uint16", 1), ("float32", 3)])
    def test_every_sample_comes_back(self, options: dict[str, Any], dtype: str, channels: int) -> None:
        image = ramp(37, 40, channels, dtype)
        page, photometric = (image, "rgb") if channels == 3 else (image[..., 0], "minisblack")
        scan = decode(tiff(page, photometric=photometric, compression="zstd", **options))
        np.testing.assert_array_equal(scan.pixels[0], image)

    @pytest.mark.parametrize("code", [34926, 50000])
    def test_both_codes(self, code: int) -> None:
        strip = bytes(imagecodecs.zstd_encode(bytes(range(256))))
        scan = decode(tiff_of(TiffPage(strip=strip, compression=code)))
        assert scan.pixels.ravel().tolist() == list(range(256))

    @pytest.mark.parametrize("strip", [b"no zstd at all", bytes(imagecodecs.zstd_encode(bytes(255)))])
    def test_a_broken_strip(self, strip: bytes) -> None:
        assert code_of(tiff_of(TiffPage(strip=strip, compression=50000))) == "corrupt_image"


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_of_a_stack(orientation: int) -> None:
    stack = ramp(2 * 16, 20, 1).reshape(2, 16, 20)
    scan = decode(tiff(list(stack), oriented(orientation)))
    corner = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1), 8: (-1, 0)}
    row, column = corner[orientation]  # TIFF 6.0: where the first stored pixel is shown
    np.testing.assert_array_equal(scan.pixels[:, row, column, 0], stack[:, 0, 0])
    assert (scan.height, scan.width) == ((20, 16) if orientation > 4 else (16, 20))


def test_a_microscopes_dialect_is_read_page_by_page() -> None:
    file = io.BytesIO()
    tifffile.imwrite(file, ramp(16, 20, 1).reshape(1, 16, 20), imagej=True)
    with tifffile.TiffFile(io.BytesIO(file.getvalue())) as dialect:
        assert dialect.is_imagej
    with PlainTiff(io.BytesIO(file.getvalue())) as plain:
        assert PLAIN.keys() >= {"is_imagej", "is_ome"}
        assert not any(getattr(plain, flag) for flag in PLAIN)
    assert decode(file.getvalue()).slices == 1
