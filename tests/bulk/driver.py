"""``scripts/bulk`` on a tiny archive, a part of the table after each third scan, to be killed from outside."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bulk import table
from scripts.commands import bulk as command


def main(source: str, out: str, archive: str) -> None:
    """Ends with the command's exit status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(table, "PART_ROWS", 3)
        patch.setattr(command, "packaged", lambda *_: Path(archive))
        sys.argv = ["bulk", source, "--out", out, "--version", "1.0", "--workers", "2"]
        command.typer.run(command.main)
