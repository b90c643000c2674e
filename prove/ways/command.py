"""The client's command over a folder of files, ``scripts/predict``."""

from __future__ import annotations

import csv
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from archive.programs import environment, python
from archive.store import ROOT
from prove.server import Server
from prove.ways.way import LOST, OK, Reply

_ENDED_ITSELF = (0, 1)  # all done; some scans were refused


class CommandWay:
    """Each call is a run over a folder of its own. Its codes are those in the run's table, where a scan that the client
    itself will not send has one too."""

    name = "command"
    kinds: tuple[str, ...] = ()

    def __init__(self, server: Server) -> None:
        self._url = server.door

    def send(self, scans: Sequence[bytes]) -> list[Reply]:
        """One reply a scan, in their order; all are lost where the command ended otherwise than it says it does."""
        with tempfile.TemporaryDirectory(prefix="bs-prove-") as temporary:
            folder, out = Path(temporary) / "scans", Path(temporary) / "out"
            folder.mkdir()
            for number, scan in enumerate(scans):
                (folder / f"scan-{number:05d}.png").write_bytes(scan)
            command = python("-m", "brainseg_client", "segment", str(folder), "--out", str(out), "--url", self._url)
            variables = {**environment(), "PYTHONPATH": str(ROOT / "client")}
            ran = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
            if ran.returncode not in _ENDED_ITSELF or "Traceback" in ran.stderr:
                return [Reply(0, f"{LOST}: the command ended with {ran.returncode}: {ran.stderr[-200:]}")] * len(scans)
            with (out / "measurements.csv").open(newline="", encoding="utf-8") as table:
                told = {Path(row["file"]).name: row["outcome"] for row in csv.DictReader(table)}
        codes = [told.get(f"scan-{number:05d}.png", LOST) for number in range(len(scans))]
        return [Reply(200 if code == OK else 400, code) for code in codes]

    def close(self) -> None:
        """Nothing is left."""
