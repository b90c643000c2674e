"""The links at the foot of the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.browser.driver import Driver
from tests.browser.faults import faults
from tests.web.test_readable import models_html
from web.app import create_app
from web.settings import Settings

pytestmark = [pytest.mark.server, pytest.mark.browser]


def test_the_links_open_pages_without_a_fault(open_alone: Callable[..., Driver], axe: str) -> None:
    driver = open_alone(refusals=(503,))
    driver.page.unroute("**/api/v1/status")
    html = models_html(create_app(Settings("http://127.0.0.1:9", "http://127.0.0.1:9")))
    driver.page.unroute("**/api/v1/models")
    driver.page.route("**/api/v1/models", lambda route: route.fulfill(body=html, content_type="text/html"))
    for link, title in (("Status", "Not ready"), ("Models", "Models"), ("API", "The API")):
        driver.page.click(f".links a:text('{link}')")
        driver.page.wait_for_selector(f"h1:text-is('{title}')")
        assert not faults(driver.page, axe), link
    assert driver.page.get_attribute(".links a:text('BrainSeg')", "href") == "/"
