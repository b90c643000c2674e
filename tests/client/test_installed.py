"""The client as an app developer has it: installed with pip into an environment of its own, with ``requests`` alone."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from archive.store import ROOT, SAMPLES
from prove.server import Server, environment
from samples.make import LESION, STACK

pytestmark = pytest.mark.slow  # an environment is made, and packages are fetched
# What requests brings, and what a new environment may hold.
ALLOWED = {"brainseg-client", "requests", "certifi", "charset-normalizer", "idna", "urllib3", "pip", "setuptools"}


@pytest.fixture(scope="module")
def bin_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the environment's programs are."""
    place = tmp_path_factory.mktemp("installed")
    source = shutil.copytree(ROOT / "client", place / "client", ignore=shutil.ignore_patterns("__pycache__"))
    # By the pip that is here: one of its own would take longer to be put there than all that is tested.
    subprocess.run([sys.executable, "-I", "-m", "venv", "--without-pip", str(place / "venv")], check=True)
    pip = [sys.executable, "-I", "-m", "pip", "--python", str(place / "venv" / "bin" / "python")]
    done = subprocess.run(
        [*pip, "install", "-q", "--no-compile", str(source)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    listed = json.loads(subprocess.run([*pip, "list", "--format=json"], capture_output=True, check=True).stdout)
    assert {one["name"].lower() for one in listed} <= ALLOWED
    return place / "venv" / "bin"


def _run(command: list[object], folder: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in environment().items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(one) for one in command], cwd=folder, env={**clean, **variables}, capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip


@pytest.mark.server
def test_the_command_segments(bin_folder: Path, tiny_server: Server, tmp_path: Path) -> None:
    files = [SAMPLES / LESION, SAMPLES / STACK]
    done = _run([bin_folder / "brainseg", "segment", *files, "--out", "out", "--url", tiny_server.door], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 of 2 scans" in done.stdout
    assert "Research use only" in done.stdout
    with (tmp_path / "out" / "measurements.csv").open(newline="") as table:
        rows = {row["file"]: row for row in csv.DictReader(table)}
    mask = imagecodecs.png_decode((tmp_path / "out" / "lesion.mask.png").read_bytes())
    assert np.count_nonzero(mask) == int(rows[LESION]["tumor_pixels"])
    masks = tifffile.imread(tmp_path / "out" / "stack.mask.tiff")
    assert np.count_nonzero(masks) == int(rows[STACK]["tumor_pixels"])
    assert masks.shape == (8, 256, 256)
    assert tifffile.imread(tmp_path / "out" / "stack.overlay.tiff").shape == (8, 256, 256, 3)


@pytest.mark.server
def test_the_package_is_imported_by_its_name(bin_folder: Path, tiny_server: Server, tmp_path: Path) -> None:
    code = f"""
from brainseg_client import Client, ScanError
client = Client({tiny_server.door!r})
print(client.segment({str(SAMPLES / LESION)!r}, outputs=()).model.version)
try:
    client.segment(b"GIF89a")
except ScanError as error:
    print(error.code)
"""
    done = _run([bin_folder / "python", "-c", code], tmp_path)
    assert done.stdout.split() == ["1.0", "unsupported_format"], done.stderr


def test_it_says_that_it_is_typed_and_which_commands_there_are(bin_folder: Path, tmp_path: Path) -> None:
    assert list(bin_folder.parent.rglob("brainseg_client/py.typed"))
    done = _run([bin_folder / "brainseg", "--help"], tmp_path)
    assert done.returncode == 0
    assert "segment" in done.stdout
    assert _run([bin_folder / "brainseg", "paint"], tmp_path).returncode == 2


def test_the_folder_where_one_stands_is_not_code(bin_folder: Path, tmp_path: Path) -> None:
    for name in ("argparse", "random", "requests", "csv", "brainseg_client", "usercustomize"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('imported').touch()")
    elsewhere = tmp_path / "lib" / f"python{sys.version_info[0]}.{sys.version_info[1]}" / "site-packages"
    elsewhere.mkdir(parents=True)
    shutil.copy(tmp_path / "requests.py", elsewhere)
    for variables in ({}, {"PYTHONPATH": os.pathsep, "PYTHONUSERBASE": str(tmp_path), "PYTHONSTARTUP": "random.py"}):
        if variables:
            (tmp_path / "brainseg_client.py").unlink()  # asked for by name, that one is what PYTHONPATH names
        done = _run([bin_folder / "brainseg", "segment", "nothing", "--out", "out"], tmp_path, **variables)
        assert "nothing is neither a file nor a folder" in done.stderr
        assert not (tmp_path / "imported").exists()
