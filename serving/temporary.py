"""Where a server's sockets and unpacked archives go; and nothing of a server that was killed stays there."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from handler.files import write_atomic
from rollout.file_lock import is_held
from rollout.folder import SERVE_LOCK
from serving.instance import parts_of

SOCKET_PATH_LIMIT = 100  # bytes; the system's is 108, a Unix socket beyond it fails without a word
INSIDE = "torchserve-tmp"  # is deleted, so it must be nobody else's name
PREFIX = "brainseg-serve-"
OWNER_FILE = "state-folder"
NEW_SECONDS = 60.0  # one that young may be of a server that is about to start


def temporary_folder(state: Path) -> Path:
    """An empty folder in ``state`` (absolute, the caller's own), or among the system's temporary ones when the path
    would be too long for a Unix socket. What servers that were killed have left is removed."""
    inside = state / INSIDE
    shutil.rmtree(inside, ignore_errors=True)
    sweep(state)
    if len(os.fsencode(inside / ".ts.sock.00000")) <= SOCKET_PATH_LIMIT:
        inside.mkdir(mode=0o700)
        return inside
    outside = Path(tempfile.mkdtemp(prefix=PREFIX))
    write_atomic(outside / OWNER_FILE, os.fsencode(state))
    return outside


def sweep(own: Path) -> list[Path]:
    """Removes this user's folders of servers that run no more, those of the state folder ``own`` among them; which they
    were."""
    left = [folder for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _is_left(folder, own)]
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    return left


def _is_left(folder: Path, own: Path) -> bool:
    try:
        status = folder.lstat()
        if status.st_uid != os.getuid() or folder.is_symlink():
            return False
        state = Path(os.fsdecode((folder / OWNER_FILE).read_bytes()))
    except OSError:  # gone meanwhile, or not yet written
        return False
    if state == own:
        return True
    return time.time() - status.st_mtime > NEW_SECONDS and not is_held(state / SERVE_LOCK) and not parts_of(state)
