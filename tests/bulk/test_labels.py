"""A model that tells parts of a tumour apart: its results beside those of the segmentation itself, and of before."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import nibabel
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pydicom
import pytest
import tifffile
import typer
from numpy.typing import NDArray
from PIL import Image
from typer.testing import CliRunner

from archive.store import REGIONS_NAME
from bulk import worker as worker_module
from bulk.errors import BulkError
from bulk.release import find, open_archive
from bulk.row import LATER
from handler.pipeline import answer
from prove.drawn.pictures import png
from prove.drawn.volumes import dicom_series, nifti
from scripts.commands import bulk as command
from scripts.commands.bulk_cost import main as cost
from tests.bulk.conftest import Bulk, draw, files_of, lasting, rows
from tests.gates import by_t1
from tests.handler.volumes.test_classes import scan_of
from tests.labelled import LABELS, REGIONS, SOFTMAX, painted, truth

KEY = f"{REGIONS_NAME}-0.1"
COARSE = np.stack([truth(128), np.zeros((128, 128), np.uint8), truth(128, core=False)])
STACK = COARSE.repeat(2, axis=1).repeat(2, axis=2)
NAMES = [label.name for label in LABELS]


def stack_of(masks: NDArray[np.uint8]) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, painted(masks), photometric="rgb")
    return buffer.getvalue()


def mixed(folder: Path) -> Path:
    """A picture, a stack, a volume and a DICOM series, each with parts of a tumour; one that is broken."""
    folder.mkdir()
    (folder / "one.png").write_bytes(png(painted(STACK[0])))
    (folder / "stack.tiff").write_bytes(stack_of(STACK))
    scan, _ = scan_of()
    (folder / "head.nii.gz").write_bytes(nifti(scan, packed=True))
    for name, data in dicom_series(scan_of(thick=5.0)[0]):
        (folder / name.rpartition("/")[2]).write_bytes(data)
    (folder / "broken.png").write_bytes(png(painted(STACK[0]))[:200])
    return folder


def values_of(out: Path, row: dict[str, Any]) -> NDArray[np.uint8]:
    """The mask that ``row`` names."""
    name = next(one for one in row["outputs"] if Path(one).name.startswith("mask."))
    if name.endswith(".nii.gz"):
        return np.asarray(nibabel.load(out / name).dataobj)
    return np.asarray(tifffile.imread(out / name) if name.endswith(".tiff") else Image.open(out / name))


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, labelled_archive: Path) -> tuple[Bulk, Path, Path]:
    """(who ran, source, results), to read."""
    who = Bulk(find(labelled_archive, "0.1", REGIONS_NAME), labelled_archive)
    folder = tmp_path_factory.mktemp("labels")
    source, out = mixed(folder / "in"), folder / "out"
    summary = who.alone(source, out, gallery=2)
    assert (summary.scans, summary.done, summary.refused) == (5, 5, 1)
    return who, source, out


def test_the_table_has_what_the_masks_have(done: tuple[Bulk, Path, Path]) -> None:
    who, _, out = done
    found = {row["format"]: row for row in rows(out)}
    broken = found.pop(None)
    assert (broken["error_code"], broken["labels"], broken["regions"]) == ("corrupt_image", None, None)
    assert {(row["model"], row["version"]) for row in (broken, *found.values())} == {(REGIONS_NAME, "0.1")}
    for kind, row in found.items():
        mask = values_of(out, row)
        assert [(one["value"], one["name"]) for one in row["labels"]] == [(one.value, one.name) for one in LABELS]
        for one in row["labels"]:
            assert one["pixels"] == np.count_nonzero(mask == one["value"]) > 0
            assert (one["volume_ml"] is None) == (kind in ("png", "tiff"))
            assert 0 < one["max_probability"] <= 1
        for one, region in zip(row["regions"], REGIONS[SOFTMAX], strict=True):
            assert (one["name"], one["pixels"]) == (region.name, np.isin(mask, region.labels).sum())
        assert row["regions"][0]["pixels"] == row["tumor_pixels"]
    np.testing.assert_array_equal(values_of(out, found["tiff"]), STACK)
    seg = next(name for name in found["dicom"]["outputs"] if name.endswith("seg.dcm"))
    assert [one.SegmentLabel for one in pydicom.dcmread(out / seg).SegmentSequence if one.SegmentNumber] == NAMES
    served = answer(
        open_archive(who.opened.content, who.opened.sha256), {"body": stack_of(STACK)}, {"Accept": "image/tiff"}
    )
    np.testing.assert_array_equal(tifffile.imread(io.BytesIO(served.answer.body)), STACK)


def test_others_read_the_parts(done: tuple[Bulk, Path, Path]) -> None:
    _, _, out = done
    found = duckdb.sql(
        "select part.name, sum(part.pixels), count(part.volume_ml) "  # noqa: S608
        f"from (select unnest(labels) part from '{out}/table/**/*.parquet') group by 1 order by 1"
    ).fetchall()
    table = rows(out)
    summed = {
        name: sum(one["pixels"] for row in table for one in row["labels"] or () if one["name"] == name)
        for name in NAMES
    }
    assert found == [(name, summed[name], 2) for name in sorted(NAMES)]
    frame = pd.read_parquet(out / "table")
    parts = pd.json_normalize(frame.explode("labels").labels.dropna())
    assert parts.groupby("name").pixels.sum().to_dict() == summed


def test_the_report_shows_them(done: tuple[Bulk, Path, Path]) -> None:
    text = (done[2] / "report.html").read_text()
    assert f"<title>{REGIONS_NAME} 0.1</title>" in text
    for label in LABELS:
        colour = "#{:02x}{:02x}{:02x}".format(*label.colour)
        assert f'style="background:{colour}"></span>label {label.name}<' in text
        assert f'<td>{label.name}</td><td class="n">4 of 4</td>' in text
    assert "<td>tumour core</td>" in text
    assert text.count("<img") == 2
    assert "missing_sequence" in text
    assert f"; {NAMES[0]} " in text.partition("The largest tumours")[2]


def test_models_share_a_place_and_no_results(bulk: Bulk, labelled: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 3), tmp_path / "out"
    assert bulk.alone(source, out).done == 3
    masks, report = files_of(out), (out / "report.html").read_text()
    table = rows(out)
    assert all(name.startswith("masks/1.0/") for name in masks)
    assert "Parts of the tumour" not in report
    first = labelled.alone(source, out)
    assert (first.before, first.done) == (0, 3)
    for who in (bulk, labelled):
        again = who.alone(source, out)
        assert (again.before, again.done, again.left) == (3, 0, 0)
    found = rows(out)
    assert [lasting(row) for row in found if row["model"] == "brainseg"] == [lasting(row) for row in table]
    assert all((row["labels"] is None) == (row["model"] == "brainseg") for row in found)
    assert {name: data for name, data in files_of(out).items() if name in masks} == masks
    assert sum(name.startswith(f"masks/{KEY}/") for name in files_of(out)) == 3


def as_before(out: Path) -> None:
    """The table as a build wrote it that knew one model: without the later columns, under a name of its kind."""
    (part,) = (out / "table" / "1.0").glob("*.parquet")
    pq.write_table(pq.read_table(part).drop_columns(sorted(LATER)), part.with_name("part-ffffffffffff-000000.parquet"))
    part.unlink()


def test_results_of_before_stay_and_are_read_beside_new_ones(bulk: Bulk, labelled: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 3), tmp_path / "out"
    bulk.alone(source, out)
    as_before(out)
    masks = files_of(out)
    again = bulk.alone(source, out, gallery=1)
    assert (again.before, again.done) == (3, 0)
    assert files_of(out) == masks
    draw(source, 2, first=3)
    more = bulk.alone(source, out)
    assert (more.before, more.done) == (3, 2)
    labelled.alone(source, out)
    place = f"'{out}/table/**/*.parquet'"
    assert len(duckdb.sql(f"select * from {place}").fetchall()) == 10  # noqa: S608  as who knows no later column
    counted = "select model, count(*), count(labels) from read_parquet({}, union_by_name = true) group by 1 order by 1"
    assert duckdb.sql(counted.format(place)).fetchall() == [("brainseg", 2, 0), (REGIONS_NAME, 5, 5), (None, 3, 0)]
    assert len(pd.read_parquet(out / "table")) == 10
    app = typer.Typer()
    app.command()(cost)
    for more_of, scans in (((), 5), (("--model", REGIONS_NAME), 5)):
        version = "0.1" if more_of else "1.0"
        printed = CliRunner().invoke(app, [str(out), "--core-hour", "1", "--version", version, *more_of])
        assert printed.exit_code == 0, printed.output
        assert f" {scans} " in printed.output


def test_what_the_model_does_not_know_has_no_parts(
    labelled: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "one.png").write_bytes(png(painted(STACK[0])))
    gated = replace(open_archive(labelled.opened.content, labelled.opened.sha256), gate=by_t1(0.01))
    monkeypatch.setattr(worker_module, "open_archive", lambda *_: gated)
    labelled.alone(source, out)
    (row,) = rows(out)
    assert (row["error_code"], row["labels"], row["regions"]) == ("not_assessed", None, None)
    assert "Parts of the tumour" not in (out / "report.html").read_text()


def test_what_cannot_be_read_yet_is_tried_again(labelled: Bulk, tmp_path: Path) -> None:
    manifest, out = tmp_path / "list.csv", tmp_path / "out"
    manifest.write_text("path\nlate.png\n")
    assert labelled.alone(manifest, out).again == 1
    assert [(row["model"], row["labels"]) for row in rows(out)] == [(REGIONS_NAME, None)]
    (tmp_path / "late.png").write_bytes(png(painted(STACK[0])))
    assert labelled.alone(manifest, out).done == 1
    (row,) = rows(out)
    assert [one["name"] for one in row["labels"]] == NAMES


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and everything said by the command, in this process."""
    app = typer.Typer()
    app.command()(command.main)
    done = CliRunner().invoke(app, arguments)
    return done.exit_code, done.output


def test_the_command_takes_the_models_name(
    labelled_archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "Told", lambda: lambda: False)  # signals are pytest's
    monkeypatch.setattr(command, "console", command.Console(force_terminal=False, soft_wrap=True))
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "one.png").write_bytes(png(painted(STACK[0])))
    store = tmp_path / "store"
    store.mkdir()
    (store / labelled_archive.name).symlink_to(labelled_archive)
    given = (str(source), "--out", str(out), "--model-store", str(store), "--workers", "0", "--model")
    for name, said in (
        ("brainseg-types", "brainseg-types names a class for a slice and makes no masks; --model expects brainseg or"),
        ("other\x1b", "no model other\\x1b; --model expects brainseg or brainseg-regions"),
        (REGIONS_NAME, f"no release of {REGIONS_NAME} in"),
    ):
        status, text = run(*given, name)
        assert status == 2
        assert said in text
        assert len(text.strip().splitlines()) == 1
    assert not out.exists()
    status, text = run(*given, REGIONS_NAME, "--version", "0.2")
    assert (status, f"no version 0.2 of {REGIONS_NAME}" in text) == (2, True)
    assert run(*given, REGIONS_NAME, "--version", "0.1")[0] == 0
    assert [row["model"] for row in rows(out)] == [REGIONS_NAME]


def test_an_archive_of_another_model_is_refused(labelled_archive: Path) -> None:
    with pytest.raises(BulkError, match=r"holds brainseg-regions 0\.1, expected brainseg 0\.1"):
        find(labelled_archive, "0.1")
