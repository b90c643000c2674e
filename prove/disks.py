"""Small disks, to fill."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class NoDiskError(Exception):
    """None may be mounted here; the message says why."""


@contextmanager
def small_disk(mib: int) -> Iterator[Path]:
    """A file system of ``mib`` MiB in memory. Raises :class:`NoDiskError` where we may not mount one."""
    if os.geteuid() != 0:
        raise NoDiskError("only root may mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        raise NoDiskError("a small disk may not be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def remount(folder: Path, options: str) -> None:
    """Gives what :func:`small_disk` has mounted on ``folder`` other options, as ``size=8m`` or ``ro``."""
    subprocess.run(["mount", "-o", f"remount,{options}", str(folder)], check=True)
