"""What every lossless format must do, written once: pixels come out as they went in, upright, alpha dropped."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from handler.decode import decode
from prove.drawn.pictures import chunk, exif, oriented, png, ramp, tiff

SIZES = [(16, 16), (16, 4096), (4096, 16), (17, 33), (255, 16), (240, 256)]


def drawn(height: int, width: int, channels: int, dtype: str, seed: int) -> np.ndarray:
    """(h, w, c): noise, or for some seeds nothing but the smallest and largest values."""
    generator = np.random.default_rng(seed)
    if np.dtype(dtype).kind == "f":
        return generator.normal(0, 100, (height, width, channels)).astype(dtype)
    info = np.iinfo(dtype)
    if seed % 4 == 0:
        return generator.choice(np.array([info.min, info.max], dtype), (height, width, channels))
    return generator.integers(info.min, info.max, (height, width, channels), dtype, endpoint=True)


def colours(image: np.ndarray) -> np.ndarray:
    """What is left of (h, w, c) when a second or fourth channel is alpha, floats as float32."""
    kept = image[..., :1] if image.shape[-1] < 3 else image[..., :3]
    return kept.astype(np.float32) if image.dtype.kind == "f" else kept


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Pillow's opinion, plane by plane, of ``image`` (h, w, c) with an EXIF orientation."""
    planes = []
    for plane in np.moveaxis(image, -1, 0):
        picture = Image.fromarray(plane.astype(np.int32))
        picture.getexif()[274] = orientation
        planes.append(np.asarray(ImageOps.exif_transpose(picture)))
    return np.stack(planes, axis=-1)


class LosslessFormat:
    """Subclasses say how to write an image (h, w, c) and what the format can hold."""

    name: str
    dtypes: ClassVar[tuple[str, ...]] = ("uint8", "uint16")
    channels: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)

    def write(self, image: np.ndarray, orientation: int | None = None) -> bytes:
        raise NotImplementedError

    @given(data=st.data(), height=st.integers(16, 40), width=st.integers(16, 40), seed=st.integers(0, 2**32 - 1))
    def test_any_array_comes_back(self, data: st.DataObject, height: int, width: int, seed: int) -> None:
        dtype = data.draw(st.sampled_from(self.dtypes))
        image = drawn(height, width, data.draw(st.sampled_from(self.channels)), dtype, seed)
        scan = decode(self.write(image))
        assert scan.pixels.dtype == colours(image).dtype
        assert scan.pixels.dtype.isnative
        np.testing.assert_array_equal(scan.pixels, colours(image)[None])
        assert (scan.format, scan.slices, scan.height, scan.width) == (self.name, 1, height, width)

    @given(data=st.data(), orientation=st.integers(1, 8), height=st.integers(16, 30), width=st.integers(16, 30))
    def test_orientation_is_undone(self, data: st.DataObject, orientation: int, height: int, width: int) -> None:
        channels = data.draw(st.sampled_from(self.channels))
        image = drawn(height, width, channels, self.dtypes[0], seed=1)
        scan = decode(self.write(image, orientation))
        np.testing.assert_array_equal(scan.pixels[0], upright(colours(image), orientation))

    @pytest.mark.parametrize("orientation", [0, 9, 65535])
    def test_reserved_orientation_changes_nothing(self, orientation: int) -> None:
        image = drawn(18, 25, self.channels[0], self.dtypes[0], seed=1)
        np.testing.assert_array_equal(decode(self.write(image, orientation)).pixels[0], colours(image))

    @pytest.mark.parametrize(("height", "width"), SIZES)
    def test_sizes(self, height: int, width: int) -> None:
        image = drawn(height, width, self.channels[-1], self.dtypes[-1], seed=3)
        np.testing.assert_array_equal(decode(self.write(image)).pixels[0], colours(image))

    def test_warnings_name_what_was_done_with_the_channels(self) -> None:
        expected = {1: ["grey_input"], 2: ["alpha_dropped", "grey_input"], 3: [], 4: ["alpha_dropped"]}
        for channels in self.channels:
            scan = decode(self.write(drawn(16, 16, channels, self.dtypes[0], seed=1)))
            assert [warning.code for warning in scan.warnings] == expected[channels]


class TestPng(LosslessFormat):
    name = "png"

    def write(self, image: np.ndarray, orientation: int | None = None) -> bytes:
        return png(image, [] if orientation is None else [chunk(b"eXIf", exif(orientation))])


class TestTiff(LosslessFormat):
    name = "tiff"
    dtypes = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64", "float16")
    options: ClassVar[dict[str, object]] = {}

    def write(self, image: np.ndarray, orientation: int | None = None) -> bytes:
        grey = image.shape[-1] < 3
        return tiff(
            image[..., 0] if image.shape[-1] == 1 else image,
            () if orientation is None else oriented(orientation),
            photometric="minisblack" if grey else "rgb",
            planarconfig=None if image.shape[-1] == 1 else "contig",
            extrasamples=["unassalpha"] if image.shape[-1] in (2, 4) else None,
            **self.options,
        )


class TestTiffLzw(TestTiff):
    options: ClassVar[dict[str, object]] = {"compression": "lzw", "predictor": True}
    dtypes = ("uint8", "uint16", "int16", "uint32", "float32", "float64")


class TestTiffDeflate(TestTiff):
    options: ClassVar[dict[str, object]] = {"compression": "zlib", "rowsperstrip": 5}


class TestTiffPackBits(TestTiff):
    options: ClassVar[dict[str, object]] = {"compression": "packbits"}
    dtypes = ("uint8", "uint16", "int16")


class TestTiffTiled(TestTiff):
    options: ClassVar[dict[str, object]] = {"tile": (32, 16), "compression": "zlib", "predictor": True}
    dtypes = ("uint8", "uint16", "float32")


class TestTiffBigEndian(TestTiff):
    options: ClassVar[dict[str, object]] = {"byteorder": ">", "bigtiff": True}


class TestTiffBigEndianPredicted(TestTiff):
    options: ClassVar[dict[str, object]] = {"byteorder": ">", "compression": "lzw", "predictor": True}
    dtypes = ("uint8", "uint16", "float32")


class TestTiffPlanes(TestTiff):
    """Every channel in a plane of its own."""

    dtypes = ("uint8", "uint16", "float32")
    channels = (3, 4)

    def write(self, image: np.ndarray, orientation: int | None = None) -> bytes:
        return tiff(
            image.transpose(2, 0, 1),
            () if orientation is None else oriented(orientation),
            photometric="rgb",
            planarconfig="separate",
            extrasamples=["unassalpha"] if image.shape[-1] == 4 else None,
            compression="zlib",
        )


def test_the_digest_is_that_of_the_file() -> None:
    import hashlib

    data = png(ramp())
    assert decode(data).sha256 == hashlib.sha256(data).hexdigest()
