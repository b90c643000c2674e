"""An archive that counts what it gets, and a front door that answers at once: what the node has around it."""

from __future__ import annotations

import hashlib
import io
import threading
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian, SegmentationStorage
from pynetdicom import AE

Moment = Callable[[str], None]  # gets the name of what just happened


def _object(kind: str, content: str) -> bytes:
    dataset = Dataset()
    number = str(int(hashlib.sha256((kind + content).encode()).hexdigest()[:24], 16))
    dataset.SOPClassUID, dataset.SOPInstanceUID = kind, f"2.25.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "2.25.7", f"2.25.{number}1"
    dataset.PatientName, dataset.PatientID, dataset.Modality = "A^B", "1", "SEG"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    buffer = io.BytesIO()
    pydicom.dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def _digest(study: bytes) -> str:
    """Of the objects in a zip, in whatever order they lie."""
    with zipfile.ZipFile(io.BytesIO(study)) as packed:
        objects = [pydicom.dcmread(io.BytesIO(packed.read(name))) for name in packed.namelist()]
    return str(sorted(f"{one.StudyInstanceUID} {one.SOPInstanceUID}" for one in objects))


@dataclass
class StandInDoor:
    """Answers every study with a SEG and a report that depend on its objects alone. ``refusal``: a problem's body and
    status to answer with instead."""

    moment: Moment = lambda _what: None
    refusal: tuple[int, bytes] | None = None
    studies: list[int] = field(default_factory=list)  # how many objects each had

    def __enter__(self) -> StandInDoor:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stage.moment("asked")
                with zipfile.ZipFile(io.BytesIO(body)) as packed:
                    stage.studies.append(len(packed.namelist()))
                status, reply, kind = 200, stage.answer(body), "application/zip"
                if stage.refusal:
                    (status, reply), kind = stage.refusal, "application/problem+json"
                try:
                    self.send_response(status)
                    self.send_header("Content-Type", kind)
                    self.send_header("Content-Length", str(len(reply)))
                    self.end_headers()
                    self.wfile.write(reply)
                except OSError:
                    return  # the node is gone
                stage.moment("answered")

            def log_message(self, *_given: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    @staticmethod
    def answer(study: bytes) -> bytes:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as packed:
            packed.writestr("seg.dcm", _object(SegmentationStorage, _digest(study)))
            packed.writestr("sr-volume.dcm", _object(ComprehensiveSRStorage, _digest(study)))
            packed.writestr("result.json", "{}")
        return buffer.getvalue()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __exit__(self, *_given: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def send(files: Sequence[bytes], port: int, caller: str = "SCANNER", title: str = "BRAINSEG") -> list[int | None]:
    """C-STOREs DICOM files to a node, as a scanner does; the status of each, None where there was no answer."""
    datasets = [pydicom.dcmread(io.BytesIO(data)) for data in files]
    entity = AE(ae_title=caller)
    entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 60
    for kind, syntax in {(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in datasets}:
        entity.add_requested_context(kind, syntax)
    link = entity.associate("127.0.0.1", port, ae_title=title)
    if not link.is_established:
        return [None] * len(files)
    statuses: list[int | None] = []
    for one in datasets:
        try:
            statuses.append(link.send_c_store(one).get("Status"))
        except (RuntimeError, ValueError):  # the connection broke, or the kind was not accepted
            statuses.append(None)
    if link.is_established:
        link.release()
    return statuses
