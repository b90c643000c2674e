"""A state folder of ours, known by a mark of its own: looked at before anything in it is touched."""

from __future__ import annotations

from pathlib import Path

from archive.store import KEY_FILE
from handler.files import write_atomic
from rollout.errors import NoServerError
from rollout.history import HISTORY_FILE
from rollout.lock import LOCK_FILE as DEPLOY_LOCK
from rollout.state import DEPLOYMENT_FILE

MARK = ".brainseg-state"
SERVE_LOCK = "serve.lock"
_TEXT = b"BrainSeg's state folder (scripts/serve --state). Its server may change and remove what is in it.\n"
_OF_ANY_VOLUME = {"lost+found"}
# What a build before the mark wrote. A folder of one is known by its lock, and by nothing else being there.
_BEFORE_THE_MARK = {
    *(SERVE_LOCK, DEPLOY_LOCK, DEPLOYMENT_FILE, HISTORY_FILE, KEY_FILE),
    *("config.properties", "logs", "torchserve-tmp"),
}


def is_state(folder: Path) -> bool:
    """Whether a server of ours has made ``folder``."""
    mark = folder / MARK
    if mark.is_file() and not mark.is_symlink():
        return True
    names = _names(folder)
    return SERVE_LOCK in names and names <= _BEFORE_THE_MARK


def foreign(folder: Path) -> list[str]:
    """What keeps ``folder`` from becoming a state folder: names in it; none when it is ours, empty or not there.
    Raises ``OSError``."""
    return [] if is_state(folder) else sorted(_names(folder))


def mark(folder: Path) -> None:
    """Makes ``folder`` known as ours."""
    if not (folder / MARK).is_file():
        write_atomic(folder / MARK, _TEXT)


def check_state(folder: Path) -> Path:
    """``folder``, absolute. Raises :class:`NoServerError` when it is no state folder of ours; nothing in it was
    touched."""
    if is_state(folder):
        return folder.resolve()
    what = "is not there" if not folder.exists() else "is no state folder of BrainSeg's"
    raise NoServerError(f"{folder} {what}. Name the one that scripts/serve was given, with --state.")


def _names(folder: Path) -> set[str]:
    if not folder.exists():
        return set()
    return {path.name for path in folder.iterdir()} - _OF_ANY_VOLUME
