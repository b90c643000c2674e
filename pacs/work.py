"""The node's hands: one study after the other from complete to sent."""

from __future__ import annotations

import logging
import sqlite3
import threading
from typing import Protocol

from brainseg_client.errors import BrainSegError, ScanError
from brainseg_client.volumes import unpacked, zipped
from pacs.destination import Destination, SendError
from pacs.spool import COMPLETE, FAILED, SEGMENTED, SENT, Result, Spool, reason

logger = logging.getLogger(__name__)
POLL_SECONDS = 0.5
FIRST_PAUSE, LONGEST_PAUSE = 5.0, 600.0


class Segments(Protocol):
    """The front door, as :class:`brainseg_client.Client` speaks to it."""

    def archive(self, scan: bytes) -> bytes:
        """Everything about ``scan`` in one zip."""


class Work:
    """``settle_seconds``: a study is complete when nothing new of it came for so long."""

    def __init__(self, spool: Spool, door: Segments, destination: Destination, settle_seconds: float) -> None:
        self._spool, self._door, self._destination, self._settle = spool, door, destination, settle_seconds

    def run(self, stop: threading.Event) -> None:
        """Until ``stop`` is set; the step in hand is ended first. While the queue cannot be written, as on a full disk,
        nothing is done and nothing lost."""
        self._spool.sweep()
        pause = POLL_SECONDS
        while not stop.wait(pause):
            pause = POLL_SECONDS
            try:
                self.step()
            except (OSError, sqlite3.Error) as error:
                pause = FIRST_PAUSE
                logger.error("the queue cannot be used: %s; again in %g s", reason(error), pause)

    def step(self) -> None:
        """Whatever is due."""
        for settled in self._spool.complete_settled(self._settle):
            logger.info("study %s: complete, nothing new for %g s", settled, self._settle)
        for study in self._spool.due(COMPLETE):
            self._segment(study.study, study.attempts)
        for study in self._spool.due(SEGMENTED):
            self._send(study.study, study.attempts)

    def _later(self, study: str, attempts: int, why: str) -> None:
        pause = min(FIRST_PAUSE * 2**attempts, LONGEST_PAUSE)
        logger.warning("study %s: %s; again in %g s", study, why, pause)
        self._spool.try_later(study, why, pause)

    def _segment(self, study: str, attempts: int) -> None:
        try:
            files = [path.read_bytes() for path in sorted(self._spool.incoming(study).glob("*.dcm"))]
            answer = unpacked(self._door.archive(zipped(files)))
            objects = {name: data for name, data in answer.items() if name.endswith(".dcm")}
            self._spool.segmented(study, objects)
        except ScanError as error:  # as it is, it will be refused again
            logger.warning("study %s: not segmented: %s", study, error)
            self._spool.end(study, FAILED, f"{error.code}: {error.detail}")
        except (BrainSegError, OSError) as error:
            self._later(study, attempts, f"not segmented yet: {error}")
        else:
            logger.info("study %s: segmented, %d objects to send", study, len(objects))

    def _send(self, study: str, attempts: int) -> None:
        try:
            for result in self._spool.unsent(study):
                self._send_one(result)
        except (SendError, OSError) as error:
            self._later(study, attempts, f"not sent yet: {error}")
        else:
            self._spool.end(study, SENT)
            logger.info("study %s: sent", study)

    def _send_one(self, result: Result) -> None:
        # Killed between sending and writing that down: the archive knows which of the two it was.
        if result.interrupted and self._destination.has(result.path):
            self._spool.sent(result)
            return
        self._spool.sending(result)
        self._destination.store(result.path)
        self._spool.sent(result)
