"""A set-up without a network: from a folder of wheels, with what ``requirements.txt`` names before the first start."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
import zipfile
from pathlib import Path

import pytest

from archive.store import ROOT

pytestmark = pytest.mark.slow  # makes environments
NAMES = ("torch", "torchvision", "tinyparcel")


def wheel(folder: Path, name: str) -> None:
    """A package of one line, as a wheel."""
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", "HERE = True\n")
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        file.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        file.writestr(f"{info}/RECORD", "")


def checkout(folder: Path) -> Path:
    """The real set-up with tiny needs."""
    (folder / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "bootstrap.sh", folder / "scripts")
    listed = ", ".join(f'"{name}"' for name in NAMES)
    (folder / "pyproject.toml").write_text(f"[project]\ndependencies = [{listed}]\n[project.optional-dependencies]\n")
    (folder / "constraints.txt").write_text("".join(f"{name}==1.0\n" for name in NAMES))
    return folder


def set_up(root: Path, wheels: Path) -> subprocess.CompletedProcess[str]:
    code = f". {root}/scripts/bootstrap.sh; brainseg_environment serve; $PYTHON -I -c 'import {', '.join(NAMES)}'"
    # An index that nobody answers at: whoever asks one fails.
    variables = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(root), "BRAINSEG_WHEELS": str(wheels)}
    variables |= {"PIP_INDEX_URL": "http://127.0.0.1:9/", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": "/dev/null"}
    return subprocess.run(["bash", "-c", code], env=variables, capture_output=True, text=True, check=False)


def test_all_is_installed_from_the_folder(tmp_path: Path) -> None:
    root, wheels = checkout(tmp_path / "checkout"), tmp_path / "some wheels"
    wheels.mkdir()
    for name in NAMES:
        wheel(wheels, name)
    done = set_up(root, wheels)
    assert done.returncode == 0, done.stderr


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = set_up(checkout(tmp_path / "checkout"), tmp_path / "none")
    assert done.returncode == 1
    assert "expected a folder of wheels" in done.stderr


def test_the_requirements_are_those_of_the_project() -> None:
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    with (ROOT / "pyproject.toml").open("rb") as file:
        assert lines[1:] == tomllib.load(file)["project"]["dependencies"]
