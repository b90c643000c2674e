"""The PNG writer, read by others' readers: libpng and Pillow."""

from __future__ import annotations

import io
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handler.encode import BAND, png
from samples.phantom import draw

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 40))
EMPTY_BLOCK = b"\0\0\xff\xff"  # how a deflate stream is brought to a whole byte
KINDS = st.sampled_from([("uint8", ()), ("uint8", (3,)), ("uint16", ())])


def noise(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@given(shape=SHAPES, kind=KINDS, seed=st.integers(0, 9))
def test_every_reader_reads_what_was_written(
    shape: tuple[int, int], kind: tuple[str, tuple[int, ...]], seed: int
) -> None:
    image = noise((*shape, *kind[1]), kind[0], seed)
    packed = png(image)
    found = imagecodecs.png_decode(packed)
    assert found.dtype == image.dtype
    np.testing.assert_array_equal(found.reshape(image.shape), image)
    picture = Image.open(io.BytesIO(packed))
    picture.verify()  # the chunks' check sums
    assert picture.mode == {2: "L", 3: "RGB"}[image.ndim] if image.dtype == np.uint8 else picture.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(packed))), image)


@pytest.mark.parametrize("height", [BAND - 1, BAND, BAND + 1, 2 * BAND + 3])
def test_bands_leave_no_seam(height: int) -> None:
    image = noise((height, 5, 3), "uint8")
    np.testing.assert_array_equal(imagecodecs.png_decode(png(image)), image)


def test_views_are_written_as_they_look() -> None:
    image = noise((30, 40, 3), "uint8")
    for view in (image[::-1], image[:, 3:20], image.transpose(1, 0, 2), np.broadcast_to(image[..., :1], image.shape)):
        np.testing.assert_array_equal(imagecodecs.png_decode(png(view)), view)


def test_a_slice_takes_no_more_bytes_than_with_zlib() -> None:
    """The limits' estimates of an answer's size were measured with zlib's fastest level."""
    scan = draw(3, 0.08).image
    assert len(png(scan)) < 1.01 * len(imagecodecs.png_encode(scan, level=1, filter=imagecodecs.PNG.FILTER.UP))
    mask = np.zeros((256, 256), np.uint8)
    mask[60:130, 80:170] = 255
    assert len(png(mask)) < 1024
    assert zlib.crc32(b"IEND").to_bytes(4, "big") == png(mask)[-4:]


def test_the_same_picture_is_the_same_bytes_whatever_the_compressors_address() -> None:
    """ISA-L's output depends on it where it begins a stream by itself: the first bytes end in a block of their own."""
    scan = draw(3, 0.08).image
    packed = png(scan)
    stream = packed[packed.index(b"IDAT") + 4 :]
    begin = stream[: stream.index(EMPTY_BLOCK) + len(EMPTY_BLOCK)]
    assert zlib.decompressobj().decompress(begin) == bytes([2, *scan[0, 0]])
