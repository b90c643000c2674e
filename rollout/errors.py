"""How a command of ``scripts/deploy`` can end: its exit codes, and the errors that lead to them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """Exit codes. 2 is what the command line itself uses for arguments that it does not understand."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    ARCHIVE = 3
    START = 4
    GATE = 5
    ROLLED_BACK = 6
    BUSY = 7
    NO_SERVER = 8
    NO_TARGET = 9
    STOPPED = 10


MEANINGS = {
    Exit.DONE: "done",
    Exit.FAILED: "something else went wrong; the message says what",
    Exit.USAGE: "arguments or the file of limits are not understood",
    Exit.ARCHIVE: "the archive was refused; nothing of it was copied or run",
    Exit.START: "the candidate did not start; it was removed, the live version is untouched",
    Exit.GATE: "the candidate broke a limit; it was removed, the live version is untouched",
    Exit.ROLLED_BACK: "promoted, then rolled back by the watch",
    Exit.BUSY: "another scripts/deploy is at work on this server",
    Exit.NO_SERVER: "the server of this state folder does not run or does not answer",
    Exit.NO_TARGET: "no such version, or nothing to roll back to",
    Exit.STOPPED: "stopped by a signal; what was begun was undone",
}


class RolloutError(Exception):
    """A command that could not do what it was told; the message says why and what to do. ``figures``: what had been
    measured by then."""

    code = Exit.FAILED

    def __init__(self, message: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures or {}


class UsageError(RolloutError):
    """The file of limits or the folder of scans is not what it should be."""

    code = Exit.USAGE


class ArchiveError(RolloutError):
    """The archive is not a release to be trusted."""

    code = Exit.ARCHIVE


class StartError(RolloutError):
    """The candidate's workers do not come up."""

    code = Exit.START


class GateError(RolloutError):
    """The candidate broke a limit."""

    code = Exit.GATE


class TakenBackError(GateError):
    """The candidate was worse than the live version while it was on trial."""


class RolledBackError(RolloutError):
    """The version was live and is not any more."""

    code = Exit.ROLLED_BACK


class BusyError(RolloutError):
    """Another deploy holds the lock."""

    code = Exit.BUSY


class NoServerError(RolloutError):
    """TorchServe cannot be reached."""

    code = Exit.NO_SERVER


class NoTargetError(RolloutError):
    """The version asked for is not there."""

    code = Exit.NO_TARGET


class StoppedError(RolloutError):
    """Ctrl-C, SIGTERM, or a rollback that was asked for in another terminal."""

    code = Exit.STOPPED
