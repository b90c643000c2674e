"""The pictures of the page in docs/: ``python -m tests.browser.pictures``. Drawn phantoms, the released network."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from archive.store import MODEL_STORE, ROOT, SAMPLES
from handler.pipeline import Model, open_model
from samples.make import HEALTHY, LESION, STACK
from tests.browser.alone import Alone, digest, pages
from tests.browser.conftest import DESKTOP, PHONE, launch
from tests.browser.driver import Driver

RELEASE = MODEL_STORE / "brainseg-2.1"
DOCS = ROOT / "docs"
COLOURS = 256  # of each picture: half of the bytes
WIDTH_ON_PAPER = 720
REFUSED = {"accepted": False, "score": 0.03, "reasons": ["upside_down"], "expected_dice": None}


def _write(page: Page, name: str, height: int | None = None) -> None:
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    clip = {"x": 0, "y": 0, "width": page.viewport_size["width"], "height": height} if height else None
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True, clip=clip))).convert("RGB")
    shot.quantize(COLOURS).save(DOCS / f"{name}.png", optimize=True)


def _scans() -> Mapping[str, bytes]:
    upside_down = io.BytesIO()
    Image.open(SAMPLES / LESION).transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(upside_down, "PNG")
    return {
        "phantom-1.png": (SAMPLES / LESION).read_bytes(),
        "phantom-2.png": (SAMPLES / HEALTHY).read_bytes(),
        "phantom-3.tiff": (SAMPLES / STACK).read_bytes(),
        "phantom-4.png": upside_down.getvalue(),
    }


def _take(browser: Browser, url: str, model: Model) -> None:
    scans = _scans()
    card = json.loads((RELEASE / "model-card.json").read_text(encoding="utf-8"))
    alone = Alone(model, card, trust={digest(scans["phantom-4.png"]): REFUSED})
    page = browser.new_page(viewport=DESKTOP)
    alone.listen(page)
    page.goto(url)
    driver = Driver(page, Path())
    driver.drop_all(scans)
    expect(page.locator("#list-words")).to_contain_text("4 of 4")
    driver.settle()
    _write(page, "page")
    page.click(".row-name:text('phantom-4')")
    expect(page.locator("#verdict")).to_have_text("Not assessed")
    driver.settle()
    _write(page, "page-refused")
    page.click(".row-name:text('phantom-1')")
    expect(page.locator("#verdict")).to_have_text("Tumour detected")
    driver.settle()
    page.emulate_media(media="print")
    page.set_viewport_size({"width": WIDTH_ON_PAPER, "height": 1000})
    _write(page, "page-print")
    page.close()

    phone = browser.new_context(viewport=PHONE, is_mobile=True, has_touch=True).new_page()
    alone.listen(phone)
    phone.goto(url)
    driver = Driver(phone, Path())
    driver.show(scans["phantom-3.tiff"], "phantom-3.tiff")
    _write(phone, "page-phone", height=1500)
    phone.context.close()


def main() -> None:
    model = open_model(RELEASE, "torch", threads=1)
    with sync_playwright() as playwright, pages() as url:
        browser = launch(playwright)
        _take(browser, url, model)
        browser.close()


if __name__ == "__main__":
    main()
