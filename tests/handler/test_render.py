"""Pictures, pixel by pixel, and the size of an answer refused before the network runs."""

from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from handler import encode, render
from handler.errors import RequestError
from handler.limits import Limits
from handler.measure import SegmentedSlice, SliceMeasurement
from handler.pipeline import answer
from prove.drawn.pictures import TiffPage, png, ramp, tiff_of
from samples.phantom import draw
from tests.contract import OUTPUTS, check_problem
from tests.handler.models import forbidden


def view(height: int = 24, width: int = 30, seed: int = 0) -> render.View:
    generator = np.random.default_rng(seed)
    steps = generator.integers(0, 65536, (height, width)).astype(np.uint16)
    mask = steps > 40_000
    found = SliceMeasurement(0, int(mask.sum()), mask.size, float(steps.max()) / 65535)
    scan = generator.integers(0, 256, (height, width, 3)).astype(np.uint8)
    return render.View(scan, SegmentedSlice(steps, mask, found))


def drawn(output: str, of: render.View) -> Image.Image:
    picture = Image.open(io.BytesIO(render.OUTPUTS[output].encode(of)))
    assert picture.format == "PNG"
    return picture


SIZES = {"height": st.integers(16, 40), "width": st.integers(16, 40), "seed": st.integers(0, 99)}


@given(**SIZES)
def test_mask_is_one_channel_0_or_255(height: int, width: int, seed: int) -> None:
    of = view(height, width, seed)
    picture = drawn("mask", of)
    assert picture.mode == "L"
    np.testing.assert_array_equal(np.asarray(picture), np.where(of.segmented.mask, 255, 0))


@given(**SIZES)
def test_overlay_is_red_exactly_where_the_mask_is(height: int, width: int, seed: int) -> None:
    of = view(height, width, seed)
    overlay, mask = np.asarray(drawn("overlay", of)), of.segmented.mask
    np.testing.assert_array_equal(overlay[~mask], of.scan[~mask])
    half = of.scan[mask].astype(int)
    np.testing.assert_array_equal(
        overlay[mask], np.stack([(half[:, 0] + 255) // 2, half[:, 1] // 2, half[:, 2] // 2], -1)
    )


def test_a_grey_scan_shows_red_everywhere_in_the_mask() -> None:
    of = view()
    grey = np.repeat(of.scan[..., :1], 3, axis=-1)
    overlay = np.asarray(drawn("overlay", render.View(grey, of.segmented))).astype(int)
    reddish = overlay[..., 0] - overlay[..., 1:].max(axis=-1) > 100
    np.testing.assert_array_equal(reddish, of.segmented.mask)


def test_drawing_leaves_the_scan_as_it_was() -> None:
    of = view()
    before = of.scan.copy()
    for name, output in render.OUTPUTS.items():
        if name != render.BY_LABEL:
            output.encode(of)
    np.testing.assert_array_equal(of.scan, before)


@given(**SIZES)
def test_panel_is_scan_mask_and_overlay_side_by_side(height: int, width: int, seed: int) -> None:
    of = view(height, width, seed)
    panel = np.asarray(drawn("panel", of))
    assert panel.shape == (height, 3 * width, 3)
    for place, output in enumerate(("scan", "mask", "overlay")):
        expected = np.asarray(drawn(output, of).convert("RGB"))
        np.testing.assert_array_equal(panel[:, place * width : (place + 1) * width], expected)


def test_scan_is_the_scan() -> None:
    of = view()
    np.testing.assert_array_equal(np.asarray(drawn("scan", of)), of.scan)


def test_heatmap_gets_brighter_with_probability() -> None:
    steps = np.arange(65536, dtype=np.uint16).reshape(256, 256)
    nothing = SegmentedSlice(steps, np.zeros((256, 256), bool), SliceMeasurement(0, 0, 65536, 1.0))
    heatmap = np.asarray(drawn("heatmap", render.View(np.zeros((256, 256, 3), np.uint8), nothing))).astype(float)
    brightness = heatmap.reshape(-1, 3) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(brightness) >= 0).all()
    assert brightness[0] < 5
    assert brightness[-1] > 230
    assert len(np.unique(heatmap.reshape(-1, 3), axis=0)) > 200


@given(**SIZES)
def test_probability_is_exact_in_16_bits(height: int, width: int, seed: int) -> None:
    of = view(height, width, seed)
    picture = drawn("probability", of)
    assert picture.mode == "I;16"
    np.testing.assert_array_equal(np.asarray(picture), of.segmented.steps)


@given(st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20))
def test_unit_values_become_the_nearest_level(values: list[float]) -> None:
    unit = np.array(values, np.float32)
    np.testing.assert_allclose(render.to_uint8(unit[None, :, None], (0, 1))[0, :, 1], unit * 255, atol=0.5001)
    assert render.to_uint8(np.array([[[0], [1]]], np.float32), (0, 1)).tolist() == [[3 * [0], 3 * [255]]]


@pytest.mark.parametrize("pages", [1, 2, 7])
def test_masks_as_tiff(pages: int) -> None:
    masks = [np.where(view(20, 33, seed).segmented.mask, 255, 0).astype(np.uint8) for seed in range(pages)]
    with tifffile.TiffFile(io.BytesIO(render.tiff(masks))) as tif:
        assert len(tif.pages) == pages
        np.testing.assert_array_equal(np.stack([page.asarray() for page in tif.pages]), np.stack(masks))


@pytest.mark.parametrize("height", [255, 256, 257, 600])
def test_bands_of_rows_leave_no_seam(height: int) -> None:
    page = ramp(height, 20, 1, "uint16")
    expected = np.rint(page / 65535 * 255).repeat(3, axis=-1)
    drawn = render.to_uint8(page, (0, 65535))
    assert np.abs(drawn - expected).max() <= 1  # float32 rounds a half either way
    mask = ramp(height, 20)[..., 0] > 100
    segmented = SegmentedSlice(np.zeros((height, 20), np.uint16), mask, SliceMeasurement(0, 1, 2, 0.5))
    view = render.View(drawn, segmented)
    red = (drawn.astype(int) + np.array([255, 0, 0])) // 2
    np.testing.assert_array_equal(render.draw_overlay(view), np.where(mask[..., None], red, drawn))
    np.testing.assert_array_equal(render.draw_panel(view)[:, 40:], render.draw_overlay(view))


def test_outputs_are_those_of_the_contract() -> None:
    assert set(render.OUTPUTS) == set(OUTPUTS)


class TestAnswerSize:
    LIMITS = Limits(answer_bytes=200_000)

    def test_what_fits_passes(self) -> None:
        assert render.check_answer_size(256 * 256, 1, ("mask", "overlay"), Limits()) is None
        assert render.check_answer_size(4096 * 4096, 1, (), Limits()) is None

    @pytest.mark.parametrize(("pixels", "slices"), [(4096 * 4096, 6), (512 * 512, 200)])
    def test_what_does_not_fit_is_refused(self, pixels: int, slices: int) -> None:
        with pytest.raises(RequestError, match="fewer outputs") as refusal:
            render.check_answer_size(pixels, slices, ("panel",), Limits())
        assert refusal.value.code == "response_too_large"

    @pytest.mark.parametrize("size", [64, 256, 700, 1500])
    def test_phantoms_take_no_more_than_estimated_and_not_far_less(self, size: int) -> None:
        phantom = np.asarray(Image.fromarray(draw(3, 0.08).image).resize((size, size), Image.Resampling.BICUBIC))
        taken = int(len(encode.png(phantom)) * render.BASE64)
        assert render.check_answer_size(size**2, 1, ("scan",), Limits(answer_bytes=3 * taken)) is None
        with pytest.raises(RequestError):
            render.check_answer_size(size**2, 1, ("scan",), Limits(answer_bytes=taken))

    @given(slices=st.integers(1, 200), more=st.integers(1, 50))
    def test_more_slices_never_fit_where_fewer_did_not(self, slices: int, more: int) -> None:
        def fits(count: int) -> bool:
            try:
                render.check_answer_size(256 * 256, count, ("overlay",), Limits(answer_bytes=2_000_000))
            except RequestError:
                return False
            return True

        assert fits(slices) or not fits(slices + more)

    def test_the_network_does_not_run_for_an_answer_that_is_too_large(self) -> None:
        headers = {"X-BrainSeg-Outputs": "scan,panel,heatmap"}
        reply = answer(forbidden(self.LIMITS), {"body": png(ramp(256, 256, 3))}, headers).answer
        check_problem(reply.status, reply.content_type, reply.body, "response_too_large")

    def test_fewer_slices_make_it_fit_again(self) -> None:
        stack = tiff_of(*[TiffPage(64, 64, bytes(4096)) for _ in range(60)])
        for slices, fits in (("0-59", False), ("3-4", True)):
            headers = {"X-BrainSeg-Outputs": "panel", "X-BrainSeg-Slices": slices}
            outcome = answer(forbidden(self.LIMITS), {"body": stack}, headers)
            # An engine that must not be called answers with an error of ours: so far, only what fits may get.
            assert outcome.code == ("internal_error" if fits else "response_too_large")
