"""Where results go: C-STORE to one configured archive, and C-FIND to ask whether it has an object already."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pynetdicom import AE
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelFind  # type: ignore[attr-defined]

STORED = (0x0000, 0xB000, 0xB006, 0xB007)  # success, and success with a word about elements
PENDING = (0xFF00, 0xFF01)
_FORM = re.compile(r"([A-Za-z0-9_. -]{1,16})@([^@\s:]+|\[[0-9a-fA-F:]+\]):(\d{1,5})")
SECONDS = 60


class SendError(Exception):
    """The archive did not take an object; the message says why. It may take it later."""


@dataclass(frozen=True)
class Destination:
    """``title``: the archive's AE title; ``own``: ours, as it knows us."""

    title: str
    host: str
    port: int
    own: str

    @classmethod
    def parse(cls, text: str, own: str) -> Destination:
        """``TITLE@HOST:PORT``. Raises ``ValueError``."""
        found = _FORM.fullmatch(text)
        if not found or not found[1].strip() or not 0 < int(found[3]) < 65536:
            raise ValueError(f"destination {text[:60]!r}: expected TITLE@HOST:PORT, such as ARCHIVE@10.0.0.5:104")
        return cls(found[1], found[2].strip("[]"), int(found[3]), own)

    def _entity(self) -> AE:
        entity = AE(ae_title=self.own)
        entity.acse_timeout = entity.dimse_timeout = entity.network_timeout = SECONDS
        entity.connection_timeout = SECONDS
        return entity

    def store(self, path: Path) -> None:
        """Sends the DICOM file ``path``. Raises :class:`SendError`, or ``OSError`` where it cannot be read."""
        try:
            data = pydicom.dcmread(io.BytesIO(path.read_bytes()))
        except InvalidDicomError as error:
            raise SendError(f"{path.name} is no DICOM file") from error
        entity = self._entity()
        entity.add_requested_context(data.SOPClassUID, data.file_meta.TransferSyntaxUID)
        link = entity.associate(self.host, self.port, ae_title=self.title)
        if not link.is_established:
            raise SendError(f"{self.title} cannot be reached or does not know {self.own}")
        try:
            if not link.accepted_contexts:
                raise SendError(f"{self.title} does not take objects of the class {data.SOPClassUID.name}")
            status = link.send_c_store(data).get("Status")
        except (RuntimeError, ValueError) as error:  # the link is gone just now, or the object cannot be encoded
            raise SendError(f"an object could not be sent to {self.title} ({type(error).__name__})") from error
        finally:
            link.release()
        if status not in STORED:
            raise SendError(f"{self.title} answered " + ("nothing" if status is None else f"status 0x{status:04X}"))

    def has(self, path: Path) -> bool:
        """Whether the archive says it has the object in ``path``; False too where it cannot be asked so."""
        data = pydicom.dcmread(path, stop_before_pixels=True)
        entity = self._entity()
        entity.add_requested_context(StudyRootQueryRetrieveInformationModelFind)
        link = entity.associate(self.host, self.port, ae_title=self.title)
        if not link.is_established:
            return False
        query = Dataset()
        query.QueryRetrieveLevel = "IMAGE"
        query.StudyInstanceUID = data.StudyInstanceUID
        query.SeriesInstanceUID = data.SeriesInstanceUID
        query.SOPInstanceUID = data.SOPInstanceUID
        try:
            answers = link.send_c_find(query, StudyRootQueryRetrieveInformationModelFind)
            found = [one for status, one in answers if status.get("Status") in PENDING and one is not None]
            return any(one.get("SOPInstanceUID") == data.SOPInstanceUID for one in found)
        except (RuntimeError, ValueError):  # the archive does not offer queries
            return False
        finally:
            if link.is_established:
                link.release()
