"""A model of several classes on the page: chosen by name, its parts in their colours, with a legend and counts."""

from __future__ import annotations

import csv
import dataclasses
import io
import json

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from playwright.sync_api import expect

from handler.labels import SIGMOID
from handler.pipeline import Model
from prove.drawn.pictures import png
from prove.drawn.volumes import nifti
from tests.browser.alone import Alone
from tests.browser.driver import Driver
from tests.browser.faults import faults
from tests.browser.test_paper import SMALL
from tests.browser.test_trust import OpenPage
from tests.browser.test_volume import shown
from tests.handler.test_pipeline import told
from tests.handler.volumes.test_classes import scan_of
from tests.labelled import LABELS, NECROSIS, OEDEMA, labelled_model, painted, truth

pytestmark = pytest.mark.browser
NAME = "brainseg-regions"
CHOICE = f"{NAME}/0.1"
TRUTH = truth()
SCAN = png(painted(TRUTH))
COLOURS = np.array([(0, 0, 0), *(label.colour for label in LABELS)], np.uint8)
ROWS = """(id) => [...document.querySelectorAll(`#${id} tr`)].map((row) => [
  row.querySelector("th").innerText.trim(), row.querySelector("td").innerText,
  [...row.querySelectorAll(".swatch")].map((one) => getComputedStyle(one).backgroundColor),
])"""


@pytest.fixture
def three(alone: Alone) -> Model:
    """Served beside the segmentation."""
    whole = {"name": "whole tumour", "kind": "region", "dice": 0.767, "patients": 4}
    metrics = {"choices": {"note": "none"}, "left out": {"side": "left out", "figures": [whole]}}
    alone.beside = labelled_model(name=NAME, version="0.1", limits=("Trained on 4 patients.",), metrics=metrics)
    return alone.beside


def rows(driver: Driver, part: str) -> list[list[object]]:
    found: list[list[object]] = driver.page.evaluate(ROWS, part)
    return found


def css(value: int) -> str:
    return f"rgb({', '.join(map(str, LABELS[value - 1].colour))})"


def choose(driver: Driver) -> None:
    driver.page.select_option("#version", CHOICE)


def opened(open_alone: OpenPage, scan: bytes = SCAN, name: str = "scan.png", **options: object) -> Driver:
    driver = open_alone(**options)
    choose(driver)
    driver.show(scan, name)
    return driver


def stack_of(*masks: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.stack([painted(mask) for mask in masks]), photometric="rgb")
    return buffer.getvalue()


def test_one_model_is_offered_as_before(open_alone: OpenPage, lesion: bytes) -> None:
    driver = open_alone()
    expect(driver.page.locator("#version option")).to_have_text("1.0 (default)")
    expect(driver.page.locator("#version optgroup")).to_have_count(0)
    expect(driver.page.locator("#version")).to_be_disabled()
    driver.show(lesion)
    expect(driver.page.locator("#parts")).to_be_hidden()


@pytest.mark.usefixtures("three")
def test_the_parts_are_named_counted_and_drawn_in_their_colours(open_alone: OpenPage, alone: Alone, axe: str) -> None:
    driver = open_alone()
    groups = driver.page.locator("#version optgroup")
    expect(groups).to_have_count(2)
    assert [one.get_attribute("label") for one in groups.all()] == [
        "brainseg: tumour or none", f"{NAME}: 3 parts of a tumour",
    ]  # fmt: skip
    driver.show(SCAN)
    assert "model" not in alone.asked[-1]  # the usual one is not named
    expect(driver.page.locator("#parts")).to_be_hidden()
    driver.page.focus("#version")
    driver.page.keyboard.press("End")
    driver.page.keyboard.press("Enter")
    expect(driver.page.locator("#model-version")).to_have_text(f"{NAME} 0.1")
    driver.settle()
    assert alone.asked[-1]["model"] == NAME
    assert rows(driver, "parts-labels") == [
        [label.name, f"{np.count_nonzero(label.value == TRUTH):,} pixels", [css(label.value)]] for label in LABELS
    ]
    whole, core, _ = rows(driver, "parts-regions")
    assert whole == ["whole tumour", f"{np.count_nonzero(TRUTH):,} pixels", [css(1), css(2), css(3)]]
    assert (core[0], core[2]) == ("tumour core", [css(1), css(3)])
    np.testing.assert_array_equal(driver.pixels("mask"), COLOURS[TRUTH])
    half = (painted(TRUTH).astype(int) + COLOURS[TRUTH]) // 2
    np.testing.assert_array_equal(driver.pixels("overlay"), np.where((TRUTH > 0)[..., None], half, painted(TRUTH)))
    assert f"oedema\n{np.count_nonzero(TRUTH == OEDEMA):,} px" in driver.text("#facts")
    assert "Trained on 4 patients." in driver.text("#about")
    expect(driver.page.locator("#scope")).to_be_hidden()  # the footer's words are about the usual model
    middle = driver.page.locator("#overlay").bounding_box()
    assert middle
    driver.page.mouse.move(middle["x"] + 0.4 * middle["width"], middle["y"] + 0.55 * middle["height"])
    expect(driver.page.locator("#readout")).to_contain_text("above the threshold: necrosis and non-enhancing core")
    assert not faults(driver.page, axe)
    driver.picture("labels")
    driver.page.click("#theme")
    assert not faults(driver.page, axe)
    driver.picture("labels-light")


@pytest.mark.usefixtures("three")
def test_a_contour_is_drawn_between_parts_too(open_alone: OpenPage) -> None:
    driver = opened(open_alone)
    driver.page.locator("input[value=contour]").check(force=True)
    driver.slide("opacity", 100)
    drawn = driver.pixels("overlay")
    inside = TRUTH == NECROSIS
    edge = inside & (drawn == COLOURS[NECROSIS]).all(-1)
    assert 0 < np.count_nonzero(edge) < np.count_nonzero(inside)


@pytest.mark.parametrize("activation", ["softmax", SIGMOID])
def test_a_moved_threshold_gives_the_servers_parts(open_alone: OpenPage, alone: Alone, activation: str) -> None:
    """Only the server composes a mask of parts, so the page has none of its own to differ by."""
    alone.beside = labelled_model(activation, name=NAME, version="0.1")
    soft = png(np.repeat(np.linspace(40, 220, 256).astype(np.uint8)[None, :, None], 256, 0).repeat(3, 2))
    driver = opened(open_alone, soft)
    before = rows(driver, "parts-labels")
    driver.slide("threshold", 0.97)
    wanted = told(alone.beside, soft, X_BrainSeg_Threshold="0.97")
    expect(driver.page.locator("#pixels")).to_contain_text(f"{wanted['tumor_pixels']:,} of")
    driver.settle()
    after = rows(driver, "parts-labels")
    assert after != before
    assert [row[1] for row in after] == [f"{one['pixels']:,} pixels" for one in wanted["labels"]]
    mask = driver.pixels("mask")
    for label in wanted["labels"]:
        assert np.count_nonzero((mask == label["colour"]).all(-1)) == label["pixels"]
    name, data = driver.download("save-json")
    kept = json.loads(data)
    assert (name, kept["threshold"], kept["labels"]) == ("scan.json", 0.97, wanted["labels"])


@pytest.mark.usefixtures("three")
def test_a_stack_its_table_and_its_masks(open_alone: OpenPage) -> None:
    small, none = truth(core=False), np.zeros_like(TRUTH)
    driver = opened(open_alone, stack_of(none, TRUTH, small), "s.tiff")
    expect(driver.page.locator("#slice-value")).to_have_text("2 of 3")
    both = f"{np.count_nonzero(TRUTH == 3) + np.count_nonzero(small == 3):,} pixels"
    assert rows(driver, "parts-labels")[2][1] == both
    driver.slide("slice", 2)
    driver.settle()
    np.testing.assert_array_equal(driver.pixels("mask"), COLOURS[small])
    assert f"enhancing tumour\n{np.count_nonzero(small == 3):,} px" in driver.text("#facts")
    _, mask = driver.download("save-png")
    np.testing.assert_array_equal(imagecodecs.png_decode(mask), small)
    driver.page.reload()  # what is kept knows which model it is of
    expect(driver.page.locator("#model-version")).to_have_text(f"{NAME} 0.1")
    driver.drop_all({"a.png": SCAN, "b.png": SCAN})
    expect(driver.page.locator("#list-words")).to_contain_text("3 of 3")
    _, data = driver.download("list-csv")
    first, second, _ = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    assert (first["model_name"], first["label oedema pixels"]) == (NAME, str(np.count_nonzero(TRUTH == OEDEMA)))
    assert first["region whole tumour pixels"] == first["tumor_pixels"]
    assert (second["model_name"], second["label oedema pixels"]) == ("brainseg", "")


def test_what_a_card_says_is_text(open_alone: OpenPage, alone: Alone) -> None:
    evil = tuple(
        dataclasses.replace(label, name=name)
        for label, name in zip(LABELS, ("<img src=x onerror=alert(1)>", "=1+1", "c&amp;d"), strict=True)
    )
    alone.beside = labelled_model(name=NAME, version="0.1", labels=evil)
    driver = opened(open_alone)
    assert [row[0] for row in rows(driver, "parts-labels")] == [label.name for label in evil]
    expect(driver.page.locator("#parts img")).to_have_count(0)
    driver.drop_all({"a.png": SCAN})
    expect(driver.page.locator("#list-words")).to_contain_text("2 of 2")
    _, data = driver.download("list-csv")
    assert "label =1+1 pixels" in data.decode().split("\r\n")[0].split(",")


@pytest.mark.usefixtures("three")
def test_on_a_phone_and_on_paper(open_alone: OpenPage) -> None:
    driver = opened(open_alone, phone=True)
    assert driver.page.evaluate(SMALL) == []
    assert driver.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    driver.picture("labels-phone")
    driver.page.emulate_media(media="print")
    assert "oedema" in driver.text("#parts")
    colour = "getComputedStyle(document.querySelector('.swatch')).printColorAdjust"
    assert driver.page.evaluate(colour) == "exact"


@pytest.mark.usefixtures("three")
def test_a_volume_has_a_legend_in_millilitres(open_alone: OpenPage, axe: str) -> None:
    scan, values = scan_of()
    driver = open_alone()
    choose(driver)
    driver.drop(nifti(scan), "v.nii.gz")
    shown(driver)
    assert [row[0] for row in rows(driver, "volume-parts-labels")] == [label.name for label in LABELS]
    whole = rows(driver, "volume-parts-regions")[0]
    assert whole[1] == driver.text("#volume-ml")
    assert f"{NAME} 0.1" in driver.text("#volume-model")
    assert "Trained on 4 patients." in driver.text("#volume-about")
    assert "left out of a training like this one: whole tumour 0.77." in driver.text("#volume-about")
    assert "Do not rely on the parts: there is no T1" in driver.text("#volume-parts")  # FLAIR came alone
    driver.page.click("#volume-lesions button")
    expect(driver.page.locator("#place")).to_contain_text("in necrosis and non-enhancing core")
    driver.page.locator("input[value=axial]").check(force=True)
    driver.page.locator("#volume-opacity").fill("100")
    driver.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    picture = imagecodecs.png_decode(driver.page.locator("#planes").screenshot())[..., :3].astype(int)
    for label in LABELS:
        assert np.count_nonzero((np.abs(picture - label.colour) < 12).all(-1)) > 30, label.name
    assert not faults(driver.page, axe)
    driver.picture("labels-volume")
    assert values.max() == 3


def test_steps_of_colours_have_no_mixture(page_tool: Driver) -> None:
    """Each value's place in NiiVue's map of 256 has its own colour, whatever the number of parts."""
    for count in (2, 3, 7, 15):
        colours = [[0, 0, 0], *([17 * n, 255 - n, n] for n in range(1, count + 1))]
        found = page_tool.call("viewer", "m.stepsOf(a[0])", colours)
        for value, colour in enumerate(colours):
            place = round(255 * value / count)
            assert [round(float(np.interp(place, found["I"], found[c]))) for c in "RGB"] == colour
            assert np.interp(place, found["I"], found["A"]) == (255 if value else 0)
