"""The light set-up: which build of torch a machine without a GPU gets, shown with folders as indexes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from archive.store import ROOT


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    return {name: pin for name, _, pin in (line.partition("==") for line in lines) if name in ("torch", "torchvision")}


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with empty CPU builds of what is pinned."""
    folder = tmp_path_factory.mktemp("wheels")
    for name, pin in pins().items():
        info = f"{name}-{pin}+cpu.dist-info"
        with zipfile.ZipFile(folder / f"{name}-{pin}+cpu-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}/__init__.py", "")
            wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {pin}+cpu\n")
            wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            wheel.writestr(f"{info}/RECORD", "")
    return folder


@pytest.fixture
def python(tmp_path: Path) -> Path:
    venv.create(tmp_path / "venv", with_pip=True)
    return tmp_path / "venv" / "bin" / "python"


def chosen(python: Path, before: str = "", **variables: str) -> str:
    code = f". {ROOT}/scripts/bootstrap.sh; PYTHON={python}; brainseg_has_gpu() {{ false; }}; {before} brainseg_torch"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BRAINSEG_")}
    done = subprocess.run(
        ["bash", "-c", code], env={**environment, **variables}, capture_output=True, text=True, check=False
    )
    return done.stderr


def installed(python: Path) -> dict[str, str]:
    code = "import importlib.metadata as m; print(*(f'{d.name}=={d.version}' for d in m.distributions()))"
    found = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    return {name: pin for name, _, pin in (one.partition("==") for one in found) if name in pins()}


@pytest.mark.slow
def test_without_a_gpu_the_cpu_build_is_taken_and_satisfies_the_pins(python: Path, index: Path, tmp_path: Path) -> None:
    assert f"the CPU build of torch, from {index}" in chosen(python, BRAINSEG_TORCH_INDEX=str(index))
    assert installed(python) == {name: f"{pin}+cpu" for name, pin in pins().items()}
    command = [str(python), "-I", "-m", "pip", "install", "--no-index", "--no-deps", "torch"]
    command += ["-c", str(ROOT / "constraints.txt")]
    assert "already satisfied" in subprocess.run(command, capture_output=True, text=True, check=True).stdout
    # Nor does the image fetch it once more, whose digest would be another.
    by_digest = tmp_path / "hashes.txt"
    by_digest.write_text(f"torch=={pins()['torch']} --hash=sha256:{'0' * 64}\n")
    command = [str(python), "-I", "-m", "pip", "install", "--no-index", "--no-deps", "--require-hashes"]
    command += ["-r", str(by_digest)]
    assert "already satisfied" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_otherwise_the_plain_index_is_taken_and_said(index: Path, tmp_path: Path) -> None:
    python = Path(sys.executable)
    missing = f"PYTHON={tmp_path}/none;"  # nothing may be installed by these
    assert "BRAINSEG_TORCH)" in chosen(python, missing, BRAINSEG_TORCH="cuda", BRAINSEG_TORCH_INDEX=str(index))
    assert "an NVIDIA device is here" in chosen(python, f"{missing} brainseg_has_gpu() {{ true; }};")
    assert "expected cuda" in chosen(python, missing, BRAINSEG_TORCH="rocm")
    assert "did not answer within 3 s" in chosen(python, f"{missing} BRAINSEG_CPU_INDEX=http://127.0.0.1:9;")


def test_the_image_is_built_with_what_the_set_up_reads() -> None:
    arguments = re.findall(r"^ARG (BRAINSEG_\w+)", (ROOT / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    assert arguments
    set_up = (ROOT / "scripts" / "bootstrap.sh").read_text()
    assert all(f"${{{name}:-}}" in set_up for name in arguments)
