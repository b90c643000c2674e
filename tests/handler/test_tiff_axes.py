"""Channels become channels and slices slices, whoever wrote the TIFF; previews and masks beside them are no slices."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from handler.decode import decode
from handler.errors import RequestError
from handler.formats.tiff_axes import read_axes
from handler.scan import Scan
from prove.drawn.pictures import TiffPage, ramp, tiff, tiff_of

STACK = ramp(4 * 3 * 16, 20, 1, "uint16").reshape(4, 3, 16, 20)  # Z, C, Y, X
DESCRIPTION = 270


def written(pixels: np.ndarray, kind: str, axes: str, **options: Any) -> bytes:
    """``pixels`` as tifffile writes them for ``kind`` (imagej, ome, shaped)."""
    buffer = io.BytesIO()
    choices = {"photometric": "minisblack", **options}
    tifffile.imwrite(buffer, pixels, metadata={"axes": axes}, **({} if kind == "shaped" else {kind: True}), **choices)
    return buffer.getvalue()


def described(description: str, pages: int, **options: Any) -> bytes:
    """``pages`` grey pages of different levels, the first with ``description``."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        for number in range(pages):
            writer.write(
                np.full((16, 16), number, np.uint8),
                description=description if number == 0 else None,
                metadata=None,
                contiguous=False,
                photometric="minisblack",
                **options,
            )
    return buffer.getvalue()


def levels(scan: Scan) -> list[list[int]]:
    """Of :func:`described`: the pages that each slice's channels came from."""
    return scan.pixels[:, 0, 0].tolist()


def refused(data: bytes) -> str:
    with pytest.raises(RequestError) as refusal:
        decode(data)
    assert refusal.value.code == "unsupported_shape"
    return refusal.value.detail


def imagej(**lengths: int) -> str:
    return "ImageJ=1.54f\n" + "".join(f"{name}={length}\n" for name, length in lengths.items()) + "hyperstack=true\n"


def ome(pixels: str, inside: str = "<TiffData/>") -> str:
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" Type="uint8" SizeX="16" SizeY="16" {pixels}>{inside}</Pixels>'
        "</Image></OME>"
    )


class TestChannelAxis:
    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    def test_channels_become_channels_and_slices_slices(self, kind: str) -> None:
        scan = decode(written(STACK, kind, "ZCYX"))
        np.testing.assert_array_equal(scan.pixels, STACK.transpose(0, 2, 3, 1))
        assert scan.warnings == ()

    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    def test_one_slice_of_three_channels(self, kind: str) -> None:
        scan = decode(written(STACK[0], kind, "CYX"))
        np.testing.assert_array_equal(scan.pixels, STACK[:1].transpose(0, 2, 3, 1))

    @pytest.mark.parametrize("kind", ["ome", "shaped"])
    def test_slices_that_run_faster_than_channels(self, kind: str) -> None:
        scan = decode(written(np.ascontiguousarray(STACK.swapaxes(0, 1)), kind, "CZYX"))
        np.testing.assert_array_equal(scan.pixels, STACK.transpose(0, 2, 3, 1))

    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    def test_a_stack_of_grey_slices_stays_one(self, kind: str) -> None:
        scan = decode(written(STACK[:3, 0], kind, "ZYX"))
        np.testing.assert_array_equal(scan.pixels[..., 0], STACK[:3, 0])
        assert [warning.code for warning in scan.warnings] == ["grey_input"]

    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    def test_rgb_pages_have_their_channels_within(self, kind: str) -> None:
        pixels = ramp(4 * 16, 20, 3).reshape(4, 16, 20, 3)
        scan = decode(written(pixels, kind, "ZYXS", photometric="rgb"))
        np.testing.assert_array_equal(scan.pixels, pixels)

    def test_planes_of_one_page_are_its_channels(self) -> None:
        data = written(STACK[0], "shaped", "CYX", photometric="rgb", planarconfig="separate")
        np.testing.assert_array_equal(decode(data).pixels[0], STACK[0].transpose(1, 2, 0))

    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    def test_a_fourth_channel_is_dropped_and_told(self, kind: str) -> None:
        pixels = ramp(2 * 4 * 16, 20, 1).reshape(2, 4, 16, 20)
        scan = decode(written(pixels, kind, "ZCYX"))
        np.testing.assert_array_equal(scan.pixels, pixels[:, :3].transpose(0, 2, 3, 1))
        assert [warning.code for warning in scan.warnings] == ["alpha_dropped"]

    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    @pytest.mark.parametrize("channels", [2, 5, 6])
    def test_other_numbers_of_channels_are_refused_by_name(self, kind: str, channels: int) -> None:
        pixels = ramp(2 * channels * 16, 20, 1).reshape(2, channels, 16, 20)
        detail = refused(written(pixels, kind, "ZCYX"))
        assert f"C={channels}" in detail
        assert "Z=2" in detail

    @pytest.mark.parametrize("kind", ["imagej", "ome", "shaped"])
    @pytest.mark.parametrize("axes", ["TYX", "TZYX", "TZCYX"])
    def test_times_are_refused_by_name(self, kind: str, axes: str) -> None:
        lengths = {"T": 2, "Z": 4, "C": 3, "Y": 16, "X": 20}
        pixels = np.zeros([lengths[axis] for axis in axes], np.uint8)
        assert "T=2" in refused(written(pixels, kind, axes))

    @given(slices=st.integers(1, 4), channels=st.sampled_from([1, 3]), fastest=st.sampled_from(["XYCZT", "XYZCT"]))
    def test_any_order_that_ome_names(self, slices: int, channels: int, fastest: str) -> None:
        sizes = f'SizeC="{channels}" SizeZ="{slices}" SizeT="1" DimensionOrder="{fastest}"'
        scan = decode(described(ome(sizes), slices * channels))
        step = (channels, 1) if fastest == "XYCZT" else (1, slices)
        expected = [[z * step[0] + c * step[1] for c in range(channels)] for z in range(slices)]
        assert levels(scan) == expected

    def test_planes_that_ome_lists_one_by_one(self) -> None:
        sizes = 'SizeC="3" SizeZ="2" SizeT="1" DimensionOrder="XYCZT"'
        blocks = "".join(
            f'<TiffData IFD="{5 - number}" FirstC="{number % 3}" FirstZ="{number // 3}" FirstT="0" PlaneCount="1"/>'
            for number in range(6)
        )
        assert levels(decode(described(ome(sizes, blocks), 6))) == [[5, 4, 3], [2, 1, 0]]


class TestWordsThatDoNotFit:
    @pytest.mark.parametrize(
        ("description", "pages"),
        [
            (imagej(images=30, slices=30), 1),
            (imagej(images=6, channels=3, slices=10), 6),
            (imagej(images=6, channels=3, slices=2), 5),
            (ome('SizeC="3" SizeZ="3" SizeT="1"'), 8),
            (ome('SizeC="1" SizeZ="2" SizeT="1"', '<TiffData IFD="0"/><TiffData IFD="0" FirstZ="1"/>'), 2),
            (ome('SizeC="1" SizeZ="2" SizeT="1"', '<TiffData IFD="7"/><TiffData IFD="1" FirstZ="1"/>'), 2),
            (
                ome(
                    'SizeC="1" SizeZ="2" SizeT="1"',
                    '<TiffData><UUID FileName="a"/></TiffData><TiffData><UUID FileName="b"/></TiffData>',
                ),
                2,
            ),
            (ome('SizeC="1" SizeZ="1" SizeT="1"').replace("</Image>", '</Image><Image><Pixels SizeC="1"/></Image>'), 2),
            (ome('SizeC="4000" SizeZ="4000" SizeT="1"'), 2),
        ],
    )
    def test_are_refused(self, description: str, pages: int) -> None:
        refused(described(description, pages))

    @pytest.mark.parametrize(
        "description",
        [
            "ImageJ=1.54f\nimages=two\n",
            "ImageJ=1.54f\nchannels=-3\n",
            ome('SizeC="3"'),
            ome('SizeC="3" SizeZ="2" SizeT="1"')[:-20],
            ome('SizeC="1" SizeZ="2" SizeT="1"', '<TiffData FirstZ="9"/>'),
            ome('SizeC="1" SizeZ="2" SizeT="1"').replace("<OME ", '<!DOCTYPE OME [<!ENTITY a "b">]><OME '),
            json.dumps({"shape": [2, "x"], "axes": "CZ"}),
        ],
    )
    def test_that_cannot_be_read_are_not_passed_over(self, description: str) -> None:
        with pytest.raises(RequestError) as refusal:
            decode(described(description, 2))
        assert refusal.value.code == "corrupt_image"

    @pytest.mark.parametrize("description", ["", "a head", '{"shape": [3, 16, 16]}', "<?xml version='1.0'?><svg/>"])
    def test_other_texts_say_nothing_of_axes(self, description: str) -> None:
        assert read_axes(description) is None

    @given(st.text(max_size=60), st.sampled_from(["ImageJ=1\n", "<OME>", '{"shape": ', '{"shape": [3], "axes": "Z']))
    def test_no_text_gives_anything_but_axes_or_a_refusal(self, text: str, begin: str) -> None:
        try:
            axes = read_axes(begin + text)
        except RequestError as refusal:
            assert refusal.code in ("corrupt_image", "unsupported_shape")  # noqa: PT017 - any of them will do
        else:
            assert axes is None or min(axes.sizes.values(), default=1) >= 1


class TestUnclearChannels:
    @pytest.mark.parametrize(("pages", "expected"), [(3, True), (30, True), (1, False), (2, False), (4, False)])
    def test_grey_pages_in_thirds_are_told(self, pages: int, expected: bool) -> None:
        scan = decode(tiff_of(*[TiffPage()] * pages))
        assert scan.slices == pages
        assert ("channels_unclear" in [warning.code for warning in scan.warnings]) is expected

    def test_rgb_pages_are_clear(self) -> None:
        assert decode(tiff(list(ramp(3 * 16, 16, 3).reshape(3, 16, 16, 3)), photometric="rgb")).warnings == ()


class TestPagesThatAreNoSlices:
    PAGE = TiffPage(16, 16, bytes([7]) * 256)

    @pytest.mark.parametrize("kind", [1, 4, 5, 3])
    @pytest.mark.parametrize("first", [True, False])
    def test_reduced_pictures_and_masks_are_left_out(self, kind: int, first: bool) -> None:
        preview = TiffPage(8, 8, bytes(64))  # below the smallest side that a slice may have
        preview.extra.append((254, 4, (kind,)))
        pages = [preview, self.PAGE] if first else [self.PAGE, preview, self.PAGE, preview]
        scan = decode(tiff_of(*pages))
        np.testing.assert_array_equal(scan.pixels, np.full((1 if first else 2, 16, 16, 1), 7))

    def test_a_page_of_several_is_a_slice(self) -> None:
        page = TiffPage()
        page.extra.append((254, 4, (2,)))
        assert decode(tiff_of(page, page)).slices == 2

    def test_a_preview_beside_each_of_200_slices(self) -> None:
        preview = TiffPage(8, 8, bytes(64))
        preview.extra.append((254, 3, (1,)))
        assert decode(tiff_of(*[self.PAGE, preview] * 200)).slices == 200

    def test_nothing_but_previews(self) -> None:
        preview = TiffPage()
        preview.extra.append((254, 4, (1,)))
        with pytest.raises(RequestError, match="reduced") as refusal:
            decode(tiff_of(preview))
        assert refusal.value.code == "corrupt_image"

    def test_what_tifffile_calls_a_reduced_picture(self) -> None:
        buffer = io.BytesIO()
        with tifffile.TiffWriter(buffer) as writer:
            writer.write(STACK[0, 0], photometric="minisblack", metadata=None)
            writer.write(STACK[0, 0, ::2, ::2], photometric="minisblack", subfiletype=1, metadata=None)
        np.testing.assert_array_equal(decode(buffer.getvalue()).pixels[0, ..., 0], STACK[0, 0])
