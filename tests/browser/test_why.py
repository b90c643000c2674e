"""The button "Why?": a picture of what moves the answer, the words beside it, by mouse and by keyboard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import expect

from archive.store import SAMPLES
from samples.head import draw_head
from samples.make import HEAD
from tests.browser.alone import Alone
from tests.browser.driver import Driver
from tests.browser.faults import faults

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]


def test_a_picture_with_its_words_by_keyboard(open_alone: OpenPage, alone: Alone, lesion: bytes, axe: str) -> None:
    driver = open_alone()
    driver.show(lesion)
    panel, page = driver.page.locator("#why-panel"), driver.page
    expect(panel).to_be_hidden()
    page.focus("#why")
    page.keyboard.press("Enter")
    expect(panel).to_be_visible()
    expect(page.locator("#why-title")).to_be_focused()
    expect(page.locator("#why-title")).to_have_text("What moves the verdict")
    assert "not whether the answer is right" in driver.text("#why-said")
    assert "hangs on what is bright" in driver.text("#why-believed")
    assert "Not a medical device" in driver.text("#why-notice")
    size = page.evaluate("[document.getElementById('why-picture').naturalWidth, document.getElementById('why-picture').naturalHeight]")  # fmt: skip  # noqa: E501
    assert size == [256, 256]
    assert page.get_attribute("#why-picture", "alt")
    assert (alone.asked[-1]["question"], alone.asked[-1]["slice"]) == ("verdict", "0")
    assert not faults(page, axe)

    page.focus("input[name=question][value=verdict]")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#why-title")).to_have_text("What moves the area")
    assert alone.asked[-1]["question"] == "area"


def test_it_goes_with_what_it_is_of(open_alone: OpenPage, alone: Alone, stack: bytes, lesion: bytes) -> None:
    driver = open_alone()
    driver.show(stack, "s.tiff")
    driver.page.click("#why")
    panel = driver.page.locator("#why-panel")
    expect(panel).to_be_visible()
    shown = int(alone.asked[-1]["slice"])
    expect(driver.page.locator("#why-title")).to_have_text(f"What moves the verdict on slice {shown + 1}")
    driver.slide("slice", 0)
    expect(panel).to_be_hidden()
    driver.page.click("#why")
    expect(panel).to_be_visible()
    driver.show(lesion)
    expect(panel).to_be_hidden()


def test_a_refusal_is_said_in_words(open_alone: OpenPage, healthy: bytes) -> None:
    driver = open_alone(refusals=(422,))
    driver.show(healthy)
    driver.page.click("#why")
    expect(driver.page.locator("#why-panel")).to_be_visible()
    driver.page.locator("input[name=question][value=area]").check(force=True)
    expect(driver.page.locator("#error-title")).to_have_text("There is nothing to explain here")
    expect(driver.page.locator("#why-panel")).to_be_hidden()


def test_of_a_volume_it_is_the_slice_under_the_crosshair(open_alone: OpenPage, alone: Alone, axe: str) -> None:
    head, driver = draw_head(), open_alone()
    page, panel = driver.page, driver.page.locator("#volume-why-panel")
    driver.drop((SAMPLES / HEAD).read_bytes(), HEAD)
    expect(page.locator("#volume")).to_have_attribute("data-shown", "1")
    page.focus("#volume-why")
    page.keyboard.press("Enter")
    expect(panel).to_be_visible()
    # At first the crosshair is in the middle of the lesion, between two slices.
    middle = [int(one) for one in np.unique(np.argwhere(head.mask)[:, 0])[1:-1]]
    asked = alone.asked[-1]
    assert (asked["question"], asked["version"]) == ("verdict", "1.0")
    assert int(asked["slice"]) in middle
    slice_ = int(asked["slice"]) + 1
    expect(page.locator("#volume-why-title")).to_have_text(f"What moves the verdict on slice {slice_}")
    expect(page.locator("#volume-why-title")).to_be_focused()
    assert "Not a medical device" in driver.text("#volume-why-notice")
    assert not faults(page, axe)
    page.locator("input[name=volume-question][value=area]").check(force=True)
    expect(page.locator("#volume-why-title")).to_have_text(f"What moves the area on slice {slice_}")
    page.locator("input[value=coronal]").check(force=True)
    box = page.locator("#planes").bounding_box()
    assert box
    page.locator("#planes").click(position={"x": 0.5 * box["width"], "y": 0.3 * box["height"]})
    expect(panel).to_be_hidden()
