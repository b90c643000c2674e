"""What the page says of an answer's trust: refused, refused in part, unsure, the gate off, and no gate at all."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from playwright.sync_api import Route, expect

from tests.browser.alone import Alone, digest
from tests.browser.driver import Driver
from tests.browser.faults import faults
from tests.browser.test_volume import head, nifti, shown

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]
CODES = (
    *("not_a_brain", "other_plane", "other_contrast", "nearly_black"),
    *("saturated", "cropped_head", "upside_down", "other_scale"),
)
REFUSED = {"accepted": False, "score": 0.1, "reasons": ["upside_down"], "expected_dice": None}


def test_a_refused_picture_gets_a_calm_verdict_and_a_way_on(
    open_alone: OpenPage, alone: Alone, lesion: bytes, axe: str
) -> None:
    alone.trust[digest(lesion)] = REFUSED
    driver = open_alone()
    driver.show(lesion, "u.png")
    assert driver.verdict() == "Not assessed"
    assert "grey" in (driver.page.get_attribute("#verdict-card", "class") or "").split()
    assert driver.page.title() == "u.png: Not assessed – BrainSeg"
    assert "upside down" in driver.text("#trust-reasons")
    assert "Turn the picture" in driver.text("#trust-reasons")
    for gone in ("#coverage", "#mask", "#overlay", "#heatmap", "#threshold", "#readout"):
        expect(driver.page.locator(gone)).to_be_hidden()
    assert driver.pixels("scan").any()
    assert driver.text("#facts").split("\n")[:2] == ["Tumour", "not assessed"]
    expect(driver.page.locator("#save-png")).to_be_disabled()
    assert '"verdict": "not_assessed"' in driver.download("save-json")[1].decode()
    assert not faults(driver.page, axe)
    driver.picture("page-refused")

    driver.page.click("#gate-off")
    expect(driver.page.locator("#verdict")).to_have_text("Tumour detected")
    driver.settle()
    assert alone.asked[-1]["gate"] == "off"
    assert "The gate was off" in driver.text("#trust-gate")
    assert "upside down" in driver.text("#trust-reasons")
    expect(driver.page.locator("#gate-off")).to_be_hidden()
    assert driver.mask().any()
    assert not faults(driver.page, axe)


def test_slices_that_are_refused_alone(open_alone: OpenPage, alone: Alone, stack: bytes) -> None:
    alone.trust[digest(stack)] = {}
    alone.slices[digest(stack)] = {0, 1, 7}
    driver = open_alone()
    driver.show(stack, "s.tiff")
    assert driver.verdict() == "Tumour detected"
    assert driver.text("#trust-gate").startswith("3 of 8 slices are not what the model knows")
    assert "nearly black" in driver.text("#trust-reasons")
    assert "not assessed: 1–2, 8" in driver.text("#stack-words")
    slider = driver.page.locator("#slice")
    expect(slider).to_have_attribute("aria-valuetext", re.compile(r"^slice \d of 8, tumour$"))
    driver.slide("slice", 0)
    expect(slider).to_have_attribute("aria-valuetext", "slice 1 of 8, not assessed")
    expect(driver.page.locator("#mask")).to_be_hidden()
    driver.slide("threshold", 0.3)
    driver.settle()
    assert driver.verdict() == "Tumour detected"
    driver.slide("slice", 6)
    expect(driver.page.locator("#mask")).to_be_visible()


def test_doubt_is_said_in_words_with_the_interval(open_alone: OpenPage, alone: Alone, lesion: bytes, axe: str) -> None:
    doubt = {"uncertain": True, "expected_dice": 0.62, "interval_level": 0.9}
    alone.trust[digest(lesion)] = doubt | {"tumor_pixels_interval": [1101.0, 2250.4]}
    driver = open_alone()
    driver.show(lesion)
    assert "unsure" in driver.text("#trust-doubt")
    assert "0.62" in driver.text("#trust-doubt")
    assert "between 1,101 and 2,250 pixels (90 % interval)" in driver.text("#trust-size")
    assert "Expected Dice\n0.62, unsure" in driver.text("#facts")
    expect(driver.page.locator("#gate-off")).to_be_hidden()
    assert not faults(driver.page, axe)
    driver.slide("threshold", 0.3)  # the interval is of the mask at the model's own threshold
    expect(driver.page.locator("#trust-size")).to_be_hidden()
    assert "Expected Dice" not in driver.text("#facts")


def test_a_version_without_a_gate_says_nothing(open_alone: OpenPage, alone: Alone, lesion: bytes) -> None:
    none = {"accepted": None, "score": None, "expected_dice": None, "uncertain": None}
    driver = open_alone()
    driver.show(lesion)  # no key at all, as from servers before it
    expect(driver.page.locator("#trust")).to_be_hidden()
    alone.trust[digest(lesion)] = none
    gate_of = alone._trusted
    alone._trusted = lambda given, scan, _: gate_of(given, scan, "none")  # type: ignore[method-assign]
    driver.show(lesion)
    expect(driver.page.locator("#trust")).to_be_hidden()
    assert "gate" not in alone.asked[-1]


def test_every_reason_has_its_words(page_tool: Driver) -> None:
    known = page_tool.call("reasons", "a[0].map((code) => m.reasonWords(code))", list(CODES))
    assert len({one["what"] for one in known}) == len(CODES)
    assert all(one["instead"].startswith(("Send", "Save", "Turn")) for one in known)
    assert "new_code" in page_tool.call("reasons", "m.reasonWords('new_code').what")


def test_a_refused_volume_says_why(open_alone: OpenPage, axe: str) -> None:
    """The server gives no zip of a volume that it does not assess; the page asks for the reasons."""
    driver = open_alone(refusals=(422,))
    asked = []
    answer = {
        "model": {"name": "brainseg", "version": "2.1", "digest": "sha256:0", "architecture": "unet"},
        "input": {"format": "nifti", "width": 40, "height": 50, "slices": 12, "geometry": None},
        "verdict": "not_assessed",
        "tumor_volume_ml": None,
        "tumor_pixels": None,
        "total_pixels": 24000,
        "lesions": None,
        "sequences": None,
        "warnings": [],
        "slices": [],
        "trust": REFUSED | {"gate": "on", "uncertain": None, "reasons": ["other_contrast"]},
    }

    def reply(route: Route) -> None:
        asked.append((route.request.headers["accept"], route.request.url))
        if asked[-1][0] == "application/zip":
            problem = {"code": "not_assessed", "detail": "as the test wants it"}
            route.fulfill(status=422, content_type="application/problem+json", json=problem)
        else:
            route.fulfill(json=answer)

    driver.page.route("**/api/v1/segment?*", reply)
    driver.drop(nifti(head()), "v.nii.gz")
    shown(driver)
    assert driver.text("#volume-verdict") == "Not assessed"
    assert "another contrast" in driver.text("#volume-trust-reasons")
    expect(driver.page.locator("#volume-ml")).to_be_hidden()
    expect(driver.page.locator("#save-nifti")).to_be_hidden()
    expect(driver.page.locator("#planes")).to_be_visible()
    assert not faults(driver.page, axe)
    driver.page.click("#volume-gate-off")
    shown(driver, 2)
    assert "gate=off" in asked[-1][1]
    assert np.all([accept in ("application/zip", "application/json") for accept, _ in asked])
