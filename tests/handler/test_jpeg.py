"""JPEG: the pixels Pillow's libjpeg gives, upright; frame headers read before anything is decoded."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from handler.decode import decode
from handler.errors import RequestError
from handler.formats.jpeg import frame_size
from prove.drawn.pictures import jpeg, jpeg_segment, ramp
from samples.phantom import draw


def smooth(height: int, width: int, channels: int) -> np.ndarray:
    """(h, w, c) that JPEG keeps nearly exactly, different at every corner."""
    y, x = np.mgrid[:height, :width]
    plane = 20 + 200 * (2 * y / height + x / width) / 3
    return np.stack([plane * (1 - 0.2 * c) for c in range(channels)], axis=-1).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
@given(height=st.integers(16, 48), width=st.integers(16, 48), orientation=st.none() | st.integers(1, 8))
def test_any_size_and_orientation(channels: int, height: int, width: int, orientation: int | None) -> None:
    data = jpeg(smooth(height, width, channels), orientation)
    with Image.open(io.BytesIO(data)) as picture:
        expected = np.asarray(ImageOps.exif_transpose(picture)).reshape(-1, channels)
    scan = decode(data)
    np.testing.assert_array_equal(scan.pixels.reshape(-1, channels), expected)
    turned = orientation is not None and orientation > 4
    assert (scan.height, scan.width) == ((width, height) if turned else (height, width))
    assert (scan.format, scan.intensity_range, scan.pixels.dtype) == ("jpeg", (0, 255), np.uint8)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"optimize": True}, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("channels", [1, 3])
def test_close_to_what_was_saved(options: dict[str, object], channels: int) -> None:
    image = draw(3, 0.08).image[..., :channels]
    scan = decode(jpeg(image, **options))
    assert np.abs(scan.pixels[0].astype(int) - image).max() <= 6
    assert [w.code for w in scan.warnings] == (["grey_input"] if channels == 1 else [])


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 4096), (4096, 16), (2000, 1000)])
def test_sizes(height: int, width: int) -> None:
    scan = decode(jpeg(smooth(height, width, 1)))
    assert scan.pixels.shape == (1, height, width, 1)


def test_cmyk_is_refused_with_a_hint() -> None:
    buffer = io.BytesIO()
    Image.new("CMYK", (32, 32), (10, 20, 30, 40)).save(buffer, "JPEG")
    with pytest.raises(RequestError, match="CMYK") as refusal:
        decode(buffer.getvalue())
    assert refusal.value.code == "unsupported_shape"


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_cut_off(share: float) -> None:
    data = jpeg(ramp(64, 64, 3))
    with pytest.raises(RequestError) as refusal:
        decode(data[: int(share * len(data))])
    assert refusal.value.code == "corrupt_image"


class TestFrameSize:
    """The frame header as read before decoding: never fooled into another answer than the decoder's."""

    @given(height=st.integers(1, 60), width=st.integers(1, 60), progressive=st.booleans())
    def test_is_what_was_saved(self, height: int, width: int, progressive: bool) -> None:
        assert frame_size(jpeg(smooth(height, width, 3), progressive=progressive)) == (width, height)

    def test_fill_bytes_are_skipped(self) -> None:
        data = jpeg(ramp(24, 40))
        at = data.index(b"\xff\xc0")
        filled = data[:at] + b"\xff\xff\xff" + data[at:]
        assert frame_size(filled) == (40, 24)
        np.testing.assert_array_equal(decode(filled).pixels, decode(data).pixels)

    def test_a_picture_inside_a_segment_does_not_count(self) -> None:
        data = jpeg(ramp(24, 40))
        thumbnail = jpeg_segment(0xE1, b"Exif\0\0" + jpeg(ramp(16, 16)))
        assert frame_size(data[:2] + thumbnail + data[2:]) == (40, 24)

    @pytest.mark.parametrize("marker", [0xC3, 0xC5, 0xC9, 0xCF])
    def test_other_kinds_of_frames_are_none(self, marker: int) -> None:
        assert frame_size(jpeg(ramp()).replace(b"\xff\xc0", bytes((0xFF, marker)))) is None

    def test_two_frames_are_none(self) -> None:
        data = jpeg(ramp())
        second = jpeg_segment(0xC0, struct.pack(">BHHB", 8, 9, 9, 1) + b"\1\x11\0")
        at = data.index(b"\xff\xda")
        assert frame_size(data[:at] + second + data[at:]) is None

    @pytest.mark.parametrize("end", [0, 2, 4, 20, 160])
    def test_cut_off_is_none(self, end: int) -> None:
        assert frame_size(jpeg(ramp())[:end]) is None
