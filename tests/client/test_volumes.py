"""Volumes by the command and the client: what is one scan, what is sent, what lies beside the record."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest

from brainseg_client import Client, ScanError, UnreachableError, command, volumes
from brainseg_client.jobs import plan_jobs
from brainseg_client.results import segmentation
from brainseg_client.volumes import is_volume, read_series, series_files, unpacked
from prove.drawn.volumes import Phantom, dicom_series, dicom_zip, nifti, phantom
from prove.server import Server
from samples.head import draw_head
from tests.client.standin import VOLUME_FILES, Door, standing

SMALL = phantom(size=(16, 16, 2))
_DRAWN = draw_head()
HEAD = Phantom(_DRAWN.voxels, _DRAWN.affine, ())


@pytest.fixture
def door() -> Iterator[Door]:
    with standing() as found:
        yield found


def segment(url: str, *arguments: object) -> int:
    return command.main(["segment", *map(str, arguments), "--url", url])


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "measurements.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def series_in(folder: Path, suffix: str = "") -> Path:
    """A DICOM series in ``folder``, its files called as scanners do."""
    folder.mkdir(parents=True)
    for number, (_, data) in enumerate(dicom_series(SMALL)):
        (folder / f"IM{number}{suffix}").write_bytes(data)
    return folder


def test_hidden_files_of_a_folder_are_no_part_of_its_series(tmp_path: Path) -> None:
    folder = series_in(tmp_path / "study", ".dcm")
    (folder / "._IM0.dcm").write_bytes(b"\0\5\x16\7 of macOS, beside each file on other disks")
    assert [path.name for path in series_files(folder)] == ["IM0.dcm", "IM1.dcm"]


def test_volumes_are_known_by_their_first_bytes(lesion: bytes, stack: bytes) -> None:
    for data in (
        nifti(SMALL), nifti(SMALL, packed=True), nifti(SMALL, version=2), nifti(SMALL, big_endian=True),
        dicom_series(SMALL)[0][1], dicom_zip(SMALL),
    ):  # fmt: skip
        assert is_volume(data)
    for data in (lesion, stack, b"", b"\xff\xd8\xff\xe0", b"GIF89a"):
        assert not is_volume(data)


def test_what_of_a_folder_is_one_scan(tmp_path: Path) -> None:
    folder = tmp_path / "ward"
    series_in(folder / "1.2.840")  # a folder's name has no ending
    series_in(folder / "study" / "t1", ".dcm")
    (folder / "single").mkdir()
    (folder / "single" / "enhanced.dcm").write_bytes(dicom_series(SMALL)[0][1])
    for name in ("a.nii.gz", "b.nii", "b.png", "c.zip", "notes.txt", "DICOMDIR", "d_mask.nii.gz"):
        (folder / name).write_bytes(bytes(128) + b"DICM" if name == "DICOMDIR" else b"x")
    jobs = {job.name: job for job in plan_jobs([folder], tmp_path / "out", "*_mask.*")}
    stems = {name: job.stem.relative_to(tmp_path / "out").as_posix() for name, job in jobs.items()}
    assert stems == {
        "ward/1.2.840": "ward/1.2.840",
        "ward/a.nii.gz": "ward/a",
        "ward/b.nii": "ward/b.nii",
        "ward/b.png": "ward/b.png",
        "ward/c.zip": "ward/c",
        "ward/single/enhanced.dcm": "ward/single/enhanced",
        "ward/study/t1": "ward/study/t1",
    }
    assert [path.name for path in jobs["ward/1.2.840"].parts] == ["IM0", "IM1"]
    assert len(jobs["ward/study/t1"].parts) == 2
    (job,) = plan_jobs([folder / "1.2.840"], tmp_path / "out", "*_mask.*")
    assert (job.name, job.stem) == ("1.2.840", tmp_path / "out" / "1.2.840")


def test_files_lie_beside_the_record_which_vouches_for_them(door: Door, tmp_path: Path) -> None:
    folder = series_in(tmp_path / "DOE-JANE")
    scan, out = tmp_path / "a.nii.gz", tmp_path / "out"
    scan.write_bytes(nifti(SMALL, packed=True))
    (tmp_path / "p.png").write_bytes(b"a picture")
    arguments = (folder, scan, tmp_path / "p.png", "--out", out, "--threshold", 0.25)
    assert segment(door.url, *arguments) == 0
    written = {path.name for path in out.iterdir() if not path.name.startswith(".")}
    endings = ("json", "mask.nii.gz", "seg.dcm", "sr-volume.dcm")
    assert written >= {f"{stem}.{ending}" for stem in ("a", "DOE-JANE") for ending in endings}
    assert "a.mask.png" not in written
    assert (out / "a.seg.dcm").read_bytes() == VOLUME_FILES["seg.dcm"]
    record = json.loads((out / "DOE-JANE.json").read_text())
    digests = {one["file"]: one["sha256"] for one in record["pictures"].values()}
    assert digests == {f".{name}": hashlib.sha256(data).hexdigest() for name, data in VOLUME_FILES.items()}
    assert [(row["file"], row["tumor_volume_ml"], row["lesions"]) for row in rows(out)] == [
        ("DOE-JANE", "0.75", "2"), ("a.nii.gz", "0.75", "2"), ("p.png", "", ""),
    ]  # fmt: skip
    (sent,) = (body for _, body in door.asked if body.startswith(b"PK"))
    assert unpacked(sent) == {f"{n:05d}.dcm": (folder / f"IM{n}").read_bytes() for n in range(2)}
    assert all(headers["X-BrainSeg-threshold"] == "0.25" for headers, _ in door.asked)

    assert segment(door.url, *arguments) == 0
    assert len(door.sizes) == 3  # all were done
    (out / "a.seg.dcm").write_bytes(b"changed")
    assert segment(door.url, *arguments) == 0
    assert len(door.sizes) == 4
    assert (out / "a.seg.dcm").read_bytes() == VOLUME_FILES["seg.dcm"]


def test_files_of_another_scan_of_that_name_do_not_stay(door: Door, tmp_path: Path) -> None:
    out = tmp_path / "out"
    (tmp_path / "a.dcm").write_bytes(dicom_series(SMALL)[0][1])
    assert segment(door.url, tmp_path / "a.dcm", "--out", out) == 0
    assert (out / "a.seg.dcm").exists()
    door.files = {"mask.nii.gz": b"another mask"}
    (tmp_path / "a.nii").write_bytes(nifti(SMALL))
    assert segment(door.url, tmp_path / "a.nii", "--out", out) == 0
    assert sorted(path.name for path in out.glob("a.*")) == ["a.json", "a.mask.nii.gz"]
    assert (out / "a.mask.nii.gz").read_bytes() == b"another mask"


def test_nothing_else_of_an_answer_gets_a_name_on_disk(door: Door, tmp_path: Path) -> None:
    door.files |= {"../evil": b"x", "other.exe": b"x", "sr-../x.dcm": b"x"}
    (tmp_path / "a.nii").write_bytes(nifti(SMALL))
    assert segment(door.url, tmp_path / "a.nii", "--out", tmp_path / "out") == 0
    names = {path.name for path in tmp_path.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert not names & {"evil", "other.exe", "x.dcm", "a.other.exe"}


def test_an_answer_that_is_no_zip_ends_the_run(door: Door, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.nii").write_bytes(nifti(SMALL))
    for wrong in (b"no zip", volumes.zipped([b"x"])):
        monkeypatch.setattr(door, "bundle", lambda *_, wrong=wrong: wrong)
        assert segment(door.url, tmp_path / "a.nii", "--out", tmp_path / "out") == 3
        assert not (tmp_path / "out" / "a.json").exists()
    with pytest.raises(UnreachableError, match=r"result\.json"):
        volumes.result_of({"result.json": b"[]"})


def test_a_series_too_large_is_told_so_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [tmp_path / "1.dcm", tmp_path / "2.dcm"]
    for path in files:
        with path.open("wb") as file:
            file.truncate(2**28)  # sparse
    monkeypatch.setattr(Path, "read_bytes", lambda path: pytest.fail(f"{path} was read"))
    with pytest.raises(ScanError, match="2 DICOM files"):
        read_series(files)


def test_sequences_go_out_as_parts_without_their_names(door: Door, tmp_path: Path) -> None:
    flair = tmp_path / "JANE-7.nii.gz"
    flair.write_bytes(nifti(SMALL, packed=True))
    client = Client(door.url)
    client.archive(
        {"flair": flair, "t1": nifti(SMALL), "t1c": series_in(tmp_path / "c")}, threshold=0.25, series=2, tta="flip"
    )
    headers, body = door.asked[0]
    assert headers["Content-Type"].startswith("multipart/form-data; boundary=")
    for field in (
        b'"flair"',
        b'"t1"',
        b'"t1c"',
        b'"threshold"\r\n\r\n0.25\r\n',
        b'"series"\r\n\r\n2\r\n',
        b'"tta"\r\n\r\nflip\r\n',
    ):
        assert body.count(b"form-data; name=" + field) == 1
    assert flair.read_bytes() in body
    assert b"JANE" not in body
    with pytest.raises(ValueError, match="flair"):
        client.archive({})
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="no DICOM files"):
        client.archive(tmp_path / "empty")


def test_pictures_and_older_servers_have_no_geometry(door: Door) -> None:
    found = Client(door.url).segment(b"a picture")
    assert (found.tumor_volume_ml, found.lesions, found.geometry, found.sequences) == (None, None, None, None)
    assert "X-BrainSeg-outputs" not in door.asked[0][0]  # the server knows what suits which scan
    assert segmentation(door.answer(b"", 0.5, False)) == segmentation({**door.answer(b"", 0.5, False), "lesions": None})


@pytest.mark.server
def test_a_real_server_answers_them(detector: Server, tmp_path: Path) -> None:
    """NIfTI and a DICOM series through the command, and the same head through the client."""
    scan, out = HEAD, tmp_path / "out"
    (tmp_path / "head.nii.gz").write_bytes(nifti(scan, packed=True))
    (tmp_path / "series").mkdir()
    for number, (_, data) in enumerate(dicom_series(scan)):
        (tmp_path / "series" / f"IM{number}").write_bytes(data)
    arguments = (tmp_path / "head.nii.gz", tmp_path / "series", "--out", out)
    assert segment(detector.door, *arguments) == 0
    table = {row["file"]: row for row in rows(out)}
    for name in ("head.nii.gz", "series"):
        assert table[name]["verdict"] == "tumor_detected", name
        assert float(table[name]["tumor_volume_ml"]) > 1
        assert int(table[name]["lesions"]) == 1
        mask = nibabel.Nifti1Image.from_bytes(
            gzip.decompress((out / f"{name.partition('.')[0]}.mask.nii.gz").read_bytes())
        )
        assert np.count_nonzero(np.asarray(mask.dataobj)) == int(table[name]["tumor_pixels"]) > 0
    for name in ("seg", "sr-volume", "sr-diameters"):
        assert pydicom.dcmread(out / f"series.{name}.dcm", stop_before_pixels=True).Modality in ("SEG", "SR")
    assert not (out / "head.seg.dcm").exists()
    digests = {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")}
    assert segment(detector.door, *arguments) == 0
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("*.json")} == digests  # nothing was asked again

    client = Client(detector.door)
    found = client.segment(tmp_path / "head.nii.gz")
    assert found.tumor_volume_ml == float(table["head.nii.gz"]["tumor_volume_ml"])
    assert found.lesions is not None
    assert len(found.lesions) == 1
    assert found.geometry is not None
    assert tuple(found.geometry["size"]) == scan.voxels.shape[::-1]
    assert {one["channel"] for one in found.sequences or ()} == {"flair", "t1", "t1c"}
    assert not any(one.images for one in found.slices)
    assert client.nifti(tmp_path / "head.nii.gz") == (out / "head.mask.nii.gz").read_bytes()
    three = client.archive(dict.fromkeys(("flair", "t1", "t1c"), tmp_path / "head.nii.gz"))
    with zipfile.ZipFile(io.BytesIO(three)) as packed:
        taken = json.loads(packed.read("result.json"))["sequences"]
    assert {one["channel"]: one["recognised"] for one in taken} == dict.fromkeys(("flair", "t1", "t1c"), "named")
