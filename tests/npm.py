"""Packages from npm for tests, installed once and kept."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.kept import kept


def npm_folder(source: Path, name: str) -> Path:
    """A folder with what ``source``/package.json names installed, and the other files of ``source`` beside it. Skips
    where node or npm are not here, or npm can fetch nothing."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip(f"node and npm are not here: {name} cannot run")
    wanted = (source / "package.json").read_bytes()
    folder = kept(f"{name}-{hashlib.sha256(wanted).hexdigest()[:16]}")
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "installed").exists():
            (folder / "package.json").write_bytes(wanted)
            command = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
            ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=500)
            if ran.returncode:
                pytest.skip(f"npm could not install {name}: {ran.stderr.strip()[-300:]}")
            (folder / "installed").touch()
        for file in source.iterdir():
            if file.is_file():
                shutil.copy(file, folder)
    return folder
