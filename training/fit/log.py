"""The log of a run: one CSV file, which a run that is started again goes on with."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from handler.files import write_atomic
from training.fit.rows import Row, pieces, read_rows

STEP = "step"


class OneLog(Logger):
    """Lightning's own CSV logger deletes what an earlier start of the run has left. ``path``: the file; ``done_steps``:
    of the checkpoint that the run goes on from: rows of later steps are of an epoch that is trained again, and go."""

    def __init__(self, path: Path, done_steps: int) -> None:
        super().__init__()
        self._path, self._done = path, done_steps
        self._rows: list[Row] = []
        self._columns: list[str] = []
        self._written: int | None = None  # rows that the file holds; None until it has been read

    @property
    def name(self) -> str:
        return self._path.parent.name

    @property
    def version(self) -> str:
        return ""

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *_: Any, **__: Any) -> None:
        """Nothing: recipe.json beside the log has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self._go_on()
        at = len(self._rows) if step is None else step
        self._rows.append({STEP: str(at), **{name: repr(float(value)) for name, value in metrics.items()}})

    @rank_zero_only
    def save(self) -> None:
        """What is new, at the end of the file in one piece; the whole file anew where there is a new column, and at
        first, when rows may have to go."""
        if self._written is None or self._written == len(self._rows):
            return
        columns = sorted({name for row in self._rows for name in row})
        if self._written and columns == self._columns:
            with self._path.open("a", encoding="utf-8", newline="") as file:
                file.write(_text(self._rows[self._written :], columns, head=False))
        else:
            write_atomic(self._path, _text(self._rows, columns).encode())
            for piece in pieces(self._path):
                piece.unlink()
        self._columns, self._written = columns, len(self._rows)

    @rank_zero_only
    def finalize(self, status: str) -> None:
        self.save()

    def _go_on(self) -> None:
        """What the log holds already, read when there is something to add."""
        if self._written is None:
            self._rows = [row for row in read_rows(self._path) if int(float(row.get(STEP, 0))) < self._done]
            self._written = 0


def _text(rows: Sequence[Row], columns: Sequence[str], head: bool = True) -> str:
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, columns, lineterminator="\n")
    if head:
        writer.writeheader()
    writer.writerows(rows)
    return buffer.getvalue()
