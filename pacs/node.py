"""The node's ear: C-ECHO and C-STORE from allowed callers. Success is answered once an object is on the
disk."""

from __future__ import annotations

import io
import logging
import sqlite3
from collections.abc import Sequence
from typing import Any

import pydicom
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage
from pynetdicom import AE, ALL_TRANSFER_SYNTAXES, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from pacs.spool import Spool, digest, reason

logger = logging.getLogger(__name__)
SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
KEPT = (MRImageStorage, EnhancedMRImageStorage)
WANTED_TAGS = ["SOPClassUID", "SOPInstanceUID", "StudyInstanceUID"]
MOST_ASSOCIATIONS = 10


class Node:
    """Listens until :meth:`close`. ``callers``: the AE titles that may call; nobody else is let in."""

    def __init__(self, spool: Spool, title: str, callers: Sequence[str], host: str, port: int) -> None:
        self._spool = spool
        entity = AE(ae_title=title)
        entity.require_calling_aet = list(callers)
        entity.require_called_aet = True
        entity.maximum_associations = MOST_ASSOCIATIONS
        entity.add_supported_context(Verification)
        for context in AllStoragePresentationContexts:
            # With the default syntaxes a sender of JPEG 2000 fails on its own side, and this one sees nothing.
            entity.add_supported_context(str(context.abstract_syntax), ALL_TRANSFER_SYNTAXES)
        handlers: list[Any] = [(evt.EVT_C_STORE, self._store), (evt.EVT_C_ECHO, lambda _event: SUCCESS)]
        self._server = entity.start_server((host, port), block=False, evt_handlers=handlers)
        self.port: int = self._server.socket.getsockname()[1] if self._server and self._server.socket else port

    def close(self) -> None:
        if self._server:
            self._server.shutdown()

    def _store(self, event: Any) -> int:
        """What is no MR image (reports, other results) is taken and let go: this is no archive."""
        try:
            data: bytes = event.encoded_dataset()
            header = pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True, specific_tags=WANTED_TAGS)
            kind, instance, study = header.SOPClassUID, str(header.SOPInstanceUID), str(header.StudyInstanceUID)
        except Exception as error:  # whatever a parser trips over in a stranger's object
            logger.warning("an object was refused: it cannot be read (%s)", type(error).__name__)
            return CANNOT_UNDERSTAND
        if kind not in KEPT:
            return SUCCESS
        try:
            self._spool.keep(study, instance, data)
        except (OSError, sqlite3.Error) as error:
            logger.error("study %s: an object could not be kept: %s", digest(study), reason(error))
            return OUT_OF_RESOURCES
        return SUCCESS
