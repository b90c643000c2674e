"""Several scans at once: a list with a verdict beside each name, which survives a reload and is saved as a whole."""

from __future__ import annotations

import base64
import csv
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from playwright.sync_api import Page, expect
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from archive.store import SAMPLES
from prove.drawn.volumes import Phantom, dicom_series, nifti
from samples.head import draw_head
from samples.make import HEAD
from tests.browser.alone import Alone, digest
from tests.browser.driver import Driver
from tests.browser.faults import faults

pytestmark = [pytest.mark.server, pytest.mark.browser]
OpenPage = Callable[..., Driver]
NAMES = ".row-name"


def verdicts(page: Page) -> dict[str, str]:
    names, said = page.locator(NAMES).all_inner_texts(), page.locator(".row-verdict").all_inner_texts()
    return dict(zip(names, said, strict=True))


def answered(driver: Driver, count: int) -> None:
    expect(driver.page.locator("#list-words")).to_contain_text(f"{count} of")
    expect(driver.page.locator("#list-stop")).to_be_hidden()
    driver.settle()


def kept(driver: Driver) -> None:
    expect(driver.page.locator("#kept-words")).to_contain_text("Kept in this tab")
    driver.rest(300)


def test_several_pictures_become_a_list_with_a_verdict_each(
    open_alone: OpenPage, alone: Alone, lesion: bytes, healthy: bytes, stack: bytes, axe: str
) -> None:
    driver = open_alone(refusals=(422,))
    alone.refused[digest(healthy)] = "corrupt_image"
    driver.drop_all({"anna.png": lesion, "bert.png": healthy, "carl.tiff": stack, "notes.txt": b"no scan"})
    answered(driver, 2)
    assert verdicts(driver.page) == {
        "anna.png": "Tumour detected",
        "bert.png": "The file is damaged",
        "carl.tiff": "Tumour detected",
    }
    assert "notes.txt" in driver.text("#list-skipped")
    assert driver.text("#list-words") == "2 of 3 scans answered, 2 with tumour, 1 failed"
    assert not faults(driver.page, axe)
    driver.page.click(f"{NAMES}:text('carl')")
    expect(driver.page.locator("#name")).to_have_text("carl.tiff")
    assert driver.page.title() == "carl.tiff: Tumour detected – BrainSeg"
    driver.page.click("[aria-label='Retry bert.png']")
    answered(driver, 3)
    assert verdicts(driver.page)["bert.png"] == "No tumour detected"
    assert driver.text("#name") == "carl.tiff", "what is on show changed by itself"

    # It is all there after a reload, and after a look elsewhere; the button forgets it.
    kept(driver)
    before, asked = verdicts(driver.page), len(alone.asked)
    driver.page.reload()
    expect(driver.page.locator("#name")).to_have_text("carl.tiff")
    driver.settle()
    assert verdicts(driver.page) == before
    assert driver.mask().any()
    driver.page.goto(f"{driver.page.url}livez")
    driver.page.go_back()
    expect(driver.page.locator("#verdict")).to_have_text("Tumour detected")
    driver.page.click(f"{NAMES}:text('bert')")
    expect(driver.page.locator("#verdict")).to_have_text("No tumour detected")
    assert len(alone.asked) == asked, "a restored answer was asked for again"
    everything = "async () => JSON.stringify(await caches.keys())"
    assert driver.page.evaluate(everything) == "[]"
    driver.page.click("#clear")
    expect(driver.page.locator("#result")).to_be_hidden()
    driver.rest(500)
    assert driver.page.locator(NAMES).count() == 0
    assert driver.call("keep", "m.names('')") == []


def test_what_is_kept_cannot_be_read_without_the_tab(open_alone: OpenPage, lesion: bytes) -> None:
    driver = open_alone()
    driver.show(lesion, "DOE^JANE.png")
    kept(driver)
    stored = """async () => {
      const open = indexedDB.open("brainseg");
      await new Promise((done) => { open.onsuccess = done; });
      const all = open.result.transaction("kept").objectStore("kept").getAll();
      await new Promise((done) => { all.onsuccess = done; });
      return all.result.map(({ data }) => new TextDecoder("latin1").decode(data)).join("");
    }"""
    text = driver.page.evaluate(stored)
    assert len(text) > len(lesion)
    assert not any(mark in text for mark in ("JANE", "PNG", "tumor_detected"))
    driver.page.evaluate("sessionStorage.clear()")
    driver.page.reload()
    driver.rest(500)
    expect(driver.page.locator("#result")).to_be_hidden()


def test_everything_as_a_zip_and_as_a_table(open_alone: OpenPage, lesion: bytes, stack: bytes) -> None:
    driver = open_alone()
    formula = "=HYPERLINK(1).png"
    driver.drop_all({formula: lesion, "s.tiff": stack})
    answered(driver, 2)
    name, data = driver.download("list-csv")
    assert name == "brainseg-results.csv"
    rows = list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"))))
    assert [row["name"] for row in rows] == [f"'{formula}", "s.tiff"]
    assert {row["verdict"] for row in rows} == {"tumor_detected"}
    assert rows[0]["notice"] == "Research use only. Not a medical device."
    _, packed = driver.download("list-zip")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        assert names[0] == "results.csv"
        assert names[1:3] == ["001-_HYPERLINK_1_/result.json", "001-_HYPERLINK_1_/mask.png"]
        assert [name for name in names if "mask" in name][1:] == [f"002-s/mask-00{n}.png" for n in range(8)]
        mask = imagecodecs.png_decode(archive.read(names[2]))
        told = json.loads(archive.read(names[1]))
    assert np.count_nonzero(mask) == told["tumor_pixels"] == int(rows[0]["tumor_pixels"])


@pytest.mark.parametrize(
    ("value", "wanted"),
    [("=1+1", "'=1+1"), ("  @x", "'  @x"), ("-2", "'-2"), ("a,b", '"a,b"'), ('"', '""""'), (-2, "-2"), (None, "")],
)
def test_cells_of_the_table_are_no_formulas(page_tool: Driver, value: object, wanted: str) -> None:
    assert page_tool.call("table", "m.cell(a[0])", value) == (f'"{wanted}"' if wanted.startswith("'") else wanted)


def test_a_folder_of_patients_is_sorted_into_scans(page_tool: Driver) -> None:
    """By the study of DICOM files, by folder and name of NIfTI files; pictures one by one."""
    head = draw_head()
    phantom = Phantom(head.voxels, head.affine, ())
    syntaxes = {"x": ExplicitVRLittleEndian, "y": ImplicitVRLittleEndian}
    given = {
        f"ward/{study}/{n}": data
        for study, syntax in syntaxes.items()
        for n, (_, data) in enumerate(dicom_series(phantom, study=study, transfer_syntax=syntax)[:3])
    }
    volume = nifti(phantom, packed=True)
    given |= {f"ward/p{n}/{part}.nii.gz": volume for n in (1, 2) for part in ("flair", "t1", "t1c")}
    given |= {"ward/q_t1.nii.gz": volume, "ward/q_flair.nii.gz": volume, "ward/alone.nii.gz": volume}
    given |= {"ward/1.png": b"a picture", "ward/.hidden": b"1", "ward/empty.png": b""}
    files = [[path, base64.b64encode(data).decode()] for path, data in given.items()]
    script = """m.sortOut(a[0].map(([path, text]) => ({ path, file: new File([Uint8Array.from(atob(text), (c) =>
      c.charCodeAt(0))], path.split("/").at(-1)) }))).then(({ scans, skipped }) => [Object.fromEntries(scans.map(
      (scan) => [scan.name, scan.picture ? "picture" : scan.files ? `${scan.files.length} files` :
      scan.parts.map(([field]) => field).join("+")])), skipped])"""
    scans, skipped = page_tool.call("scans", script, files)
    assert scans == {
        "ward/1.png": "picture",
        "ward/p1/flair.nii.gz": "flair+t1+t1c",
        "ward/p2/flair.nii.gz": "flair+t1+t1c",
        "ward/q_flair.nii.gz": "t1+flair",
        "ward/alone.nii.gz": "file",
        "ward/x": "3 files",
        "ward/y": "3 files",
    }
    assert skipped == ["ward/empty.png"]


def test_a_folder_that_is_chosen_is_a_list(open_page: OpenPage, tmp_path: Path, lesion: bytes, healthy: bytes) -> None:
    """Before a server: Playwright hands a body that lies on disk to nobody."""
    ward = tmp_path / "ward"
    for name, data in {"p1/slice.png": lesion, "p2/slice.png": healthy, "p10/slice.png": lesion}.items():
        (ward / name).parent.mkdir(parents=True, exist_ok=True)
        (ward / name).write_bytes(data)
    driver = open_page()
    driver.page.set_input_files("#folder", ward)
    answered(driver, 3)
    assert list(verdicts(driver.page).items()) == [
        ("ward/p1/slice.png", "Tumour detected"),
        ("ward/p2/slice.png", "No tumour detected"),
        ("ward/p10/slice.png", "Tumour detected"),
    ]


def test_a_folder_that_is_dropped_is_searched_below(page_tool: Driver) -> None:
    """By the entries that a browser gives; more than a hundred files come in several readings."""
    script = """(async () => {
      const file = (path) => new File(["1"], path.split("/").at(-1));
      const leaf = (path) => ({ isFile: true, fullPath: path, file: (done) => done(file(path)) });
      const node = (path, inner) => ({ isDirectory: true, fullPath: path, createReader() {
        const left = [...inner];
        return { readEntries: (done) => done(left.splice(0, 100)) };
      } });
      const many = Array.from({ length: 250 }, (_, n) => leaf(`/ward/many/${n}.dcm`));
      const top = node("/ward", [leaf("/ward/b.png"), node("/ward/many", many), leaf("/ward/a.png")]);
      const found = await m.dropped({ items: [{ webkitGetAsEntry: () => top }], files: [] });
      return found.map(({ path, file }) => `${path} ${file.name}`);
    })()"""
    found = page_tool.call("scans", script)
    assert found[:3] == ["ward/a.png a.png", "ward/b.png b.png", "ward/many/0.dcm 0.dcm"]
    assert len(found) == 252


def test_volumes_and_pictures_in_one_list(open_alone: OpenPage, lesion: bytes) -> None:
    driver = open_alone()
    driver.drop_all({HEAD: (SAMPLES / HEAD).read_bytes(), "p.png": lesion})
    answered(driver, 2)
    volume = driver.page.locator(".row", has_text=HEAD)
    expect(volume.locator(".row-more")).to_contain_text(" ml, ")
    volume.click()
    expect(driver.page.locator("#volume-name")).to_have_text(HEAD)
    expect(driver.page.locator("#result")).to_be_hidden()
    kept(driver)
    driver.page.reload()
    expect(driver.page.locator("#volume-name")).to_have_text(HEAD)
    assert driver.page.title() == f"{HEAD}: Tumour detected – BrainSeg"
    expect(driver.page.locator("#volume-lesions li")).to_have_count(1)
    _, packed = driver.download("list-zip")
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        names = archive.namelist()
    assert any(name.endswith("head/mask.nii.gz") for name in names)
    assert not any("scan" in name for name in names), "scans go into no archive of results"


def test_a_queue_is_stopped_and_goes_on_after_a_broken_connection(
    open_alone: OpenPage, alone: Alone, lesion: bytes, healthy: bytes
) -> None:
    driver = open_alone(refusals=("net::ERR_FAILED",))
    alone.held = True
    driver.drop_all({f"{n}.png": lesion for n in range(4)})
    expect(driver.page.locator(".row-verdict:text('Being analysed')")).to_have_count(2)
    expect(driver.page.locator(".row-verdict:text('Waiting')")).to_have_count(2)
    expect(driver.page.locator("#list-bar")).to_be_visible()
    driver.page.click("#list-stop")
    expect(driver.page.locator(".row-verdict:text('stopped')")).to_have_count(4)
    alone.waiting.clear()
    alone.held, alone.cut = False, True
    driver.page.click("#list-retry")
    expect(driver.page.locator("#ready-text")).to_have_text("Not reachable")
    assert "Ready" not in driver.text("#ready")
    alone.cut = False
    answered(driver, 4)
    expect(driver.page.locator("#ready-text")).to_have_text("Ready")


def test_unreachable_and_ready_are_never_said_at_once(open_alone: OpenPage, alone: Alone, lesion: bytes) -> None:
    driver = open_alone(refusals=("net::ERR_FAILED",))
    expect(driver.page.locator("#ready-text")).to_have_text("Ready")
    alone.cut = True
    driver.drop(lesion, "a.png")
    expect(driver.page.locator("#error-title")).to_have_text("The server cannot be reached")
    assert driver.text("#ready-text") == "Not reachable"
    alone.cut = False
    expect(driver.page.locator("#ready-text")).to_have_text("Ready")
    assert driver.text("#error-title") == "The connection broke"
    driver.page.click("#error-again")
    expect(driver.page.locator("#verdict")).to_have_text("Tumour detected")
