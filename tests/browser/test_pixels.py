"""The page redraws the server's mask from the probability map, pixel for pixel."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from brainseg_client import Client
from handler.render import HEAT
from tests.browser.driver import Driver
from tests.browser.scans import speckled

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]
SETTINGS = [(0.5, 0), (0.5, 6), (0.01, 0), (0.99, 0), (0.37, 25), (0.42, 1), (0.63, 2), (0.5, 100), (0.29, 300)]


def test_the_mask_is_the_servers_at_every_setting(open_page: OpenPage, door: str) -> None:
    scan = speckled()
    driver = open_page()
    driver.show(scan)
    sizes = set()
    for threshold, smallest in SETTINGS:
        driver.slide("lesion", smallest)
        driver.page.evaluate("([v]) => { const s = document.getElementById('lesion'); s.step = 1; s.value = v; "
                             "s.dispatchEvent(new Event('input')); }", [smallest])  # fmt: skip
        driver.slide("threshold", threshold)
        driver.settle()
        wanted = imagecodecs.png_decode(Client(door).mask(scan, threshold=threshold, min_lesion_pixels=smallest)) > 0
        assert np.array_equal(driver.mask(), wanted), (threshold, smallest)
        assert driver.text("#pixels").startswith(f"{np.count_nonzero(wanted):,} of")
        sizes.add(int(np.count_nonzero(wanted)))
    assert len(sizes) == len(SETTINGS), "the settings must tell masks apart"


@pytest.mark.parametrize("seed", [1, 2])
def test_masks_from_chance_steps_are_the_handlers(open_page: OpenPage, seed: int) -> None:
    """Coarser noise than a network makes, with thresholds that fall exactly on a step."""
    from handler.measure import STEPS, mask_of

    steps = np.random.default_rng(seed).integers(0, 8, (60, 47)).astype(np.uint16) * 9000
    driver = open_page()
    for threshold in (0.3, 18000 / STEPS, 27000 / STEPS, 0.9):
        for smallest in (0, 2, 3, 9, 40):
            got = driver.call(
                "mask", "Array.from(m.maskOf(Uint16Array.from(a[0]), 47, 60, a[1], a[2]))",
                steps.ravel().tolist(), threshold, smallest,
            )  # fmt: skip
            wanted = mask_of(steps, threshold, smallest)
            assert np.array_equal(np.array(got, bool).reshape(60, 47), wanted), (threshold, smallest)


def decode(driver: Driver, data: bytes) -> np.ndarray:
    found = driver.call(
        "png", "m.decodePng(Uint8Array.from(atob(a[0]), (c) => c.charCodeAt(0))).then((p) => [p.width, p.height, "
        "p.channels, Array.from(p.data)])", base64.b64encode(data).decode(),
    )  # fmt: skip
    return np.array(found[3]).reshape(found[1], found[0], found[2])


def test_pngs_of_all_filters_and_depths_are_read_exactly(open_page: OpenPage) -> None:
    driver = open_page()
    generator = np.random.default_rng(0)
    ramp = np.add.outer(np.arange(40) * 700, np.arange(31) * 900)
    grey16 = ((ramp + generator.integers(0, 99, (40, 31))) % 65536).astype(np.uint16)
    rgb = (np.stack([grey16, grey16 * 3, grey16 * 7], -1) >> 7).astype(np.uint8)
    for image in (grey16, (grey16 >> 8).astype(np.uint8), rgb):
        for level in (0, 1, 9):  # imagecodecs and Pillow choose filters differently
            data = bytes(imagecodecs.png_encode(np.ascontiguousarray(image), level=level))
            assert np.array_equal(decode(driver, data).squeeze(), image)
        if image.dtype == np.uint8:
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "PNG", optimize=True)
            assert np.array_equal(decode(driver, buffer.getvalue()).squeeze(), image)
    for kind in range(5):  # every filter type by itself
        data = filtered(grey16, kind)
        assert np.array_equal(imagecodecs.png_decode(data), grey16)
        assert np.array_equal(decode(driver, data).squeeze(), grey16)


def filtered(image: np.ndarray, kind: int) -> bytes:
    """uint16 (h, w) as a PNG whose rows all have filter ``kind``."""
    import zlib

    from prove.drawn.pictures import chunk, png_header, png_of

    rows = image.astype(">u2").view(np.uint8).reshape(image.shape[0], -1).astype(int)
    left = np.pad(rows, ((0, 0), (2, 0)))[:, :-2]
    up = np.pad(rows, ((1, 0), (0, 0)))[:-1]
    corner = np.pad(up, ((0, 0), (2, 0)))[:, :-2]
    guess = left + up - corner
    distance = np.stack([abs(guess - left), abs(guess - up), abs(guess - corner)])
    paeth = np.choose(distance.argmin(0), [left, up, corner])
    predicted = [0 * rows, left, up, (left + up) // 2, paeth][kind]
    body = b"".join(bytes([kind]) + row.astype(np.uint8).tobytes() for row in (rows - predicted) % 256)
    header = png_header(image.shape[1], image.shape[0], 16)
    return png_of([header, chunk(b"IDAT", zlib.compress(body)), chunk(b"IEND")])


def test_the_heatmaps_colours_are_the_servers(open_page: OpenPage) -> None:
    colours = open_page().call("palette", "Array.from(m.HEAT)")
    assert np.array_equal(np.array(colours).reshape(256, 3), HEAT)
