"""An archive's studies as a source: all of them, page by page, each once, with credentials that nobody sees."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pydicom
import pytest

from brainseg_client import dicomweb
from brainseg_client.dicomweb import Archive, LargeAnswerError
from bulk.book import Book
from bulk.errors import BulkError
from bulk.listing import Wanted
from bulk.pool import Pool
from bulk.run import Options, Watching, run
from bulk.source import list_source
from bulk.worker import Setup
from prove.drawn.volumes import SENTINEL, dicom_series, phantom
from scripts.commands.bulk import authorization_in
from tests.bulk.conftest import Bulk, files_of, lasting, rows, showing
from tests.pacs.orthanc import running

WANTED = Wanted(None, "")
SECRET = "Bearer a-secret-of-the-archive"


@dataclass
class Studies:
    """Answers QIDO-RS as archives do. ``largest``: studies in one answer, whatever is asked for; ``paging``: whether it
    minds the offset; ``from_start``: whether it counts the limit from the first study on; ``at_last``: studies in one
    answer without an offset, after the first."""

    uids: list[str]
    largest: int = 10_000
    paging: bool = True
    from_start: bool = False
    at_last: int = 0
    asked: list[dict[str, str]] = field(default_factory=list)
    authorizations: list[str | None] = field(default_factory=list)

    def __enter__(self) -> Studies:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked = dict(parse_qsl(urlsplit(self.path).query))
                stage.asked.append(asked)
                stage.authorizations.append(self.headers.get("Authorization"))
                first = int(asked["offset"]) if stage.paging else 0
                most = min(int(asked["limit"]), stage.largest)
                if stage.at_last and not first and len(stage.asked) > 1:
                    most = stage.at_last
                found = stage.uids[first : most if stage.from_start else first + most]
                body = json.dumps(
                    [{dicomweb.STUDY: {"Value": [uid]}, dicomweb.INSTANCES: {"Value": [4]}} for uid in found]
                )
                self.send_response(200 if found else 204)
                self.send_header("Content-Length", str(len(body) if found else 0))
                self.end_headers()
                self.wfile.write(body.encode() if found else b"")

            def log_message(self, *_given: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    @property
    def source(self) -> str:
        return f"dicomweb+http://127.0.0.1:{self._server.server_address[1]}/web?ModalitiesInStudy=MR"

    def __exit__(self, *_given: object) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    made = Book(tmp_path)
    yield made
    made.close()


UIDS = [f"1.2.{number}" for number in range(250)]


@pytest.mark.parametrize("largest", [10_000, 30])  # archives give fewer than what is asked for
def test_all_pages_are_asked_for(largest: int, book: Book) -> None:
    with Studies(UIDS, largest) as archive:
        assert list_source(book, archive.source, WANTED, SECRET) == 250
    assert {one["ModalitiesInStudy"] for one in archive.asked} == {"MR"}
    assert set(archive.authorizations) == {SECRET}
    tasks = list(book.tasks())
    assert [task.parts[0].address.rpartition("/")[2] for task in tasks] == UIDS
    assert {task.parts[0].stamp for task in tasks} == {"4 instances"}


def test_an_archive_that_does_not_page_is_no_silence(book: Book) -> None:
    with Studies(UIDS, paging=False) as archive:
        assert list_source(book, archive.source, WANTED) == 250  # all at once, when enough are asked for
    with Studies(UIDS, 100, paging=False) as archive, pytest.raises(BulkError, match="same 100 studies for every page"):
        list_source(book, archive.source, WANTED)


def test_pages_that_lack_studies_are_no_silence(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that counts the limit from the first study on: enough is asked for, or it is said."""
    with Studies(UIDS, from_start=True) as archive:
        assert list_source(book, archive.source, WANTED) == 250
    monkeypatch.setattr(dicomweb, "PAGE", 200)
    broken = Studies(UIDS, 150, from_start=True, at_last=250)
    with broken as archive, pytest.raises(BulkError, match=r"more studies than its pages gave \(150\)"):
        list_source(book, archive.source, WANTED)


def test_a_study_without_a_uid_is_left_out_with_a_word(book: Book) -> None:
    with Studies(["1.2", "../patients", ""]) as archive:
        assert list_source(book, archive.source, WANTED) == 1
    assert book.left_out_counts() == {"a study without a valid UID": 2}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("dicomweb+https://", "expects https://host/root"),
        ("dicomweb+https://me:word@host/web", "put it into a file"),
        ("dicomweb+http://pacs.example/web", "over https alone"),
        ("dicomweb+https://host/web?PatientID", "cannot be read"),
        ("dicomweb+https://host/web?limit=5&PatientID=17", "limit in the query"),
        ("dicomweb+http://127.0.0.1:9/web?PatientID=17", "no answer from the archive"),
    ],
)
def test_a_source_that_is_none(source: str, said: str, book: Book) -> None:
    with pytest.raises(BulkError, match=said) as raised:
        list_source(book, source, WANTED, SECRET)
    assert not {"word", "17", SECRET} & set(str(raised.value).replace("=", " ").split())


def test_credentials_come_out_of_a_file_or_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BRAINSEG_DICOMWEB_AUTHORIZATION", raising=False)
    assert authorization_in(None) == ""
    monkeypatch.setenv("BRAINSEG_DICOMWEB_AUTHORIZATION", SECRET)
    assert authorization_in(None) == SECRET
    (tmp_path / "file").write_text(f"{SECRET}\n")
    assert authorization_in(tmp_path / "file") == SECRET
    for content in ("", "a\nb", "Bearer \u00e9"):
        (tmp_path / "file").write_text(content)
        with pytest.raises(BulkError, match="holds no line"):
            authorization_in(tmp_path / "file")
    assert SECRET not in repr(Setup("", "", "", "", authorization=SECRET)) + repr(Options("", "", authorization=SECRET))


def test_an_answer_without_end_is_not_read(book: Book) -> None:
    with Studies(UIDS) as archive:
        url = archive.source.partition("+")[2].partition("?")[0]
        with pytest.raises(LargeAnswerError, match="more than 100 bytes"):
            Archive(url)._ask("GET", "/studies?limit=9&offset=0", "application/json", 100)


@pytest.mark.server
@pytest.mark.slow
def test_studies_of_orthanc(bulk: Bulk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the same files in a folder, by processes of their own; again, nothing is fetched; more, and one is."""
    monkeypatch.setattr(dicomweb, "PAGE", 2)
    user, source, out = ("reader", "word-of-the-archive"), tmp_path / "in", tmp_path / "out"
    authorization = "Basic " + base64.b64encode(":".join(user).encode()).decode()
    studies = [[data for _, data in dicom_series(phantom((64, 64, 4)), study=str(number))] for number in range(3)]
    for number, files in enumerate(studies):
        for at, data in enumerate(files):
            place = source / f"{number}-{at}.dcm"
            place.parent.mkdir(exist_ok=True)
            place.write_bytes(data)
    other = pydicom.dcmread(io.BytesIO(studies[0][0]))
    other.StudyInstanceUID, other.SeriesInstanceUID, other.Modality = "1.2.9", "1.2.9.1", "CT"
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = "1.2.9.1.1"
    ct = io.BytesIO()
    other.save_as(ct, enforce_file_format=True)
    lines: list[str] = []

    def all_of(address: str) -> Any:
        setup = Setup(*_named(bulk), str(out), authorization=authorization)
        options = Options(address, str(out), authorization=authorization)
        return run(options, bulk.opened, Pool(2, setup, str(bulk.archive)), Watching(showing, lines.append))

    with running(tmp_path / "orthanc", user) as orthanc:
        orthanc.upload([data for files in studies[:2] for data in files] + [ct.getvalue()])
        address = f"dicomweb+{orthanc.url}/dicom-web"
        with pytest.raises(BulkError, match="status 401"):
            list_source(Book(_made(tmp_path / "book")), address, WANTED)
        first = all_of(address)
        assert (first.scans, first.done, first.refused) == (3, 3, 1)
        again = all_of(f"{address}?ModalitiesInStudy=MR")
        assert (again.scans, again.before, again.done) == (2, 2, 0)
        orthanc.upload(studies[2])
        more = all_of(f"{address}?ModalitiesInStudy=MR")
        assert (more.scans, more.before, more.done) == (3, 2, 1)
    (ct_row,) = [row for row in rows(out) if row["error_code"]]
    assert ct_row["error_code"] == "not_mr"
    bulk.alone(source, tmp_path / "folder")
    found, same = (
        [row for row in map(lasting, rows(place)) if not row["error_code"]] for place in (out, tmp_path / "folder")
    )
    assert [{**row, "path": ""} for row in found] == [{**row, "path": ""} for row in same]
    assert files_of(out) == files_of(tmp_path / "folder")
    for path in [*out.rglob("*.parquet"), out / "report.html"]:
        content = path.read_bytes()
        assert SENTINEL.encode() not in content
        assert user[1].encode() not in content
        assert authorization.encode() not in content
    assert "1.2." not in (out / "report.html").read_text() + str(lines)


def _named(bulk: Bulk) -> tuple[str, str, str]:
    return bulk.opened.sha256, bulk.opened.version, bulk.opened.model_digest


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
