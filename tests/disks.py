"""Small disks, to fill; a test is skipped where none may be mounted."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from prove import disks
from prove.disks import remount


@contextmanager
def small_disk(mib: int) -> Iterator[Path]:
    """As :func:`prove.disks.small_disk`."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(disks.small_disk(mib))
        except disks.NoDiskError as error:
            pytest.skip(str(error))
        yield folder


def grow(folder: Path, mib: int) -> None:
    """Gives what :func:`small_disk` has mounted on ``folder`` another size."""
    remount(folder, f"size={mib}m")
