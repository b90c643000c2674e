"""Is an answer still wanted? TorchServe never tells a worker that the client has gone.

Who wants to be able to take a request back keeps a file in the folder that the environment names (``scripts/serve``
sets it), and its name in the header ``X-Wanted``. The file gone, the work is stopped; while it is there it is touched,
which shows that the work goes on. Without folder or header every answer is wanted."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any

HEADER = "x-wanted"
FOLDER_VARIABLE = "BRAINSEG_WANTED"
_NAME = re.compile(r"[0-9a-f]{32}")


_asker: ContextVar[Callable[[], None]] = ContextVar("asker", default=lambda: None)


class UnwantedError(BaseException):
    """Nobody waits for the answer any more. No ``Exception``, as asyncio's own is none: a decoder's guard would take it
    for a broken file."""


def asker(headers: Mapping[str, Any], folder: Path | None = None) -> Callable[[], None]:
    """A function that raises :class:`UnwantedError` once the answer is not wanted. ``headers``: names in any case;
    ``folder``: by default the environment's."""
    folder = folder or (Path(os.environ[FOLDER_VARIABLE]) if os.environ.get(FOLDER_VARIABLE) else None)
    name = next((value for key, value in headers.items() if key.lower() == HEADER), None)
    if folder is None or not isinstance(name, str) or not _NAME.fullmatch(name):
        return lambda: None
    path = folder / name

    def touch() -> None:
        try:
            os.utime(path)
        except FileNotFoundError:
            raise UnwantedError from None
        except OSError:
            return  # it cannot be known, so it is wanted

    return touch


@contextmanager
def asking(headers: Mapping[str, Any]) -> Iterator[None]:
    """While it lasts, :func:`ask` asks about the request with these headers."""
    token = _asker.set(asker(headers))
    try:
        yield
    finally:
        _asker.reset(token)


def ask() -> None:
    """Between slices, pages and other pieces of well under a second: raises :class:`UnwantedError` once nobody waits
    for the request that is in work."""
    _asker.get()()
