"""The panel that names the type of tumour in the slice on show."""

from __future__ import annotations

import json
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Route, expect

from tests.browser.faults import faults
from tests.browser.test_trust import OpenPage
from web.contract.examples import CLASSIFICATION
from web.contract.fields import RefusedError

pytestmark = pytest.mark.browser
PATH = "**/api/v1/classify*"


def test_the_type_of_the_slice_on_show(open_alone: OpenPage, stack: bytes, axe: str) -> None:
    driver = open_alone()
    asked: list[dict[str, str]] = []

    def named(route: Route) -> None:
        asked.append(dict(parse_qsl(urlsplit(route.request.url).query)))
        route.fulfill(status=200, content_type="application/json", body=json.dumps(CLASSIFICATION))

    driver.page.route(PATH, named)
    driver.show(stack, "stack.tiff")
    index = driver.page.locator("#slice").input_value()
    driver.page.locator("#types-ask").click()
    words = driver.page.locator("#types-words")
    expect(words).to_contain_text("Most likely meningioma: meningioma 85.2 %, glioma 11.8 %, pituitary 3.0 %")
    expect(words).to_contain_text("a head without a tumour too")
    assert asked == [{"slices": index}]
    assert not faults(driver.page, axe)
    driver.page.locator("#slice").focus()
    driver.page.keyboard.press("ArrowLeft")
    expect(words).to_be_empty()  # it was said of another slice


def test_a_server_without_such_a_model_says_so(open_alone: OpenPage, lesion: bytes) -> None:
    driver = open_alone(refusals=(404,))
    refusal = RefusedError("model_not_found", "No model that names types is deployed here.")
    driver.page.route(
        PATH,
        lambda route: route.fulfill(
            status=refusal.status, content_type="application/problem+json", body=refusal.body("id-1").decode()
        ),
    )
    driver.show(lesion)
    driver.page.locator("#types-ask").click()
    expect(driver.page.locator("#types-words")).to_have_text("This server has no model that names types.")
    expect(driver.page.locator("#error")).to_be_hidden()
