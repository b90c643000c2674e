"""The page on paper, enlarged, in the light theme, under a finger."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from tests.browser.alone import Alone
from tests.browser.driver import Driver
from tests.browser.faults import faults
from tests.browser.test_volume import Answers, bundle, head, nifti, shown

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]
NOTICE = "Research use only. Not a medical device."
VISIBLE = "(id) => { const e = document.querySelector(id); return Boolean(e && e.getClientRects().length); }"
COVERED = """(id) => {
  const box = document.querySelector(id).getBoundingClientRect();
  const there = document.elementFromPoint(box.left + 5, box.top + box.height / 2);
  return box.top < 0 || box.bottom > innerHeight || !document.querySelector(id).contains(there);
}"""
SMALL = """() => [...document.querySelectorAll("button, select, input, label.button, footer a, .choice label")]
  .filter((one) => one.getClientRects().length && !one.matches(".visually-hidden, .choice input"))
  .map((one) => [one.id || one.className || one.textContent, one.getBoundingClientRect()])
  .filter(([, box]) => box.width < 24 || box.height < 24)
  .map(([name, box]) => `${name}: ${box.width} x ${box.height}`)"""


def test_paper_has_name_date_version_verdict_and_pictures(open_alone: OpenPage, lesion: bytes) -> None:
    driver = open_alone()
    driver.show(lesion, "anna.png")
    driver.drop_all({"bert.png": lesion, "carl.png": lesion})
    expect(driver.page.locator("#list-words")).to_contain_text("3 of 3")
    driver.settle()
    driver.page.emulate_media(media="print")
    driver.page.set_viewport_size({"width": 720, "height": 1000})
    text = driver.page.inner_text("body")
    for wanted in (driver.text("#name"), "Tumour detected", "Model 1.0", "1,449 of 65,536 pixels", "Answered", NOTICE):
        assert wanted in text, wanted
    assert NOTICE in driver.text("#verdict-card")
    for gone in ("#drop", "#list", "#threshold", "#save-png", "#version", "#clear"):
        assert not driver.page.evaluate(VISIBLE, gone), gone
    assert driver.page.evaluate("getComputedStyle(document.querySelector('.top')).position") == "static"
    scan, mask = (driver.page.locator(f"#{name}").bounding_box() for name in ("scan", "mask"))
    assert scan
    assert mask
    assert scan["y"] == mask["y"]
    assert mask["x"] > scan["x"] + scan["width"]
    driver.picture("page-print")
    paper = driver.page.pdf(format="A4")
    assert paper.startswith(b"%PDF")
    assert paper.count(b"/Type /Page\n") <= 2


def test_a_stack_on_paper_says_which_slice(open_alone: OpenPage, stack: bytes) -> None:
    driver = open_alone()
    driver.show(stack, "s.tiff")
    driver.slide("slice", 2)
    expect(driver.page.locator("#slice-value")).to_have_text("3 of 8")
    driver.page.emulate_media(media="print")
    text = driver.page.inner_text("main")
    assert "3 of 8" in text
    assert "Tumour on 6 of 8 slices" in text
    expect(driver.page.locator("#slice")).to_be_hidden()


def test_a_volume_on_paper_keeps_its_planes(open_alone: OpenPage) -> None:
    driver = open_alone()
    Answers(driver.page, bundle())
    driver.drop(nifti(head()), "v.nii.gz")
    shown(driver)
    # In a browser's order: where the event came after the page was laid out for paper, the planes could be gone before.
    driver.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    driver.page.emulate_media(media="print")
    plain, marked = (
        np.asarray(Image.open(io.BytesIO(driver.page.locator(f"#paper-{name}").screenshot())).convert("RGB")).astype(
            int
        )
        for name in ("scan", "mask")
    )
    assert plain.std() > 5
    assert np.count_nonzero(marked[..., 0] - marked[..., 1] > 25) > 50
    assert np.count_nonzero(plain[..., 0] - plain[..., 1] > 25) == 0
    assert "v.nii.gz" in driver.text("#volume-verdict-card")


@pytest.mark.parametrize("size", [(680, 450), (340, 380), (1360, 900)])
def test_the_verdict_never_lies_under_the_header(
    open_alone: OpenPage, lesion: bytes, healthy: bytes, size: tuple[int, int]
) -> None:
    """680 x 450 is what 1360 x 900 has when enlarged twice."""
    driver = open_alone()
    driver.page.set_viewport_size({"width": size[0], "height": size[1]})
    driver.show(lesion)
    assert not driver.page.evaluate(COVERED, "#verdict")
    driver.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    driver.show(healthy)
    assert not driver.page.evaluate(COVERED, "#verdict")


def test_the_light_theme_is_chosen_and_stays(open_alone: OpenPage, lesion: bytes, stack: bytes, axe: str) -> None:
    driver = open_alone(refusals=(422,))
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = driver.page.evaluate(ground)
    driver.page.click("#theme")
    assert driver.page.get_attribute("#theme", "aria-pressed") == "true"
    driver.page.reload()
    light = driver.page.evaluate(ground)
    assert light != dark
    assert not faults(driver.page, axe)
    driver.drop_all({"a.png": lesion, "s.tiff": stack, "c.gif": b"GIF89a", "d.jpg": b"\xff\xd8\xff"})
    expect(driver.page.locator("#list-stop")).to_be_hidden()
    driver.settle()
    assert not faults(driver.page, axe)
    driver.picture("page-light")
    driver.page.click("#theme")
    assert driver.page.evaluate(ground) == dark


def test_under_a_finger(open_alone: OpenPage, alone: Alone, lesion: bytes, stack: bytes) -> None:
    driver = open_alone(phone=True, refusals=(422,))
    assert driver.page.evaluate(SMALL) == []
    driver.drop_all({"a.png": lesion, "s.tiff": stack})
    expect(driver.page.locator("#list-words")).to_contain_text("2 of 2")
    driver.settle()
    assert driver.page.evaluate(SMALL) == []
    assert driver.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    driver.page.locator("#heatmap").tap()
    expect(driver.page.locator("#readout")).to_contain_text("probability")
    driver.drop(b"\x89PNG\r\n\x1a\n", "broken.png")
    expect(driver.page.locator("#error")).to_be_visible()
    assert driver.page.evaluate(SMALL) == []
