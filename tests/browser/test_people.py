"""The page for everyone: by keyboard, by screen reader, on a phone, with a key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.browser.driver import Driver
from tests.browser.faults import faults
from tests.conftest import StartFront

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]


@pytest.mark.parametrize("phone", [False, True])
def test_axe_finds_no_serious_fault(open_page: OpenPage, axe: str, stack: bytes, phone: bool) -> None:
    driver = open_page(phone=phone, refusals=(415,))
    expect(driver.page.locator(".sample").first).to_be_visible()
    assert not faults(driver.page, axe)
    driver.show(stack, "stack.tiff")
    driver.page.select_option("#compare", "2.0")
    expect(driver.page.locator("#comparison")).to_be_visible()
    driver.drop(b"GIF89a")
    expect(driver.page.locator("#error")).to_be_visible()
    assert not faults(driver.page, axe)


def test_a_keyboard_reaches_everything(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page()
    driver.show(lesion)
    driver.page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    reached = []
    for _ in range(40):
        driver.page.keyboard.press("Tab")
        reached.append(driver.page.evaluate("document.activeElement.id || document.activeElement.name || ''"))
    wanted = [
        "version",
        "file",
        "threshold",
        "lesion",
        "opacity",
        "style",
        "compare",
        "save-png",
        "save-tiff",
        "save-json",
    ]
    assert [name for name in wanted if name not in reached] == []
    assert "viewer" in reached
    driver.page.focus("#threshold")
    before = driver.text("#threshold-value")
    driver.page.keyboard.press("ArrowRight")
    assert driver.text("#threshold-value") != before
    driver.page.focus("#threshold-reset")
    driver.page.keyboard.press("Enter")
    assert driver.text("#threshold-value") == before


def test_on_a_phone_nothing_is_cut_off_and_the_notice_stays(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page(phone=True)
    driver.show(lesion)
    assert driver.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    driver.picture("page-phone")
    driver.page.evaluate("scrollTo(0, document.body.scrollHeight)")
    expect(driver.page.locator(".top .notice")).to_be_in_viewport()
    assert driver.text(".top .notice") == "Research use only. Not a medical device."


def test_a_server_with_keys_asks_for_one(
    start_front: StartFront, open_page: OpenPage, lesion: bytes, tmp_path: Path
) -> None:
    """The front door, asked for first, ends last: a page that still asks it would say that nobody answers."""
    keys = tmp_path / "keys"
    keys.write_text("ward 0123456789abcdefghijkl\n")
    driver = open_page(url=start_front("--api-keys", str(keys)).url, refusals=(401,))
    expect(driver.page.locator("#key-form")).to_be_visible()
    assert driver.text("#error-title") == "This server needs an API key"
    driver.page.fill("#key", "0123456789abcdefghijkl")
    driver.page.keyboard.press("Enter")
    expect(driver.page.locator("#version option").first).to_have_text("1.0 (default)")
    driver.show(lesion)
    assert driver.verdict() == "Tumour detected"
