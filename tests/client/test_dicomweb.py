"""DICOMweb's forms: parts of an answer, the UID in a file's head, what was stored."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

from brainseg_client.command import main
from brainseg_client.dicomweb import Archive, ArchiveError, instance_uid, parts_of, valid_uid
from prove.drawn.volumes import dicom_series, phantom
from tests.client.standin import VOLUME_FILES, Door, standing, zip_of


def test_parts_of_an_answer() -> None:
    body = (
        b"--x y\r\nContent-Type: application/dicom\r\n\r\none\r\n--x y\r\nA: b\r\n\r\n\r\n--two\r\n\r\n--x y--\r\nend"
    )
    assert list(parts_of(body, 'multipart/related; type="application/dicom"; boundary="x y"')) == [
        b"one",
        b"\r\n--two\r\n",
    ]
    with pytest.raises(ArchiveError, match="expected multipart"):
        list(parts_of(body, "application/json"))


def test_the_uid_of_an_object_without_a_library() -> None:
    import io

    import pydicom

    for _, data in dicom_series(phantom(size=(16, 16, 2))):
        assert instance_uid(data) == pydicom.dcmread(io.BytesIO(data)).SOPInstanceUID
    for broken in (b"", b"\0" * 128 + b"DICM", b"x" * 400):
        with pytest.raises(ValueError, match="DICOM"):
            instance_uid(broken)


@pytest.mark.parametrize("text", ["1.2.840.1", "2.25.7"])
def test_uids(text: str) -> None:
    assert valid_uid(text) == text


@pytest.mark.parametrize("text", ["", "1..2", "../x", "1.2/series", "1." * 40 + "1"])
def test_what_is_no_uid_never_gets_into_an_address(text: str) -> None:
    with pytest.raises(ValueError, match="no UID"):
        valid_uid(text)


class Reply:
    def __init__(self, status: int, body: object) -> None:
        self.status_code, self.ok, self._body = status, status < 400, body
        self.headers: dict[str, str] = {}

    def json(self) -> object:
        return json.loads(json.dumps(self._body))


def test_what_is_stored_is_what_the_answer_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orthanc answers 400 where good objects beside a bad one are stored, and 200 is no proof either."""
    objects = [data for _, data in dicom_series(phantom(size=(16, 16, 2)))]
    named = {"00081199": {"Value": [{"00081155": {"Value": [instance_uid(one)]}} for one in objects]}}
    archive = Archive("http://127.0.0.1:1")
    for status in (200, 400):
        monkeypatch.setattr(archive, "_ask", lambda *_a, status=status, **_k: Reply(status, named))
        archive.store("1.2", objects)
    named["00081199"]["Value"].pop()
    with pytest.raises(ArchiveError, match="stored 1 of 2"):
        archive.store("1.2", objects)


@pytest.mark.parametrize(
    ("status", "body", "why"),
    [
        (404, [], "no such study"),
        (200, [], "no such study"),
        (200, [{"00080060": {"Value": ["CT"]}, "0020000E": {"Value": ["1.2"]}}], "none of them MR"),
        (500, {}, "status 500"),
        (200, {"a": 1}, "no list"),
    ],
)
def test_a_study_that_cannot_be_had(status: int, body: object, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive("http://127.0.0.1:1")
    monkeypatch.setattr(archive, "_ask", lambda *_a, **_k: Reply(status, body))
    with pytest.raises(ArchiveError, match=why):
        archive.mr_series("1.2")


def test_nobody_there_and_a_wrong_uid_end_with_their_exit_codes(
    capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    command = ["segment", "--dicomweb", "http://127.0.0.1:9/dicom-web", "--out", str(tmp_path), "--study"]
    assert main([*command, "1.2.3"]) == 3
    assert "no answer from the archive" in capsys.readouterr().err
    assert main([*command, "../1"]) == 2
    assert "no UID" in capsys.readouterr().err


def _damaged() -> bytes:
    """A zip whose directory is whole, and whose one part does not inflate."""
    whole = zip_of({"result.json": b"{}" * 99}, zipfile.ZIP_DEFLATED)
    return whole[:41] + b"\xff" * 4 + whole[45:]


@pytest.mark.parametrize(
    "answer",
    [
        b"no zip",
        _damaged(),
        zip_of(VOLUME_FILES),
        zip_of(VOLUME_FILES | {"result.json": b"no JSON"}),
        zip_of(VOLUME_FILES | {"result.json": b"[]"}),
        zip_of(
            VOLUME_FILES
            | {"result.json": json.dumps(Door(paths=[""]).answer(b"", 0.5, False) | {"labels": [{}]}).encode()}
        ),
    ],
    ids=["no zip", "damaged", "no result", "no JSON", "a list", "labels without names"],
)
def test_an_answer_that_is_none_is_told_and_goes_nowhere(
    answer: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stored: list[object] = []
    monkeypatch.setattr(Archive, "mr_series", lambda *_: ["1.2.3"])
    monkeypatch.setattr(Archive, "instances", lambda *_: [data for _, data in dicom_series(phantom(size=(16, 16, 2)))])
    monkeypatch.setattr(Archive, "store", lambda *found: stored.append(found))
    command = ["segment", "--dicomweb", "http://127.0.0.1:9/dicom-web", "--study", "1.2", "--store"]
    with standing() as door:
        good, bad = ([*command, "--url", door.url, "--out", str(tmp_path / name)] for name in ("good", "bad"))
        assert main(good) == 0
        assert "tumor_detected, 0.75 ml. 2 objects stored" in capsys.readouterr().out
        assert len(list((tmp_path / "good").iterdir())) == len(VOLUME_FILES) + 1
        stored.clear()
        monkeypatch.setattr(door, "bundle", lambda *_: answer)
        assert main(bad) == 3
    assert "not the contract's" in capsys.readouterr().err
    assert not stored
    assert not (tmp_path / "bad").exists()
