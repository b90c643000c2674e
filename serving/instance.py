"""Whose a state folder is: of one running server, and of nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from rollout.file_lock import held
from rollout.folder import MARK, SERVE_LOCK, foreign, mark

LOCK_FILE = SERVE_LOCK
# What a server consists of, by a word of its command line: TorchServe's launcher, JVM and workers, and the front door.
_PARTS = ("ts.model_server", "org.pytorch.serve.ModelServer", "model_service_worker.py", "web.server")
_END_SECONDS = 10


class StateError(Exception):
    """The state folder cannot be taken; the message says what to do."""


@contextmanager
def owned(state: Path) -> Iterator[None]:
    """Makes ``state`` when missing, closes it to other users, and keeps other servers out of it until the end: a second
    one would take the first one's keys and sockets away. Raises :class:`StateError` when one runs there, or when the
    folder is somebody else's, who would be locked out of it."""
    try:
        if names := foreign(state):
            raise StateError(
                f"{state} is no state folder of BrainSeg's: it holds {', '.join(names[:3])}. As one it would be closed "
                f"to other users and written to; give --state a new folder or an empty one. (One of an older build in "
                f"which you keep more becomes ours by an empty file {MARK}.)"
            )
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        state.chmod(0o700)
        mark(state)
    except OSError as error:
        raise StateError(f"{state} cannot be a state folder ({error}); give another one with --state.") from error
    with held(
        state / LOCK_FILE,
        lambda process: StateError(
            f"process {process} serves from {state}. Stop it, or give this server a folder of its own with --state."
        ),
    ):
        yield


def end_left_behind(state: Path) -> int:
    """Ends what a ``scripts/serve`` that was killed hard has left running on ``state``, whose owner the caller is; how
    many processes. It would hold the ports, and its keys and sockets are about to be replaced."""
    left = parts_of(state)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left, _END_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(stubborn, _END_SECONDS)
    return len(left)


def parts_of(state: Path) -> list[psutil.Process]:
    """The processes of a server that runs, or was left running, on ``state``."""
    return [process for process in psutil.process_iter() if _is_part(process, f"{state.resolve()}/")]


def _is_part(process: psutil.Process, folder: str) -> bool:
    try:
        words = process.cmdline()
    except psutil.Error:  # gone, or another user's
        return False
    return any(word.endswith(_PARTS) for word in words) and any(word.startswith(folder) for word in words)
