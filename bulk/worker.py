"""One scan from its files to its row: what runs in each process. It opens the model once and never raises."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from archive.store import MODEL_NAME
from bulk.names import text_of
from bulk.places import Destination
from bulk.reading import Refused, digests_of, read_scan, request_of
from bulk.release import open_archive
from bulk.results import Scan, failed, result_of
from bulk.row import NOT_ASSESSED, NOT_WRITTEN, Row
from bulk.task import Done, Task, digest_of, sequences_of
from handler.pipeline import Model, answer
from handler.request import RAW_PART, SEQUENCE_PARTS
from handler.volumes.sniff import is_volume

FIELDS = {"Accept": "application/json", "X-BrainSeg-Outputs": "mask"}
VOLUME_FIELDS = {"Accept": "application/zip"}
KNOWN_FIELDS = {"Accept": "application/json", "X-BrainSeg-Outputs": "none"}
FAULT = "internal_error"
FIRST = SEQUENCE_PARTS[0]


@dataclass(frozen=True)
class Setup:
    """What a worker is started with. ``destination``: an address; ``engine``: as :mod:`handler.engines` has it;
    ``authorization``: for an archive of studies, the header's value."""

    archive_sha256: str
    version: str
    model_digest: str
    destination: str
    engine: str = "auto"
    authorization: str = field(default="", repr=False)
    model: str = MODEL_NAME


class Worker:
    """``content``: the archive's bytes. Raises as :func:`bulk.release.open_archive`."""

    def __init__(self, setup: Setup, content: bytes) -> None:
        self.setup = setup
        self.model: Model = open_archive(content, setup.archive_sha256, setup.engine)
        self._destination = Destination(setup.destination)

    def work(self, task: Task) -> Done:
        """Whatever is wrong with the scan is in the row."""
        begin = time.perf_counter()
        digests: tuple[str, ...] = ()
        scan = self._scan(task, "")
        try:
            files = read_scan(task.parts, self.model.limits.request_bytes, self.setup.authorization)
            each = tuple(hashlib.sha256(one).hexdigest() for one in files)
            digests = digests_of(task.parts, each)
            scan = self._scan(task, digest_of(each, sequences_of(task.parts)))
            if len(files) != len(task.parts):
                scan = replace(scan, files=len(files), bytes=sum(map(len, files)))
            row = self._segmented(scan, *request_of(task.parts, files), begin)
        except Refused as refused:
            row = failed(scan, refused.code, refused.detail, time.perf_counter() - begin)
        except Exception as error:  # ours: its words may hold a name, so only its kind is told
            detail = f"The scan could not be worked on ({type(error).__name__})."
            row = failed(scan, FAULT, detail, time.perf_counter() - begin)
        return Done(task.key, row, digests)

    def _scan(self, task: Task, sha256: str) -> Scan:
        size = sum(part.size for part in task.parts)
        path = text_of(task.parts[0].address)
        setup = self.setup
        return Scan(sha256, path, len(task.parts), size, setup.version, setup.model_digest, setup.model)

    def _segmented(self, scan: Scan, sent: Mapping[str, bytes], headers: Mapping[str, str], begin: float) -> Row:
        fields = VOLUME_FIELDS if FIRST in sent or is_volume(sent[RAW_PART]) else FIELDS
        outcome = answer(self.model, sent, {**headers, **fields})
        if outcome.code == NOT_ASSESSED:  # which has no mask; what is known all the same is in the JSON alone
            outcome = answer(self.model, sent, {**headers, **KNOWN_FIELDS})
        row, files = result_of(scan, outcome, time.perf_counter() - begin)
        for name, content in files.items():
            try:
                self._destination.write(f"{scan.folder}/{name}", content)
            except OSError as error:
                raise Refused(NOT_WRITTEN, f"The result cannot be written: {error.strerror or error}") from error
        return replace(row, seconds=round(time.perf_counter() - begin, 4))
