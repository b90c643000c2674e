"""Which state folder a command is about: the one named, else the one of the server that runs here."""

from __future__ import annotations

from pathlib import Path

import psutil

from archive.store import ROOT, STATE
from rollout.errors import NoServerError
from rollout.folder import check_state, is_state


def running() -> list[Path]:
    """State folders of the servers of this checkout that run, in order."""
    found = set()
    for process in psutil.process_iter():
        try:
            words = process.cmdline()
        except psutil.Error:  # gone, or another user's
            continue
        # As serving/torchserve.py starts it.
        if "ts.model_server" in words and str(ROOT / "deploy" / "log4j2.xml") in words:
            found.add(Path(words[words.index("--ts-config") + 1]).parent)
    return sorted(folder for folder in found if is_state(folder))


def find_state(named: Path | None) -> Path:
    """The state folder, absolute. Raises :class:`NoServerError` when none is named and it is not clear which is meant,
    or when it is no state folder of ours."""
    if named is not None:
        return check_state(named)
    found = running()
    if STATE in found or (not found and is_state(STATE)):
        return STATE
    if len(found) == 1:
        return found[0]
    if found:
        raise NoServerError(f"{len(found)} servers run here; name one with --state: {', '.join(map(str, found))}")
    raise NoServerError(
        "no server of this checkout runs. Name the state folder that scripts/serve was given, with --state."
    )
