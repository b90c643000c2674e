"""C-STORE to the DICOM node, whose archive is here too. Needs the extra ``pacs``."""

from __future__ import annotations

import io
import re
import shutil
import struct
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, _config, evt
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StudyRootQueryRetrieveInformationModelFind,
    Verification,
)

from archive.programs import environment, python
from archive.store import ROOT
from pacs.spool import digest
from prove.drawn.volumes import uid
from prove.mutate.dicom import split
from prove.ways.way import LOST, OK, Reply

Moment = Callable[[str], None]  # gets the name of what just happened
WAIT_SECONDS = 300.0
_ENDED = re.compile(r": (sent)$|not segmented: (\w+)")
_GREETING = re.compile(r"listens as BRAINSEG on 127\.0\.0\.1:(\d+)")
_config.STORE_SEND_CHUNKED_DATASET = True  # a file goes as it is, without being understood first


@dataclass
class StandInArchive:
    """Counts C-STOREs by SOP instance; answers C-FIND by what it has."""

    moment: Moment = lambda _what: None
    title: str = "ARCHIVE"
    stored: Counter[str] = field(default_factory=Counter)
    broken: bool = False  # answers every C-STORE with "out of resources"

    def __enter__(self) -> StandInArchive:
        entity = AE(ae_title=self.title)
        entity.add_supported_context(Verification)
        entity.add_supported_context(StudyRootQueryRetrieveInformationModelFind)
        for context in AllStoragePresentationContexts:
            entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_FIND, self._find)]
        self._server: Any = entity.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        return self

    def __exit__(self, *_given: object) -> None:
        self._server.shutdown()

    @property
    def address(self) -> str:
        """``TITLE@HOST:PORT``."""
        return f"{self.title}@127.0.0.1:{self._server.socket.getsockname()[1]}"

    def _store(self, event: Any) -> int:
        if self.broken:
            return 0xA700
        self.moment("sending")
        self.stored[str(event.request.AffectedSOPInstanceUID)] += 1
        self.moment("stored")
        return 0x0000

    def _find(self, event: Any) -> Iterator[tuple[int, Dataset | None]]:
        self.moment("queried")
        wanted = event.identifier.SOPInstanceUID
        if wanted in self.stored:
            found = Dataset()
            found.SOPInstanceUID = wanted
            yield 0xFF00, found


def _dataset(scan: bytes) -> bytes:
    try:
        return split(scan)[1]
    except struct.error:  # cut in its head
        return scan


class StoreWay:
    """Sends the data set of each DICOM file as it is, whatever it holds, and then one whole study that the node must
    still bring to the archive."""

    name = "C-STORE"
    kinds: tuple[str, ...] = ("dicom",)

    def __init__(self, door: str, folder: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="bs-prove-"))
        self._sent = 0
        self._archive = StandInArchive()
        self._archive.__enter__()
        command = python("-m", "scripts.commands.dicom_node", "--destination", self._archive.address)
        command += ["--caller", "SCANNER", "--port", "0", "--spool", str(folder), "--url", door, "--settle", "1"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.lines: list[str] = []
        output = self._process.stdout
        greeting = output.readline() if output else ""
        if not (found := _GREETING.search(greeting)):
            self.close()
            raise RuntimeError(f"the DICOM node did not start: {greeting}")
        self._port = int(found[1])
        threading.Thread(target=lambda: self.lines.extend(output or ()), daemon=True).start()

    @property
    def process(self) -> psutil.Process:
        """The node."""
        return psutil.Process(self._process.pid)

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        """One reply a file, in their order. ``code``: ``ok`` where the object was taken, else DICOM's status in hex."""
        entity = AE(ae_title="SCANNER")
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = 120
        entity.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
        replies: list[Reply] = []
        link = entity.associate("127.0.0.1", self._port, ae_title="BRAINSEG")
        for scan in scans:
            if not link.is_established:
                link = entity.associate("127.0.0.1", self._port, ae_title="BRAINSEG")
            replies.append(self._one(link, scan))
        if link.is_established:
            link.release()
        return replies

    def _one(self, link: Any, scan: bytes) -> Reply:
        self._sent += 1
        meta = FileMetaDataset()
        meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = MRImageStorage, UID(uid("hostile", self._sent))
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = self._folder / "sent.dcm"
        head = DicomBytesIO()
        write_file_meta_info(head, meta, enforce_standard=True)
        path.write_bytes(bytes(128) + b"DICM" + head.getvalue() + _dataset(scan))
        try:
            status = link.send_c_store(path).get("Status")
        except (RuntimeError, ValueError) as error:
            return Reply(0, f"{LOST}: {error}")
        if status is None:
            return Reply(0, f"{LOST}: no answer")
        return Reply(200, OK) if status == 0 else Reply(400, f"0x{int(status):04X}")

    def whole(self, files: Sequence[bytes]) -> str:
        """Sends a whole study after all that, and waits: ``sent`` where its results came to the archive, else the code
        of the refusal, which the node says (``not_assessed`` is that of the model's gate)."""
        before = len(self.lines)
        name = digest(str(pydicom.dcmread(io.BytesIO(files[0])).StudyInstanceUID))
        if wrong := [reply.code for reply in self.send(files) if reply.code != OK]:
            return f"not taken: {wrong[0]}"
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            for line in self.lines[before:]:
                if name in line and (found := _ENDED.search(line)):
                    return found[1] or found[2]
            time.sleep(0.2)
        return "nothing came of it"

    def close(self) -> None:
        """Ends the node and the archive."""
        self._process.terminate()
        try:
            self._process.wait(120)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._archive.__exit__()
        shutil.rmtree(self._folder, ignore_errors=True)
