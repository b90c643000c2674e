"""Tells a worker whether anybody still waits for an answer: TorchServe itself cannot, for it never learns that a client
has gone, and works on.

While a request is with TorchServe a file of its own lies in a folder that the worker sees; the request's header
:data:`HEADER` names it. The handler touches it between slices, and stops when it is not there. So its time also shows
whether the work goes on."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

HEADER = "X-Wanted"


class Wanted:
    """``folder``: None where workers cannot be told. Safe to use from several threads."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._files: dict[Path, str] = {}  # -> version

    @contextmanager
    def kept(self, version: str) -> Iterator[Mapping[str, str]]:
        """The header to send along; with the end of the context the answer is not wanted any more."""
        if self._folder is None:
            yield {}
            return
        name = uuid4().hex
        path = self._folder / name
        path.touch(mode=0o600)
        with self._lock:
            self._files[path] = version
        try:
            yield {HEADER: name}
        finally:
            with self._lock:
                del self._files[path]
            path.unlink(missing_ok=True)

    def stands_still(self, version: str) -> float:
        """For how many seconds none of the requests that ``version`` has at TorchServe has come further; 0 when there
        is none, or nobody can know."""
        with self._lock:
            mine = [path for path, one in self._files.items() if one == version]
        moved = []
        for path in mine:
            with suppress(FileNotFoundError):  # answered just now
                moved.append(path.stat().st_mtime)
        return max(0.0, time.time() - max(moved)) if moved else 0.0
