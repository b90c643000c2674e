"""PNGs of a stack as one TIFF, held against a picture library."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from brainseg_client.records import pictures
from brainseg_client.results import segmentation
from brainseg_client.stacks import SIGNATURE, read_png, tiff_of

FILTERS = imagecodecs.PNG.FILTER
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9)) | st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3))


@given(arrays.arrays(np.uint8, shapes), st.sampled_from([f for f in FILTERS if f.name != "NO"]))
def test_any_filter_is_undone(image: NDArray[np.uint8], used: int) -> None:
    page = read_png(imagecodecs.png_encode(image, filter=used))
    assert (page.height, page.width) == image.shape[:2]
    assert page.pixels == image.tobytes()


@pytest.mark.parametrize("shape", [(3, 7, 5), (2, 4, 6, 3), (1, 1, 1)])
def test_a_library_reads_the_pages_back(shape: tuple[int, ...]) -> None:
    pages = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    data = tiff_of([imagecodecs.png_encode(page) for page in pages])
    assert np.array_equal(tifffile.imread(io.BytesIO(data)).reshape(shape), pages)
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        assert len(file.pages) == shape[0]
        assert {page.compression.name for page in file.pages} == {"ADOBE_DEFLATE"}


def _png(header: tuple[int, ...], rows: bytes) -> bytes:
    parts = ((b"IHDR", struct.pack(">IIBBBBB", *header)), (b"IDAT", zlib.compress(rows)))
    return SIGNATURE + b"".join(struct.pack(">I", len(data)) + kind + data + bytes(4) for kind, data in parts)


@pytest.mark.parametrize(
    ("png", "said"),
    [
        (b"GIF89a", "expected a PNG"),
        (SIGNATURE, "header"),
        (_png((2, 1, 16, 0, 0, 0, 0), bytes(5)), "16 bits"),
        (_png((2, 1, 8, 3, 0, 0, 0), bytes(3)), "colour type 3"),
        (_png((2, 1, 8, 0, 0, 0, 1), bytes(3)), "expected 8-bit"),
        (_png((2, 2, 8, 0, 0, 0, 0), bytes(3)), "ends early"),
        (_png((2, 1, 8, 0, 0, 0, 0), b"\x05ab"), "filter 5"),
        (_png((2, 1, 8, 0, 0, 0, 0), bytes(3))[:-14], "damaged|ends early"),
        (_png((2**31, 2**31, 8, 0, 0, 0, 0), bytes(3)), "more than any scan"),
    ],
    ids=["no PNG", "no header", "16 bits", "palette", "interlaced", "short", "filter", "cut", "large"],
)
def test_what_is_no_such_picture_is_refused(png: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_png(png)


def test_slices_that_were_not_assessed_have_a_black_page() -> None:
    page = imagecodecs.png_encode(np.full((8, 6), 255, np.uint8))
    numbers = {"tumor_pixels": 1, "tumor_coverage_percent": 1.0, "max_probability": 0.9}
    nothing = dict.fromkeys(numbers)
    refused = {"accepted": False, "score": 0.1, "reasons": ["other_plane"]}
    raw = {
        "model": {"name": "brainseg", "version": "2.1", "digest": "", "architecture": ""},
        "input": {"format": "tiff", "width": 6, "height": 8, "slices": 2, "sha256": ""},
        **{"threshold": 0.5, "min_lesion_pixels": 0, "verdict": "tumor_detected", "total_pixels": 96},
        **{"warnings": [], "timing_ms": {}, "trust": {"accepted": True, "reasons": [], "gate": "on"}},
        **numbers,
        "slices": [
            {"index": 0, **nothing, "trust": refused, "images": {}},
            {"index": 1, **numbers, "images": {"mask": base64.b64encode(page).decode()}},
        ],
    }
    found = segmentation(raw)
    assert [one.assessed for one in found.slices] == [False, True]
    assert (found.slices[0].trust.reasons, found.trust.gate) == (("other_plane",), "on")
    written = pictures(found)["mask"]
    assert [int(one.max()) for one in tifffile.imread(io.BytesIO(written))] == [0, 255]
    assert (found.labels, found.regions, found.slices[1].labels) == (None, None, None)
    label = {"value": 1, "name": "oedema", "pixels": 1, "volume_ml": None, "max_probability": 0.9}
    slices = [{**one, "labels": [{"value": 1, "pixels": 1}], "regions": []} for one in raw["slices"]]
    several = segmentation({**raw, "labels": [label], "regions": [], "slices": slices})
    assert (several.labels, several.regions) == ((label,), ())
    assert several.slices[0].labels == ({"value": 1, "pixels": 1},)
    whole = segmentation({**raw, **nothing, "verdict": "not_assessed", "slices": raw["slices"][:1]})
    assert (whole.assessed, whole.tumor_detected, pictures(whole)) == (False, False, {})
