"""What a run's log holds (:mod:`training.fit.log` writes it)."""

from __future__ import annotations

import csv
from pathlib import Path

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """The rows of a run's log as text by column, empty cells left out; those of the pieces in which earlier builds left
    it (metrics-001.csv, …) before them. No rows without any."""
    rows: list[Row] = []
    for piece in [*pieces(path), *([path] if path.is_file() else [])]:
        with piece.open(newline="", encoding="utf-8") as file:
            rows += [{name: value for name, value in row.items() if name and value} for row in csv.DictReader(file)]
    return rows


def pieces(path: Path) -> list[Path]:
    """What earlier builds moved aside when a run was started again, oldest first."""
    return sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))
