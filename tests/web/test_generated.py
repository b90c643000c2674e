"""Clients that generators make of the document send a scan and read a typed verdict and a typed error; and linters of
such documents find nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from archive.store import SAMPLES
from samples.make import LESION
from tests.kept import kept
from tests.npm import npm_folder
from web.contract.openapi import document

SOURCE = Path(__file__).parent / "generators"
GENERATORS = ("openapi-python-client==0.29.1", "openapi-generator-cli==7.26.0", "ruff==0.17.6")


def run(folder: Path, *command: str | Path, bin_folder: Path | None = None) -> str:
    """What it printed."""
    path = os.pathsep.join([*([str(bin_folder)] if bin_folder else []), os.environ["PATH"]])
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [str(word) for word in command], cwd=folder, env={**clean, "PATH": path}, capture_output=True, text=True,
        check=False, timeout=500,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the document, npm's packages and what is in ``generators/``."""
    installed = npm_folder(SOURCE, "generators")
    for file in SOURCE.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "node_modules").symlink_to(installed / "node_modules")
    (tmp_path / "openapi.json").write_text(json.dumps(document()))
    return tmp_path


@pytest.fixture(scope="module")
def python_tools() -> Path:
    """The programs of an environment of its own, for the generators want other versions than ours; made once and
    kept."""
    place = kept("-".join(GENERATORS).replace("==", "-"))
    if not (place / "installed").exists():
        subprocess.run([sys.executable, "-I", "-m", "venv", "--clear", str(place)], check=True)
        pip = [str(place / "bin" / "python"), "-I", "-m", "pip", "install", "-q", *GENERATORS]
        done = subprocess.run(pip, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"pip could not install {', '.join(GENERATORS)}: {done.stderr.strip()[-300:]}")
        (place / "installed").touch()
    return place / "bin"


@pytest.mark.slow
def test_spectral_finds_nothing(folder: Path) -> None:
    (folder / "rules.yaml").write_text('extends: ["spectral:oas"]\n')
    linter = folder / "node_modules" / ".bin" / "spectral"
    found = run(folder, linter, "lint", "--fail-severity", "hint", "--ruleset", "rules.yaml", "openapi.json")
    assert "No results" in found
    broken = document()
    del broken["paths"]["/livez"]["get"]["description"]
    (folder / "openapi.json").write_text(json.dumps(broken))
    with pytest.raises(AssertionError, match="operation-description"):
        run(folder, linter, "lint", "--fail-severity", "hint", "--ruleset", "rules.yaml", "openapi.json")


@pytest.mark.slow
def test_redocly_finds_nothing(folder: Path) -> None:
    linter = folder / "node_modules" / ".bin" / "redocly"
    assert json.loads(run(folder, linter, "lint", "--format", "json", "openapi.json"))["totals"] == {
        "errors": 0,
        "warnings": 0,
        "ignored": 0,
    }


def check_lines(printed: str, version: str = "1.0") -> None:
    *found, refused = printed.splitlines()
    assert found
    for line in found:
        verdict, pixels, answered = line.split()
        assert (verdict, answered) == ("tumor_detected", version)
        assert int(pixels) > 100
    assert refused == "unsupported_format 415"


@pytest.mark.slow
def test_openapi_typescript_and_openapi_fetch(folder: Path, door: str) -> None:
    (folder / "fetched.ts").unlink()
    programs = folder / "node_modules" / ".bin"
    run(folder, programs / "openapi-typescript", "openapi.json", "-o", "api.d.ts")
    run(folder, programs / "tsc", "--project", ".")
    check_lines(run(folder, "node", "out/typed.js", door, SAMPLES / LESION))


@pytest.mark.long  # makes an environment of its own, and needs Java
def test_openapi_generator_for_typescript(folder: Path, door: str, python_tools: Path) -> None:
    if not shutil.which("java"):
        pytest.skip("java is not here: openapi-generator cannot run")
    (folder / "typed.ts").unlink()
    command = ["openapi-generator-cli", "generate", "-i", "openapi.json", "-g", "typescript-fetch", "-o", "fetched"]
    command += ["--additional-properties=importFileExtension=.js", "--global-property=skipFormModel=false"]
    run(folder, python_tools / command[0], *command[1:])
    run(folder, folder / "node_modules" / ".bin" / "tsc", "--project", ".")
    check_lines(run(folder, "node", "out/fetched.js", door, SAMPLES / LESION))


@pytest.mark.long  # makes an environment of its own
def test_openapi_python_client(tmp_path: Path, door: str, python_tools: Path) -> None:
    (tmp_path / "openapi.json").write_text(json.dumps(document()))
    shutil.copy(SOURCE / "python_client.py", tmp_path)
    command = [
        "generate",
        "--fail-on-warning",
        "--meta",
        "none",
        "--path",
        "openapi.json",
        "--output-path",
        "generated",
    ]
    run(tmp_path, python_tools / "openapi-python-client", *command, bin_folder=python_tools)
    check_lines(run(tmp_path, python_tools / "python", "python_client.py", door, SAMPLES / LESION))
