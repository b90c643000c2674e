"""SEG and SR in OHIF over Orthanc, in Chromium: where the mask and the line are drawn, slice by slice, and in which
colours the parts of a mask.

What is compared is the box of what is drawn: a torn mask has the right number of pixels. Nothing in OHIF's page says
when all is drawn, so the pictures do: each slice has a grey of its own, and a mask or line that has been loaded is seen
on the first of the lesion's slices."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import FloatRect, Page, Playwright
from pydicom.valuerep import DSfloat

from handler.volumes import lesions
from handler.volumes.out import seg, sr
from tests.browser.conftest import chromium
from tests.handler.volumes import ohif
from tests.handler.volumes import test_out_classes as classes
from tests.handler.volumes.series import ROOT, Series, classic, grid_of
from tests.handler.volumes.test_out_seg import ALGORITHM
from tests.labelled import ENHANCING, LABELS, NECROSIS, OEDEMA
from tests.waiting import until

# A whole viewer drawn without a GPU, slice by slice: minutes. Its own adapter is asked every day (test_out_viewers.py).
pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.long]
FLAGS = (
    *("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"),
)
PLACE = r"I:(\d+) \((\d+)/(\d+)\)"
WINDOW = 1000
LESION = np.s_[3:6, 40:70, 100:140]
SLICES = 8
# Columns, rows, and how far the upper half of the slices is moved up: unequal steps.
ONE = {"192x176": (192, 176, 0.0), "181x217": (181, 217, 0.0), "unequal steps": (192, 176, 0.4)}
THREE = {"three labels, BINARY": (192, 176, 0.0), "three labels, LABELMAP": (181, 217, 0.0)}
STUDIES = ONE | THREE
# Of the three: first and last row, first and last column, in each slice of the lesion.
PARTS = {OEDEMA: (40, 70, 100, 140), ENHANCING: (46, 64, 106, 134), NECROSIS: (51, 59, 112, 128)}
Box = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Shown:
    """Of one slice: where coloured pixels are, in pixels of the scan: first and last row, first and last column.
    ``parts``: of the pixels whose colour is nearest to a label's, by its value."""

    colored: int
    box: Box
    parts: dict[int, Box]


def value_of(index: int) -> int:
    """The one value of the slice ``index``."""
    return 250 + 30 * index


def grey_of(index: int) -> float:
    """How it is drawn, of 255."""
    return value_of(index) / WINDOW * 255


def study(name: str) -> Series:
    """Oblique, numbered against the order of the slices, with a wrong SpacingBetweenSlices."""
    columns, rows, moved = STUDIES[name]
    number = list(STUDIES).index(name)
    uids = {"StudyInstanceUID": f"{ROOT}.10{number}", "SeriesInstanceUID": f"{ROOT}.11{number}"}
    tags = uids | {"PatientID": f"P{number}", "WindowCenter": WINDOW / 2, "WindowWidth": WINDOW}
    series = classic(grid_of((columns, rows, SLICES), (1.0, 1.0, 5.0)), 1.0, tags)
    normal = series.volume.grid.affine_lps[:3, 2] / 5.0
    for index, both in enumerate(zip(series.datasets, series.volume.source.datasets, strict=True)):  # type: ignore[union-attr]
        both[0].PixelData = np.full((rows, columns), value_of(index), np.uint16).tobytes()
        both[0].file_meta.MediaStorageSOPInstanceUID = f"{ROOT}.12{number}.{index + 1}"
        for dataset in both:
            dataset.SOPInstanceUID = f"{ROOT}.12{number}.{index + 1}"
            place = np.array(dataset.ImagePositionPatient, float) + normal * moved * (index >= SLICES // 2)
            dataset.ImagePositionPatient = [DSfloat(value, auto_format=True) for value in place]
    return series


def mask_of(name: str, shape: tuple[int, int, int]) -> np.ndarray:
    """Bool, of three labels uint8, the smaller parts written over the larger."""
    mask = np.zeros(shape, np.uint8 if name in THREE else bool)
    mask[LESION] = True
    for value, (top, bottom, left, right) in PARTS.items() if name in THREE else ():
        mask[LESION[0], top:bottom, left:right] = value
    return mask


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory, playwright_driver: Playwright) -> Iterator[Page]:
    """A page before OHIF with all studies, their SEG and reports."""
    if lacking := ohif.missing():
        pytest.skip(f"masks in OHIF were not looked at, there is no {lacking}")
    ohif.files()
    with ohif.orthanc(tmp_path_factory.mktemp("orthanc")) as pacs, ohif.viewer(pacs) as address:
        for name in STUDIES:
            series = study(name)
            mask = mask_of(name, series.volume.grid.shape)
            segmentation = seg.encode(series.volume, mask, classes.ALGORITHM if name in THREE else ALGORITHM)
            sent = [segmentation]
            if name in ONE:
                found = lesions.measure(mask, series.volume.grid)
                sent += sr.encode(series.volume, found, [found.tumor_volume_ml], segmentation, ALGORITHM).values()
            for dataset in series.datasets:
                file = io.BytesIO()
                dataset.save_as(file, enforce_file_format=True)
                sent.append(file.getvalue())
            kept = [ohif.store(pacs, data) for data in sent]
            assert ohif.get(pacs, f"/instances/{kept[0]}/file").content == segmentation, (
                "Orthanc gives back what it was given"
            )
        browser = playwright_driver.chromium.launch(executable_path=chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1300, "height": 850}, base_url=address)
        page.set_default_timeout(120_000)
        page.add_locator_handler(page.get_by_text("Skip all"), lambda tour: tour.click())
        yield page
        browser.close()


def look(page: Page, name: str, series: int) -> dict[int, Shown]:
    """Opens a series of the study ``name`` and looks at each slice: index of the slice -> what is drawn there."""
    page.goto(f"/viewer?StudyInstanceUIDs={ROOT}.10{list(STUDIES).index(name)}")
    page.get_by_text(f"S:{series}").first.dblclick()
    if series == seg.SERIES_NUMBER:
        page.get_by_text("Yes", exact=True).first.click()
        page.get_by_text("Loading SEG").wait_for(state="hidden")
    page.get_by_text(re.compile(PLACE)).first.wait_for()
    canvas = until(page.locator("canvas").first.bounding_box, "OHIF draws nothing")
    assert canvas is not None
    viewer = Viewer(page, canvas, *STUDIES[name][:2])
    # Once what was loaded is drawn on one slice, it is drawn with each.
    for index in viewer.walk():
        if index == LESION[0].start:
            until(lambda: viewer.steady().colored, "OHIF draws nothing on the lesion")
            break
    shown = {index: viewer.steady() for index in viewer.walk()}
    assert sorted(shown) == list(range(SLICES))
    return shown


@dataclass
class Viewer:
    """OHIF with one series open, of slices of ``columns`` by ``rows``, drawn at ``canvas`` of the page."""

    page: Page
    canvas: FloatRect
    columns: int
    rows: int

    def walk(self) -> Iterator[int]:
        """Goes from the viewer's first slice to its last; the index of each, once the viewer says it is there."""
        self.page.mouse.move(self.canvas["x"] + self.canvas["width"] / 2, self.canvas["y"] + self.canvas["height"] / 2)
        self.page.keyboard.press("Home")
        for number in range(1, SLICES + 1):
            until(lambda n=number: self._place()[0] == n, f"OHIF does not come to its slice {number}")
            yield self._place()[1]
            self.page.mouse.wheel(0, 100)

    def _place(self) -> tuple[int, int]:
        """How many slices the viewer has gone, from 1 on, and the index of this one: they are numbered against the
        order. Zeros while it says nothing."""
        at = re.search(PLACE, self.page.inner_text("body"))
        return (int(at[2]), SLICES - int(at[1])) if at else (0, 0)

    def steady(self) -> Shown:
        """What is drawn of the slice that the viewer is at, once its picture is there and twice the same: on a busy
        machine it takes long, and for moments shows nothing or the slice before."""
        before: bytes | None = None

        def settled() -> Shown | None:
            nonlocal before
            self.page.wait_for_timeout(200)
            (number, index), now = self._place(), self.page.screenshot(clip=self.canvas)
            same, before = now == before, now
            if not number or not same:
                return None
            picture = np.asarray(Image.open(io.BytesIO(now)).convert("RGB")).astype(int)
            return drawn_in(picture, grey_of(index), self.columns, self.rows)

        found = until(settled, "OHIF shows no slice that stays")
        assert found is not None
        return found


def drawn_in(picture: np.ndarray, grey: float, columns: int, rows: int) -> Shown | None:
    """None while no slice of that grey is drawn."""
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    across = np.flatnonzero((abs(picture - grey) < 3).all(axis=2)[len(picture) // 8])  # above the lesion
    if not len(across):
        return None
    scale = (across[-1] - across[0] + 1) / columns
    top = len(picture) / 2 - rows * scale / 2
    colored = (abs(red - green) > 40) | (abs(green - blue) > 40)
    colored[:, : across[0]] = colored[:, across[-1] :] = False  # the viewer's own colours are beside the picture
    colored[:40] = colored[-60:] = False
    if not colored.any():
        return Shown(0, (0.0, 0.0, 0.0, 0.0), {})

    def box(pixels: np.ndarray) -> Box:
        y, x = np.nonzero(pixels)
        sides = (y.min() - top, y.max() + 1 - top, x.min() - across[0], x.max() + 1 - across[0])
        first, last, left, right = (float(side / scale) for side in sides)
        return first, last, left, right

    nearest = nearest_label(picture)
    parts = {one.value: colored & (nearest == one.value) for one in LABELS}
    return Shown(int(colored.sum()), box(colored), {value: box(part) for value, part in parts.items() if part.any()})


def nearest_label(picture: np.ndarray) -> np.ndarray:
    """Of each pixel (h, w, 3) the value of the label whose hue is nearest, whatever grey lies under it."""

    def hue(colours: np.ndarray) -> np.ndarray:
        above = colours - colours.min(axis=-1, keepdims=True)
        return above / np.maximum(above.max(axis=-1, keepdims=True), 1)

    wanted = hue(np.array([one.colour for one in LABELS], float))
    far = np.abs(hue(picture.astype(float))[..., None, :] - wanted).sum(axis=-1)
    return np.array([one.value for one in LABELS])[far.argmin(axis=-1)]


@pytest.mark.parametrize("name", list(ONE))
def test_the_mask_is_drawn_where_the_lesion_is(opened: Page, name: str) -> None:
    shown = look(opened, name, seg.SERIES_NUMBER)
    boxes = {index: tuple(round(side, 1) for side in each.box) for index, each in shown.items() if each.colored}
    print(f"{name}: rows and columns of the mask as OHIF draws it, by slice: {boxes}; the lesion's: 40-70, 100-140")
    assert sorted(boxes) == list(range(SLICES))[LESION[0]]
    for box in boxes.values():
        assert box == pytest.approx((40, 70, 100, 140), abs=1.0)


@pytest.mark.parametrize("name", ["192x176", "181x217"])
def test_the_diameter_is_drawn_on_its_slice(opened: Page, name: str, tmp_path: Path) -> None:
    shown = look(opened, name, sr.SERIES_NUMBERS[sr.DIAMETERS])
    drawn = {index: each.box for index, each in shown.items() if each.colored}
    print(
        f"{name}: the line as OHIF draws it, by slice: {drawn}; its ends: rows 40.5 and 69.5, columns 100.5 and 139.5"
    )
    assert list(drawn) == [3], "the first of the lesion's slices"
    (box,) = drawn.values()
    # Its number stands to the right of it, so its right side is not looked at.
    assert box[:3] == pytest.approx((40.5, 69.5, 100.5), abs=1.5)


@pytest.mark.parametrize("name", list(THREE))
def test_each_part_is_listed_and_drawn_in_its_colour(opened: Page, name: str) -> None:
    shown = look(opened, name, seg.SERIES_NUMBER)
    drawn = {index: each.parts for index, each in shown.items() if each.colored}
    boxes = {
        index: {v: tuple(round(side, 1) for side in box) for v, box in parts.items()} for index, parts in drawn.items()
    }
    print(f"{name}: rows and columns of each part as OHIF draws it, by slice: {boxes}; where they are: {PARTS}")
    opened.locator("[data-cy=panelSegmentation-btn]").first.click()
    row = opened.locator("[data-cy=data-row]")
    row.nth(len(LABELS) - 1).wait_for()
    listed = {}
    for one in row.all():
        colour = one.locator("[data-cy=data-row-colorhex]").evaluate("dot => getComputedStyle(dot).backgroundColor")
        listed[one.locator("[data-cy=data-row-title]").inner_text()] = [int(n) for n in re.findall(r"\d+", colour)]
    print(f"{name}: OHIF lists {listed}")
    listed.pop("Background", None)  # a label map has it, and nothing is drawn of it
    assert list(listed) == [one.name for one in LABELS]
    for one in LABELS:
        assert listed[one.name] == pytest.approx(one.colour, abs=2)
    assert sorted(drawn) == list(range(SLICES))[LESION[0]]
    for parts in drawn.values():
        assert sorted(parts) == sorted(PARTS)
        for value, box in parts.items():
            assert box == pytest.approx(PARTS[value], abs=1.0)
