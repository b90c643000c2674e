"""Known faults of what is shipped, as pip-audit finds them in the package index's advisories."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from archive.programs import environment, python
from archive.shipped import Shipped

# By identifier: what shields a fault that nobody mends. Nothing is let through without its line.
SHIELDED: Mapping[str, str] = {}


class AuditError(RuntimeError):
    """The audit could not be made; the message says why."""


@dataclass(frozen=True)
class Audit:
    """``faults``: a line each; ``shielded``: likewise, with what shields; ``skipped``: packages that the index did not
    know, a line each; ``audited``: how many it did."""

    faults: tuple[str, ...]
    shielded: tuple[str, ...]
    skipped: tuple[str, ...]
    audited: int


def audit(parts: Iterable[Shipped]) -> Audit:
    """Asks the package index about the Python packages of ``parts``. Raises :class:`AuditError`."""
    with TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        # A local build such as 2.14.1+cpu has the faults of its version, and no entry of its own.
        lines = [f"{part.name}=={part.version.partition('+')[0]}\n" for part in parts if part.kind == "pypi"]
        listed.write_text("".join(lines), encoding="utf-8")
        command = python("-m", "pip_audit", "--requirement", str(listed), "--no-deps", "--disable-pip")
        command += ["--format", "json", "--progress-spinner", "off"]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    if "No module named pip_audit" in done.stderr:
        raise AuditError("pip-audit is not installed: .venv/bin/python -m pip install pip-audit")
    try:
        return read(json.loads(done.stdout))
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise AuditError(f"pip-audit gave no answer: {done.stderr.strip()[-500:] or done.stdout[:200]}") from error


def read(answer: Mapping[str, Any]) -> Audit:
    """What pip-audit's JSON says. It ends with status 0 and "no known vulnerabilities" also where it could ask about
    nothing (2.10), so what it skipped is counted."""
    faults: list[str] = []
    shielded: list[str] = []
    skipped: list[str] = []
    audited = 0
    for package in answer["dependencies"]:
        if "skip_reason" in package:
            skipped.append(f"{package['name']}: {package['skip_reason']}")
            continue
        audited += 1
        for fault in package["vulns"]:
            mended = ", ".join(fault["fix_versions"]) or "no version"
            line = f"{package['name']} {package['version']}: {fault['id']}, mended in {mended}"
            names = {fault["id"], *fault["aliases"]} & SHIELDED.keys()
            (shielded if names else faults).append(line + "".join(f"; {SHIELDED[name]}" for name in sorted(names)))
    return Audit(tuple(faults), tuple(shielded), tuple(skipped), audited)
