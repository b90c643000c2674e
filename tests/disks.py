"""Small disks, to fill."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(mib: int) -> Iterator[Path]:
    """A file system of ``mib`` MiB in memory; the test is skipped where we may not mount one."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small disk")
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        folder.rmdir()
        pytest.skip("a small disk may not be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
        folder.rmdir()


def grow(folder: Path, mib: int) -> None:
    """Gives what :func:`small_disk` has mounted on ``folder`` another size."""
    subprocess.run(["mount", "-o", f"remount,size={mib}m", str(folder)], check=True)
