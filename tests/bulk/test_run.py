"""A run in this process: what is written, what is skipped, what is refused."""

from __future__ import annotations

import hashlib
import io
import os
import re
from dataclasses import replace
from pathlib import Path

import duckdb
import fsspec
import nibabel
import numpy as np
import pandas as pd
import pydicom
import pytest
from PIL import Image

from archive.store import ROOT
from bulk import table as tables_module
from bulk import worker as worker_module
from bulk.errors import BulkError
from bulk.release import Opened, find, open_archive
from bulk.row import MEANING, NAMES, schema
from handler.pipeline import answer
from prove.drawn.volumes import SENTINEL, dicom_series, nifti, phantom
from tests.bulk.conftest import Bulk, draw, files_of, picture, rows
from tests.gates import by_t1
from tests.rollout.stage import ARCHIVE


def test_pictures_volumes_and_studies(bulk: Bulk, tmp_path: Path, stack: bytes) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    draw(source, 2)
    (source / "stack.tiff").write_bytes(stack)
    (source / "head.nii.gz").write_bytes(nifti(phantom((64, 64, 5)), packed=True))
    for name, data in dicom_series(phantom((64, 64, 4))):
        (source / name.rpartition("/")[2]).write_bytes(data)
    (source / "broken.png").write_bytes(picture(1)[:100])
    summary = bulk.alone(source, out)
    assert (summary.scans, summary.done, summary.refused, summary.left) == (6, 6, 1, 0)
    found = {Path(row["path"]).name: row for row in rows(out)}
    broken = found.pop("broken.png")
    assert broken["error_code"] == "corrupt_image"
    assert broken["verdict"] is None
    for row in found.values():
        assert row["error_code"] is None, row
        assert row["verdict"] in ("tumor_detected", "no_tumor_detected")
        assert all((out / name).is_file() for name in row["outputs"])
        assert {Path(name).parent.name for name in row["outputs"]} == {row["input_sha256"]}
    first = found["00000.png"]
    assert first["input_sha256"] == hashlib.sha256(picture(0)).hexdigest()
    mask = np.asarray(Image.open(out / first["outputs"][0]))
    assert mask.shape == (64, 64)
    assert int((mask > 0).sum()) == first["tumor_pixels"]
    volume = nibabel.load(out / next(one for one in found["head.nii.gz"]["outputs"]))
    assert volume.shape == (64, 64, 5)
    assert found["head.nii.gz"]["tumor_volume_ml"] is not None
    series = next(row for row in found.values() if row["files"] == 4)
    seg = next(name for name in series["outputs"] if name.endswith("seg.dcm"))
    assert pydicom.dcmread(out / seg).Modality == "SEG"
    assert len(files_of(out)) == sum(len(row["outputs"]) for row in found.values())


def test_the_mask_is_the_servers(bulk: Bulk, opened: Opened, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 1), tmp_path / "out"
    bulk.alone(source, out)
    model = open_archive(opened.content, opened.sha256)
    served = answer(model, {"body": picture(0)}, {"Accept": "image/png"}).answer.body
    (written,) = files_of(out).values()
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(served))), np.asarray(Image.open(io.BytesIO(written))))


def test_a_second_run_does_nothing_again(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = draw(tmp_path / "in", 5), tmp_path / "out"
    (source / "broken.png").write_bytes(b"\x89PNG")
    bulk.alone(source, out)
    before, files = rows(out), {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*")}
    with monkeypatch.context() as patch:
        patch.setattr(worker_module, "read_scan", lambda *_: pytest.fail("a scan was read again"))
        again = bulk.alone(source, out)
    assert (again.before, again.done, again.left) == (6, 0, 0)
    assert rows(out) == before
    assert {path: path.stat().st_mtime_ns for path in (out / "masks").rglob("*")} == files
    draw(source, 2, first=5)
    more = bulk.alone(source, out)
    assert (more.before, more.done) == (6, 2)


def test_a_touched_file_is_read_but_has_no_second_row(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 2), tmp_path / "out"
    (source / "copy.png").write_bytes(picture(0))
    assert bulk.alone(source, out).alike == 1
    os.utime(source / "00001.png", (1, 1))
    again = bulk.alone(source, out)
    assert (again.before, again.alike, again.done) == (2, 1, 0)
    assert len(rows(out)) == 2


def test_a_version_is_part_of_the_key(detector_store: Path, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 2), tmp_path / "out"
    for version in ("1.0", "2.0"):
        archive = detector_store / f"brainseg-{version}.mar"
        assert Bulk(find(archive, version), archive).alone(source, out).done == 2
    found = rows(out)
    assert sorted(row["version"] for row in found) == ["1.0", "1.0", "2.0", "2.0"]
    assert len({row["input_sha256"] for row in found}) == 2


def test_a_volume_that_the_model_does_not_know_has_its_score(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    (source / "head.nii").write_bytes(nifti(phantom((64, 64, 5))))
    gated = replace(open_archive(bulk.opened.content, bulk.opened.sha256), gate=by_t1(0.01))
    monkeypatch.setattr(worker_module, "open_archive", lambda *_: gated)
    assert bulk.alone(source, out).refused == 1
    (row,) = rows(out)
    assert (row["error_code"], row["verdict"], row["trust_accepted"]) == ("not_assessed", "not_assessed", False)
    assert 0 <= row["trust_score"] < 1
    assert row["trust_reasons"]
    assert row["slices"] == 5
    assert not files_of(out)


def test_what_cannot_be_read_is_tried_again_and_then_has_one_row(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 1), tmp_path / "out"
    manifest = tmp_path / "list.csv"
    manifest.write_text("path\nin/00000.png\nin/late.png\n")
    first = bulk.alone(manifest, out)
    assert (first.done, first.refused, first.again) == (2, 1, 1)
    (late,) = [row for row in rows(out) if row["error_code"]]
    assert (late["error_code"], late["input_sha256"]) == ("unreadable", None)
    (source / "late.png").write_bytes(picture(7))
    second = bulk.alone(manifest, out)
    assert (second.before, second.done, second.refused) == (1, 1, 0)
    assert [row["error_code"] for row in rows(out)] == [None, None]
    assert not list(out.rglob("unfinished.parquet"))


def test_a_fault_of_ours_is_a_row_without_its_words(
    bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = draw(tmp_path / "in", 3), tmp_path / "out"
    whole = worker_module.result_of

    def one_fails(scan: worker_module.Scan, *rest: object) -> object:
        if scan.path.endswith("00001.png"):
            raise KeyError(SENTINEL)
        return whole(scan, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(worker_module, "result_of", one_fails)
    assert bulk.alone(source, out).again == 1
    (fault,) = [row for row in rows(out) if row["error_code"]]
    assert fault["error_code"] == "internal_error"
    assert "KeyError" in fault["error_detail"]
    assert SENTINEL not in fault["error_detail"]


def test_no_room_ends_the_run_and_is_no_row(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source, out = draw(tmp_path / "in", 3), tmp_path / "out"

    def full(_self: object, name: str, _data: bytes) -> None:
        raise OSError(28, "No space left on device", name)

    with monkeypatch.context() as patch:
        patch.setattr(worker_module.Destination, "write", full)
        summary = bulk.alone(source, out)
    assert "No space left" in summary.full
    assert (summary.done, summary.left) == (0, 3)
    assert bulk.alone(source, out).done == 3


def test_stopped_it_goes_on_later(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 8), tmp_path / "out"
    asked = iter([False] * 3 + [True] * 1000)
    first = bulk.alone(source, out, stopped=lambda: next(asked))
    assert 0 < first.done < 8
    assert first.left == 8 - first.done
    assert len(rows(out)) == first.done
    assert bulk.alone(source, out).done == first.left
    assert len({row["input_sha256"] for row in rows(out)}) == len(rows(out)) == 8


def test_parts_are_written_on_the_way(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tables_module, "PART_ROWS", 3)
    source, out = draw(tmp_path / "in", 8), tmp_path / "out"
    bulk.alone(source, out)
    assert len(list((out / "table" / "1.0").glob("part-*.parquet"))) == 3
    assert len(rows(out)) == 8


def test_the_limits_of_the_handler_hold(bulk: Bulk, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    with (source / "large.png").open("wb") as file:
        file.truncate(65 * 2**20)
    (source / "small.png").write_bytes(picture(1, side=8))
    (source / "empty.png").touch()
    bulk.alone(source, out)
    codes = {Path(row["path"]).name: row["error_code"] for row in rows(out)}
    assert codes == {"large.png": "too_large", "small.png": "unsupported_shape", "empty.png": "empty_body"}
    again = bulk.alone(source, out)  # the large one, which has no digest to be known by
    assert (again.scans, again.before, again.again) == (3, 2, 1)
    assert sorted(Path(row["path"]).name for row in rows(out)) == ["empty.png", "large.png", "small.png"]


def test_an_archive_that_was_tampered_with_is_not_believed(opened: Opened, packaged: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="has digest"):
        open_archive(opened.content + b"x", opened.sha256)
    with pytest.raises(BulkError, match=r"expected brainseg 3\.0"):
        find(packaged / ARCHIVE, "3.0")
    (tmp_path / "x.mar").write_bytes(opened.content[:-1])
    with pytest.raises(BulkError, match="is refused"):
        find(tmp_path / "x.mar", "1.0")


def test_an_address_for_scans_and_results(bulk: Bulk) -> None:
    memory = fsspec.filesystem("memory")
    try:
        for number in range(3):
            memory.pipe_file(f"/store/in/{number}.png", picture(number))
        assert bulk.alone("memory://store/in", "memory://store/out").done == 3
        names = memory.find("/store/out")
        assert sum(name.endswith("mask.png") for name in names) == 3
        assert any(name.endswith("report.html") for name in names)
        again = bulk.alone("memory://store/in", "memory://store/out")
        assert again.done == 0
    finally:
        memory.rm("/store", recursive=True)


def test_no_identifier_of_a_patient_leaves(bulk: Bulk, tmp_path: Path) -> None:
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for name, data in dicom_series(phantom((64, 64, 4))):
        (source / name.rpartition("/")[2]).write_bytes(data)
    (source / "cut.dcm").write_bytes(dicom_series(phantom((64, 64, 4)), study="2")[0][1][:2000])
    bulk.alone(source, out)
    assert len(rows(out)) == 2
    for path in [*out.rglob("*.parquet"), out / "report.html"]:
        assert SENTINEL.encode() not in path.read_bytes()
    assert SENTINEL not in str(rows(out)) + str(bulk.lines)


def test_the_report(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "john-doe", 3), tmp_path / "out"
    (source / "broken.png").write_bytes(picture(1)[:100])
    (source / "notes.txt").write_text("words")
    bulk.alone(source, out, gallery=2)
    text = (out / "report.html").read_text()
    assert text.count("Research use only. Not a medical device.") == 2
    assert "john-doe" not in text
    assert "4 scans" in text
    assert "corrupt_image" in text
    assert "no scan by its name or its first bytes" in text
    with_tumour = [row for row in rows(out) if row["tumor_pixels"]]
    assert text.count("<img") == min(2, len(with_tumour))


def test_the_table_is_read_by_others(bulk: Bulk, tmp_path: Path) -> None:
    source, out = draw(tmp_path / "in", 3), tmp_path / "out"
    bulk.alone(source, out)
    counted = duckdb.sql(
        f"select verdict, count(*), avg(seconds) > 0 from '{out}/table/**/*.parquet' group by verdict"  # noqa: S608
    ).fetchall()
    assert sum(row[1] for row in counted) == 3
    frame = pd.read_parquet(out / "table")
    assert list(frame.columns) == list(NAMES)
    assert (frame.version == "1.0").all()


def test_the_page_says_what_the_table_has() -> None:
    text = (ROOT / "docs" / "bulk.md").read_text(encoding="utf-8")
    said = re.findall(r"^\| `(\w+)` \| ([\w<>:, ]+?)( or null)? \| (.+) \|$", text, re.MULTILINE)
    found = schema()
    unnamed = re.compile("(element|item): ")
    expected = []
    for one in found:
        expected.append(
            (one.name, unnamed.sub("", str(one.type)), " or null" if one.nullable else "", MEANING[one.name])
        )
    assert said == expected


def test_two_runs_do_not_share_a_folder(bulk: Bulk, tmp_path: Path) -> None:
    from brainseg_client.lock import alone_in

    source, out = draw(tmp_path / "in", 1), tmp_path / "out"
    with alone_in(out), pytest.raises(BulkError, match="another run writes"):
        bulk.alone(source, out)
