"""The page in a real browser: what a person drops, sees, slides and saves."""

from __future__ import annotations

import io
import json
from collections.abc import Callable

import imagecodecs
import jsonschema
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from playwright.sync_api import expect

from brainseg_client import Client
from tests.browser.driver import Driver
from tests.browser.scans import long_stack
from web.contract.openapi import document

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]


def pictures(door: str, scan: bytes, index: int = 0) -> dict[str, NDArray[np.uint8]]:
    found = Client(door).segment(scan, outputs=("scan", "mask", "overlay", "heatmap"))
    return {name: imagecodecs.png_decode(data) for name, data in found.slices[index].images.items()}


def test_a_phantom_dropped_on_the_page(open_page: OpenPage, door: str, lesion: bytes) -> None:
    driver = open_page()
    driver.picture("page-start")
    driver.show(lesion)
    server = Client(door).segment(lesion, outputs=())
    assert driver.verdict() == "Tumour detected"
    assert driver.text("#coverage") == f"{server.tumor_coverage_percent:.3f}"
    assert driver.text("#pixels").startswith(f"{server.tumor_pixels:,} of 65,536 pixels")
    assert driver.text("#highest") == f"{100 * server.max_probability:.1f} %"
    assert driver.text("#model-version") == "1.0"
    for name, wanted in pictures(door, lesion).items():
        shown = driver.pixels(name)
        assert np.array_equal(shown, wanted if wanted.ndim == 3 else np.repeat(wanted[..., None], 3, -1)), name
    driver.picture("page-lesion")


def test_a_healthy_phantom_chosen_as_a_file_and_a_sample(open_page: OpenPage, healthy: bytes) -> None:
    driver = open_page()
    driver.page.set_input_files("#file", {"name": "h.png", "mimeType": "image/png", "buffer": healthy})
    expect(driver.page.locator("#verdict")).to_have_text("No tumour detected")
    driver.settle()
    assert not driver.mask().any()
    assert "clear" in (driver.page.get_attribute("#verdict-card", "class") or "")
    driver.picture("page-healthy")
    driver.page.click("text=Head with a lesion")
    expect(driver.page.locator("#verdict")).to_have_text("Tumour detected")


def test_a_stack_by_slider_keys_wheel_and_strip(open_page: OpenPage, door: str, stack: bytes) -> None:
    driver = open_page()
    driver.show(stack, "stack.tiff")
    server = Client(door).segment(stack, outputs=("mask",))
    with_tumour = [one.index + 1 for one in server.slices if one.tumor_pixels]
    assert f"Tumour on {len(with_tumour)} of 8 slices: {with_tumour[0]}–{with_tumour[-1]}" in driver.text(
        "#stack-words"
    )
    most = max(server.slices, key=lambda one: one.tumor_pixels).index
    assert driver.text("#slice-value") == f"{most + 1} of 8"
    driver.picture("page-stack")

    def shows(index: int) -> None:
        expect(driver.page.locator("#slice-value")).to_have_text(f"{index + 1} of 8")
        driver.settle()
        assert np.array_equal(driver.mask(), imagecodecs.png_decode(server.slices[index].images["mask"]) > 0)

    driver.slide("slice", 2)
    shows(2)
    driver.page.focus("#viewer")
    driver.page.keyboard.press("ArrowRight")
    shows(3)
    driver.page.keyboard.press("Home")
    shows(0)
    driver.page.hover("#scan")
    driver.page.mouse.wheel(0, 90)
    shows(2)
    strip = driver.page.locator("#strip")
    width = strip.evaluate("strip => strip.clientWidth")
    strip.click(position={"x": width * 6.5 / 8, "y": 10})
    shows(6)


def test_a_stack_too_large_for_one_answer_comes_in_windows(open_page: OpenPage, door: str) -> None:
    scan = long_stack()
    driver = open_page()
    asked: list[str] = []
    driver.page.on("request", lambda request: asked.append(request.url) if "segment" in request.url else None)
    driver.show(scan, "long.tiff")
    server = Client(door).segment(scan, outputs=())
    assert "outputs=none" in asked[0]
    assert "slices=" in asked[1]
    assert driver.text("#coverage") == f"{server.tumor_coverage_percent:.3f}"
    assert "Tumour on 29 of 34 slices: 6–34" in driver.text("#stack-words")
    before = len(asked)
    driver.slide("slice", 3)
    driver.settle()
    assert len(asked) == before + 1
    assert not driver.mask().any()
    driver.slide("slice", 33)
    driver.settle()
    assert driver.mask().sum() == server.slices[33].tumor_pixels
    assert len(asked) == before + 1


def test_errors_in_plain_words_leave_the_finding_alone(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page(refusals=(415, 422))
    driver.show(lesion)
    driver.drop(bytes(128) + b"DICM" + bytes(50), "a.dcm")
    expect(driver.page.locator("#error")).to_be_visible()
    assert driver.text("#error-title") == "This is no MR scan"
    driver.drop(b"GIF89a" + bytes(50), "a.gif")
    expect(driver.page.locator("#error-title")).to_have_text("This kind of file cannot be read")
    assert "GIF" in driver.text("#error-detail")
    assert driver.verdict() == "Tumour detected"
    driver.picture("page-error", whole=False)
    driver.drop(lesion[:5000])
    expect(driver.page.locator("#error-title")).to_have_text("The file is damaged")
    driver.page.click("#error-close")
    expect(driver.page.locator("#error")).to_be_hidden()
    driver.drop(b"")
    expect(driver.page.locator("#error-title")).to_have_text("The file is empty")


def test_two_versions_side_by_side(open_page: OpenPage, door: str, lesion: bytes) -> None:
    driver = open_page()
    driver.show(lesion)
    driver.page.select_option("#compare", "2.0")
    expect(driver.page.locator("#comparison")).to_be_visible()
    driver.settle()
    masks = [imagecodecs.png_decode(Client(door).mask(lesion, version=v)) > 0 for v in ("1.0", "2.0")]
    dice = 2 * np.count_nonzero(masks[0] & masks[1]) / (masks[0].sum() + masks[1].sum())
    assert f"Dice {dice:.3f}" in driver.text("#comparison-words")
    second = driver.pixels("compare-second").astype(int)
    assert np.array_equal((second != driver.pixels("scan")).any(-1), masks[1])
    orange = driver.pixels("compare-difference")[masks[0] & ~masks[1]].astype(int)
    assert (orange[:, 0] > orange[:, 2] + 60).all()
    driver.picture("page-compare")
    driver.page.select_option("#version", "2.0")
    expect(driver.page.locator("#model-version")).to_have_text("2.0")
    expect(driver.page.locator("#comparison")).to_be_hidden()


def test_downloads_are_what_is_on_show(open_page: OpenPage, door: str, stack: bytes) -> None:
    driver = open_page()
    driver.show(stack, "case 7.tiff")
    driver.slide("threshold", 0.31)
    driver.slide("lesion", 40)
    driver.slide("slice", 3)
    driver.settle()
    server = Client(door).segment(stack, threshold=0.31, min_lesion_pixels=40, outputs=("mask",))
    name, data = driver.download("save-png")
    assert name == "case 7-slice-3-mask.png"
    mask = imagecodecs.png_decode(data)
    assert mask.shape == (256, 256)
    assert np.array_equal(mask, imagecodecs.png_decode(server.slices[3].images["mask"]))
    name, data = driver.download("save-tiff")
    assert name == "case 7-mask.tiff"
    pages = tifffile.imread(io.BytesIO(data))
    assert [int(np.count_nonzero(page)) for page in pages] == [one.tumor_pixels for one in server.slices]
    name, data = driver.download("save-json")
    saved = json.loads(data)
    schema = document() | {"$ref": "#/components/schemas/Segmentation"}
    jsonschema.Draft202012Validator(schema).validate(saved)
    assert (saved["threshold"], saved["min_lesion_pixels"], saved["verdict"]) == (0.31, 40, server.verdict)
    assert [one["tumor_pixels"] for one in saved["slices"]] == [one.tumor_pixels for one in server.slices]
    assert [one["max_probability"] for one in saved["slices"]] == [one.max_probability for one in server.slices]


def test_the_overlay_fades_and_becomes_a_contour(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page()
    driver.show(lesion)
    scan, mask = driver.pixels("scan"), driver.mask()
    driver.slide("opacity", 0)
    assert np.array_equal(driver.pixels("overlay"), scan)
    driver.slide("opacity", 100)
    assert (driver.pixels("overlay")[mask] == (255, 0, 0)).all()
    driver.page.locator("input[value=contour]").check(force=True)
    driver.settle()
    changed = (driver.pixels("overlay") != scan).any(-1)
    inside = mask[1:-1, 1:-1] & mask[:-2, 1:-1] & mask[2:, 1:-1] & mask[1:-1, :-2] & mask[1:-1, 2:]
    assert np.array_equal(changed[1:-1, 1:-1], mask[1:-1, 1:-1] & ~inside)


def test_a_probability_is_read_under_the_pointer(open_page: OpenPage, door: str, lesion: bytes) -> None:
    driver = open_page()
    driver.show(lesion)
    steps = imagecodecs.png_decode(
        Client(door).segment(lesion, outputs=("probability",)).slices[0].images["probability"]
    )
    y, x = np.unravel_index(int(steps.argmax()), steps.shape)
    driver.page.locator("#heatmap").scroll_into_view_if_needed()
    box = driver.page.locator("#heatmap").bounding_box()
    assert box
    driver.page.mouse.move(box["x"] + (x + 0.5) * box["width"] / 256, box["y"] + (y + 0.5) * box["height"] / 256)
    expect(driver.page.locator("#readout")).to_have_text(
        f"x {x}, y {y}: probability {steps[y, x] / 655.35:.2f} %, above the threshold"
    )


def test_a_long_upload_can_be_cancelled(open_page: OpenPage, stack: bytes) -> None:
    driver = open_page()
    session = driver.page.context.new_cdp_session(driver.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 20_000}
    session.send("Network.emulateNetworkConditions", slow)
    driver.drop(stack + bytes(1_000_000), "stack.tiff")
    expect(driver.page.locator("#progress")).to_be_visible()
    driver.page.click("#cancel")
    expect(driver.page.locator("#progress")).to_be_hidden()
    expect(driver.page.locator("#error")).to_be_hidden()
    expect(driver.page.locator("#result")).to_be_hidden()
