"""Volumes on the page: what is sent, what is shown, where the crosshair goes. Most answers are made here, so that each
number on the page is known; the last tests have a server's."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

import nibabel
import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from playwright.sync_api import Page, Route, expect

from archive.store import SAMPLES
from prove.drawn.volumes import Phantom, dicom_zip
from samples.head import draw_head
from samples.make import HEAD
from tests.browser.driver import Driver

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]
AFFINE = np.array([[-1.0, 0, 0, 20], [0, 1.0, 0, -25], [0, 0, 5.0, -30], [0, 0, 0, 1]])
SHAPE = (40, 50, 12)
CENTRE = (8, 30, 7)  # of the lesion, in voxels
CENTRE_MM = (12.0, 5.0, 5.0)


def nifti(voxels: NDArray[Any]) -> bytes:
    return gzip.compress(nibabel.Nifti1Image(voxels, AFFINE).to_bytes(), mtime=0)


def head() -> NDArray[np.int16]:
    x, y, z = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    inside = ((x - 20) / 17) ** 2 + ((y - 25) / 22) ** 2 + ((z - 6) / 6.5) ** 2 < 1
    return np.where(inside, 300 + 10 * (x + y) % 50, 0).astype(np.int16)


def lesion_mask() -> NDArray[np.uint8]:
    mask = np.zeros(SHAPE, np.uint8)
    mask[6:11, 28:33, 6:9] = 1
    return mask


def bundle(verdict: str = "tumor_detected", dicom: bool = False) -> bytes:
    """The answer to ``Accept: application/zip``, as the handler gives it."""
    found = verdict == "tumor_detected"
    lesion = {"voxels": 75, "volume_ml": 0.375, "centroid_mm": CENTRE_MM, "longest_mm": 5.7, "slices": [6, 8]}
    geometry = {
        "size": SHAPE,
        "spacing_mm": [1, 1, 5],
        "affine_ras": AFFINE.tolist(),
        "orientation": "LAS",
        "source": "sform",
    }
    answer = {
        "model": {"name": "brainseg", "version": "1.0", "digest": "", "architecture": "unet"},
        "input": {"format": "nifti", "width": 40, "height": 50, "slices": 12, "geometry": geometry},
        "verdict": verdict,
        "tumor_volume_ml": 0.375 if found else 0.0,
        "lesions": [lesion] if found else [],
        "sequences": [{"channel": "flair", "recognised": "only_one", "reason": "the only one"}],
        "warnings": [{"code": "missing_sequence", "detail": "T1 is missing"}],
        "slices": [],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("mask.nii.gz", nifti(lesion_mask() if found else np.zeros(SHAPE, np.uint8)))
        packed.writestr("result.json", json.dumps(answer))
        if dicom:
            packed.writestr("scan.nii.gz", nifti(head()))
            packed.writestr("seg.dcm", b"a segmentation")
    return buffer.getvalue()


class Answers:
    """Stands in for the server; keeps what was asked."""

    def __init__(self, page: Page, body: bytes, status: int = 200) -> None:
        self.body, self.status = body, status
        self.asked: list[tuple[str, Mapping[str, str], bytes]] = []
        page.route(re.compile("/api/v1/segment"), self._answer)

    def _answer(self, route: Route) -> None:
        request = route.request
        self.asked.append((request.url, request.headers, request.post_data_buffer or b""))
        kind = "application/zip" if self.status == 200 else "application/problem+json"
        route.fulfill(status=self.status, content_type=kind, body=self.body)


def shown(driver: Driver, times: int = 1) -> None:
    expect(driver.page.locator("#volume")).to_have_attribute("data-shown", str(times), timeout=120_000)


def red(driver: Driver) -> int:
    """Pixels of the mask's colour on the canvas."""
    drawn = driver.page.locator("#planes").screenshot()
    from PIL import Image

    picture = np.asarray(Image.open(io.BytesIO(drawn)).convert("RGB")).astype(int)
    return int(((picture[..., 0] - picture[..., 1]) > 25).sum())


def test_a_volume_is_shown_with_name_volume_and_lesions(open_page: OpenPage) -> None:
    driver = open_page()
    answers = Answers(driver.page, bundle())
    driver.drop(nifti(head()), "patient-7-flair.nii.gz")
    shown(driver)
    (url, headers, body), *more = answers.asked
    assert not more
    assert headers["accept"] == "application/zip"
    assert body[:2] == b"\x1f\x8b"
    assert "patient-7" not in url
    assert driver.text("#volume-verdict") == "Tumour detected"
    assert driver.text("#volume-ml") == "0.38 ml"
    assert driver.text("#volume-name") == "patient-7-flair.nii.gz"
    assert driver.page.title().startswith("patient-7-flair.nii.gz: Tumour detected")
    assert "T1 is missing" in driver.text("#volume-warnings")
    assert "Research use only" in driver.text("#volume-verdict-card")
    expect(driver.page.locator("#place")).to_have_text(re.compile(r"12, 5, 5 mm"))
    driver.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert red(driver) > 100
    driver.picture("volume")


def test_the_mask_lies_on_the_voxels_of_the_lesion(open_page: OpenPage) -> None:
    """At the lesion's middle NiiVue reads 1 out of the mask, beside it 0: by millimetres, not by index."""
    driver = open_page()
    Answers(driver.page, bundle())
    driver.drop(nifti(head()), "flair.nii.gz")
    shown(driver)
    driver.page.click("#volume-lesions button")
    expect(driver.page.locator("#place")).to_have_text(re.compile(r"12, 5, 5 mm.*, in the mask"))
    driver.page.locator("input[value=axial]").check(force=True)
    box = driver.page.locator("#planes").bounding_box()
    assert box
    driver.page.mouse.click(box["x"] + 0.5 * box["width"], box["y"] + 0.75 * box["height"])
    expect(driver.page.locator("#place")).to_have_text(re.compile(r"not in the mask"))
    driver.page.click("#volume-lesions button")
    for view in ("axial", "coronal", "sagittal", "surface"):
        driver.page.locator(f"input[value={view}]").check(force=True)
        driver.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert red(driver) > 30, view


def test_no_tumour_is_said_with_no_lesion_and_no_red(open_page: OpenPage) -> None:
    driver = open_page()
    Answers(driver.page, bundle("no_tumor_detected"))
    driver.drop(nifti(head()), "flair.nii.gz")
    shown(driver)
    assert driver.text("#volume-verdict") == "No tumour detected"
    expect(driver.page.locator("#volume-lesions-box")).to_be_hidden()
    assert red(driver) == 0


def test_a_folder_of_dicom_files_goes_out_as_one_zip_without_names(open_page: OpenPage) -> None:
    driver = open_page()
    answers = Answers(driver.page, bundle(dicom=True))
    files = {f"DOE^JANE-{number}": b"\0" * 128 + b"DICM" + bytes([number]) * 50 for number in range(3)}
    driver.drop_all(files)
    shown(driver)
    url, _, body = answers.asked[0]
    assert "outputs=scan" in url
    with zipfile.ZipFile(io.BytesIO(body)) as sent:
        assert sent.testzip() is None
        assert [sent.read(name) for name in sent.namelist()] == list(files.values())
        assert not any("DOE" in name for name in sent.namelist())
    name, content = driver.download("save-seg")
    assert (name, content) == ("3 files-seg.dcm", b"a segmentation")
    _, everything = driver.download("save-all")
    assert everything == answers.body


def test_sequences_go_out_under_their_names(open_page: OpenPage) -> None:
    driver = open_page()
    answers = Answers(driver.page, bundle())
    driver.drop_all({"a_T1_Gd.nii.gz": nifti(head()), "a_FLAIR.nii.gz": nifti(head()), "a_T1.nii.gz": nifti(head())})
    shown(driver)
    _, headers, body = answers.asked[0]
    assert headers["content-type"].startswith("multipart/form-data")
    for field in (b'name="flair"', b'name="t1"', b'name="t1c"'):
        assert body.count(field) == 1
    assert b"a_T1" not in body


def test_files_that_cannot_be_told_apart_are_not_forgotten(open_page: OpenPage) -> None:
    driver = open_page()
    driver.drop_all(dict.fromkeys(("a_t1.nii.gz", "a_t1c.nii.gz"), nifti(head())))
    expect(driver.page.locator("#error")).to_be_visible()
    assert driver.text("#error-title") == "Which file is which?"


def test_one_of_several_series_is_chosen_on_the_page(open_page: OpenPage) -> None:
    driver = open_page(refusals=(422,))
    problem = {"code": "several_series", "detail": "There are 2 series: 1: axial FLAIR; 2: axial FLAIR."}
    answers = Answers(driver.page, json.dumps(problem).encode(), 422)
    driver.drop(b"PK\x03\x04" + b"\0" * 400, "study.zip")
    expect(driver.page.locator("#series-form")).to_be_visible()
    assert "2: axial" in driver.text("#error-detail")
    answers.body, answers.status = bundle(dicom=True), 200
    driver.page.fill("#series", "2")
    driver.page.click("#series-form button")
    shown(driver)
    assert "series=2" in answers.asked[-1][0]
    expect(driver.page.locator("#error")).to_be_hidden()


def test_a_picture_after_a_volume_takes_its_place(open_page: OpenPage, lesion: bytes) -> None:
    driver = open_page()
    answers = Answers(driver.page, bundle())
    driver.drop(nifti(head()), "flair.nii.gz")
    shown(driver)
    driver.page.unroute(re.compile("/api/v1/segment"))
    driver.show(lesion)
    expect(driver.page.locator("#volume")).to_be_hidden()
    assert len(answers.asked) == 1
    assert "flair" not in driver.page.title()


def test_zips_of_others_are_read(open_page: OpenPage) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        packed.writestr("stored", b"1" * 1000, zipfile.ZIP_STORED)
        packed.writestr("deflated", b"2" * 1000, zipfile.ZIP_DEFLATED)
        packed.writestr("empty", b"")
    got = open_page().call(
        "zip",
        "[...await m.readZip(Uint8Array.from(atob(a[0]), (c) => c.charCodeAt(0)).buffer)]"
        ".map(([n, b]) => [n, b.length, b[0] ?? 0])",
        base64.b64encode(buffer.getvalue()).decode(),
    )
    assert got == [["stored", 1000, ord("1")], ["deflated", 1000, ord("2")], ["empty", 0, 0]]


def test_the_window_is_of_what_is_not_background(open_page: OpenPage) -> None:
    low, high = open_page().call("viewer", "m.windowOf(Float32Array.from({length: 2000}, (_, i) => i < 1000 ? -5 : i))")
    assert 1000 <= low < 1020
    assert 1980 < high < 2000


# The answers of a server.


def drawn(driver: Driver) -> None:
    driver.page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def test_the_sample_head_goes_the_whole_way(open_page: OpenPage) -> None:
    driver = open_page()
    driver.drop((SAMPLES / HEAD).read_bytes(), HEAD)
    shown(driver)
    assert driver.text("#volume-verdict") == "Tumour detected"
    assert float(driver.text("#volume-ml").removesuffix(" ml")) > 5
    expect(driver.page.locator("#volume-lesions li")).to_have_count(1)
    driver.page.click("#volume-lesions button")
    expect(driver.page.locator("#place")).to_have_text(re.compile(r", in the mask"))
    expect(driver.page.locator("#save-seg")).to_be_hidden()
    drawn(driver)
    assert red(driver) > 100
    name, data = driver.download("save-nifti")
    assert name == "head-mask.nii.gz"
    mask = np.asarray(nibabel.Nifti1Image.from_bytes(gzip.decompress(data)).dataobj)
    truth = draw_head().mask.transpose(2, 1, 0)
    assert 2 * (mask.astype(bool) & truth).sum() / (mask.sum() + truth.sum()) > 0.8


def test_the_sample_head_is_offered(open_page: OpenPage) -> None:
    driver = open_page()
    driver.page.locator(".sample", has_text="NIfTI").click()
    shown(driver)
    assert driver.text("#volume-name") == HEAD
    assert driver.text("#volume-verdict") == "Tumour detected"


def test_a_zip_of_a_dicom_series_goes_the_whole_way(open_page: OpenPage) -> None:
    head = draw_head()
    driver = open_page()
    driver.drop(dicom_zip(Phantom(head.voxels, head.affine, ())), "study.zip")
    shown(driver)
    assert driver.text("#volume-verdict") == "Tumour detected"
    expect(driver.page.locator("#volume-lesions li")).to_have_count(1)
    drawn(driver)
    assert red(driver) > 100  # the scan came back as NIfTI: the browser cannot draw DICOM
    name, data = driver.download("save-seg")
    assert name == "study-seg.dcm"
    found = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True)
    assert (found.Modality, found.Rows, found.Columns) == ("SEG", 64, 64)
