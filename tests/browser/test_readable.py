"""The links at the foot of the page."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Route

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

    def models(route: Route) -> None:
        """For who opens the link; the page itself asks for JSON, now and then."""
        if route.request.is_navigation_request():
            route.fulfill(body=html, content_type="text/html")
        else:
            route.fallback()

    driver.page.route("**/api/v1/models", models)
    for link, title in (("Status", "Not ready"), ("Models", "Models"), ("API", "The API")):
        driver.page.click(f".links a:text('{link}')")
        driver.page.wait_for_selector(f"h1:text-is('{title}')")
        assert not faults(driver.page, axe), link
    assert driver.page.get_attribute(".links a:text('BrainSeg')", "href") == "/"


def test_a_page_where_json_was_asked_for_is_named(open_alone: Callable[..., Driver]) -> None:
    driver = open_alone()
    driver.page.route("**/samples/", lambda route: route.fulfill(body="<!doctype html>", content_type="text/html"))
    told = driver.call("api", "m.getJson(a[0]).catch((error) => [error.code, error.message])", "/samples/")
    assert told[0] == "internal_error"
    assert "no JSON" in told[1]
