"""Replies that come late, or never: what is on show is what was chosen last, and its words and pictures agree."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import imagecodecs
import numpy as np
import pytest
from playwright.sync_api import Error, Route, expect

from brainseg_client import Client
from tests.browser.driver import Driver
from tests.browser.scans import long_stack
from tests.waiting import BOUND_SECONDS
from web.contract.fields import RefusedError

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]
WINDOW = "slices=0-31"  # of long_stack; slice 33, where the page begins, is in the other


@dataclass
class Held:
    """Requests for a segmentation whose query has all of ``marks`` are kept back. Made before what causes them."""

    driver: Driver
    marks: tuple[str, ...]
    routes: list[Route] = field(default_factory=list)
    asked: int = 0

    def __post_init__(self) -> None:
        self.driver.page.route("**/api/v1/segment?*", self._meet)

    def _meet(self, route: Route) -> None:
        if all(mark in route.request.url for mark in self.marks):
            self.asked += 1
            self.routes.append(route)
        else:
            route.fallback()

    def wait(self) -> None:
        """Until there is one."""
        deadline = time.monotonic() + BOUND_SECONDS
        while not self.routes:
            assert time.monotonic() < deadline, f"no request with {self.marks}"
            self.driver.page.wait_for_timeout(50)  # Playwright calls _meet meanwhile

    def let_go(self) -> None:
        """Lets them through, those too that come later, and waits until the page has dealt with them."""
        self.marks = ("never",)
        for route in self.routes:
            with contextlib.suppress(Error):  # the page gave it up
                route.continue_()
                if reply := route.request.response():
                    reply.finished()
        self.driver.rest(500)
        self.driver.settle()

    def refuse(self, code: str) -> None:
        refusal = RefusedError(code, "as the test wants it")
        self.routes.pop().fulfill(status=refusal.status, headers=refusal.headers(), body=refusal.body("test"))


def assert_slice(driver: Driver, index: int, count: int = 34) -> None:
    """Label, slider and pictures are of slice ``index`` of long_stack, and so is the mask that is saved."""
    driver.settle()
    assert driver.text("#slice-value") == f"{index + 1} of {count}"
    assert driver.page.input_value("#slice") == str(index)
    side = 8 + 4 * index if index >= 5 else 0
    assert np.count_nonzero(driver.pixels("scan")[..., 0] == 220) == side**2
    name, data = driver.download("save-png")
    assert name == f"long-slice-{index}-mask.png"
    assert np.array_equal(imagecodecs.png_decode(data) > 0, driver.mask())


def test_a_slice_that_does_not_come_leaves_the_one_on_show(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page(refusals=(415, 504))
    driver.show(long_stack(), "long.tiff")
    assert_slice(driver, 33)
    held = Held(driver, (WINDOW,))

    def choose() -> None:
        driver.slide("slice", 20)
        held.wait()
        expect(driver.page.locator("#progress")).to_be_visible()
        assert driver.text("#slice-value") == "34 of 34"
        expect(driver.page.locator("#save-png")).to_be_disabled()

    choose()
    driver.page.click("#cancel")
    assert_slice(driver, 33)
    expect(driver.page.locator("#error")).to_be_hidden()
    held.routes.clear()
    choose()
    held.refuse("timeout")
    expect(driver.page.locator("#error-title")).to_have_text("The analysis took too long")
    assert_slice(driver, 33)
    choose()
    driver.drop(b"GIF89a", "other.gif")
    expect(driver.page.locator("#error-title")).to_have_text("This kind of file cannot be read")
    assert_slice(driver, 33)
    assert held.asked == 3, "it asked again by itself"
    held.let_go()
    driver.slide("slice", 20)
    assert_slice(driver, 20)


def test_a_comparison_given_up_does_not_appear(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page()
    driver.show(lesion)
    held = Held(driver, ("version=2.0",))
    driver.page.select_option("#compare", "2.0")
    held.wait()
    driver.page.select_option("#compare", "")
    held.let_go()
    expect(driver.page.locator("#comparison")).to_be_hidden()
    driver.page.select_option("#compare", "2.0")
    expect(driver.page.locator("#comparison")).to_be_visible()
    expect(driver.page.locator("#comparison-words")).to_contain_text("On this slice")


def test_a_comparison_that_fails_is_not_said_to_be_chosen(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page(refusals=(504,))
    driver.show(lesion)
    held = Held(driver, ("version=2.0",))
    driver.page.select_option("#compare", "2.0")
    held.wait()
    held.refuse("timeout")
    expect(driver.page.locator("#error")).to_be_visible()
    assert driver.page.input_value("#compare") == ""
    driver.page.select_option("#compare", "2.0")
    held.wait()
    driver.page.click("#cancel")
    driver.settle()
    assert driver.page.input_value("#compare") == ""


def test_a_comparison_is_of_the_slice_on_show(open_page: OpenPage) -> None:
    driver = open_page()
    driver.show(long_stack(), "long.tiff")
    driver.page.select_option("#compare", "2.0")
    expect(driver.page.locator("#comparison")).to_be_visible()
    driver.settle()
    held = Held(driver, ("version=2.0", WINDOW))
    driver.slide("slice", 20)
    held.wait()
    driver.slide("slice", 33)
    expect(driver.page.locator("#slice-value")).to_have_text("34 of 34")
    held.let_go()
    assert driver.text("#comparison-words").startswith("On slice 34 ")
    assert np.array_equal(driver.pixels("compare-second")[0], driver.pixels("scan")[0])
    assert np.count_nonzero(driver.pixels("compare-first")[..., 0] >= 200) == (8 + 4 * 33) ** 2


def test_a_window_does_not_undo_the_figures_of_newer_settings(open_page: OpenPage, door: str) -> None:
    scan = long_stack(20, 1024)  # three windows, of which one is never fetched
    driver = open_page()
    driver.show(scan, "long.tiff")
    measure, window = Held(driver, ("threshold=0.3", "outputs=none")), Held(driver, ("slices=8-15",))
    driver.slide("threshold", 0.3)
    expect(driver.page.locator("#save-json")).to_be_disabled()
    measure.wait()
    driver.slide("slice", 10)
    window.wait()
    measure.marks = ("never",)
    measure.routes.pop().continue_()
    expect(driver.page.locator("#save-json")).to_be_enabled()
    window.let_go()
    assert_slice(driver, 10, 20)
    saved = json.loads(driver.download("save-json")[1])
    server = Client(door).segment(scan, threshold=0.3, outputs=())
    assert saved["threshold"] == 0.3
    assert [one["tumor_pixels"] for one in saved["slices"]] == [one.tumor_pixels for one in server.slices]
    assert "measured" not in driver.text("#stack-words")


def test_figures_of_settings_given_up_do_not_come_back(open_page: OpenPage) -> None:
    driver = open_page()
    driver.show(long_stack(), "long.tiff")
    coverage = driver.text("#coverage")
    held = Held(driver, ("threshold=0.3", "outputs=none"))
    driver.slide("threshold", 0.3)
    held.wait()
    driver.page.click("#threshold-reset")
    driver.rest(250)
    held.let_go()
    expect(driver.page.locator("#save-json")).to_be_enabled()
    assert json.loads(driver.download("save-json")[1])["threshold"] == 0.5
    assert driver.text("#coverage") == coverage
    assert "measured" not in driver.text("#stack-words")
