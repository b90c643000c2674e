"""A store with one release, and a server on it."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from archive.digests import write_record
from archive.inputs import is_current
from archive.mar import package
from archive.store import DEFAULT_VERSION_FILE, archive_path, release_folder
from prove.server import Server
from serving.ports import free_port


def make_store(folder: Path, store: Path, version: str) -> Path:
    """``folder`` as a model store with ``version`` of ``store`` alone. Its archive is that of ``store`` where that is
    current, else it is packaged there first."""
    release, archive = release_folder(version, store), archive_path(version, store)
    if not is_current(archive, release):
        package(release, archive)
    folder.mkdir(parents=True)
    release_folder(version, folder).symlink_to(release.resolve())
    shutil.copy(archive, archive_path(version, folder))
    write_record(archive_path(version, folder))
    (folder / DEFAULT_VERSION_FILE).write_text(f"{version}\n", encoding="utf-8")
    return folder


@contextlib.contextmanager
def served(store: Path, folder: Path, *options: str, grpc: bool = False, jobs: bool = False) -> Iterator[Server]:
    """``scripts/serve`` on ``store``, its state in ``folder``; ended in the end, whatever became of it. Raises
    ``RuntimeError`` with what it said where it does not start."""
    given = [*options, *(("--jobs", str(folder / "jobs")) if jobs else ())]
    server = Server(store, folder / "state", options=tuple(given), grpc_port=free_port() if grpc else None)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        server.start()
        yield server
    finally:
        server.kill()
