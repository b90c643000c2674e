"""The pictures of a types data set: `<class>.zip` with `<class>/<number>.webp` or the like, and `slices.csv`."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from handler.card import InputSpec
from handler.intensity import RANGES
from handler.preprocess import to_grid
from training.data.cases import DataError

TABLE = "slices.csv"
_COLUMNS = ("class", "number", "patient", "x_centre", "y_centre", "width", "height")


@dataclass(frozen=True)
class Box:
    """Where the tumour lies, as shares of the picture's width and height: left, top, right, bottom in 0..1."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def area(self) -> float:
        """Its share of the picture."""
        return (self.right - self.left) * (self.bottom - self.top)

    def on(self, height: int, width: int) -> NDArray[np.float64]:
        """How much of each cell of a grid (height, width) the box covers: float64 in 0..1."""
        rows = _covered(self.top * height, self.bottom * height, height)
        columns = _covered(self.left * width, self.right * width, width)
        return np.outer(rows, columns)


def _covered(first: float, last: float, cells: int) -> NDArray[np.float64]:
    edges = np.clip(np.arange(cells + 1), first, last)
    return np.diff(edges)


@dataclass(frozen=True)
class TypeSlice:
    """One picture. `patient` and `box` are None for a class that the table does not list: its source names neither.
    `crc`: of its file, as the zip has it."""

    kind: str
    number: str
    member: str
    patient: str | None = None
    box: Box | None = None
    crc: int = 0

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.number}"


def find_slices(folder: Path, classes: Sequence[str]) -> tuple[TypeSlice, ...]:
    """The slices of `classes` below `folder`, in order of class and number. Pictures are only listed, not opened.

    Raises DataError for a zip or table that is missing or another, two pictures of one number, a slice in the table
    that is in no zip, and a class of which the table lists some slices and not others."""
    table = _table(folder / TABLE)
    found: list[TypeSlice] = []
    for kind in classes:
        members: dict[str, str] = {}
        sums = _members(folder / f"{kind}.zip")
        for name in sums:
            if not name.endswith("/") and (first := members.setdefault(Path(name).stem, name)) != name:
                raise DataError(
                    f"{kind}.zip holds {first} and {name}, both number {Path(name).stem}; leave one of them"
                )
        rows = {number: row for (of, number), row in table.items() if of == kind}
        if lost := sorted(rows.keys() - members.keys()):
            raise DataError(f"{TABLE} lists {kind}/{lost[0]} and {len(lost) - 1} more that {kind}.zip does not hold")
        if rows and (loose := sorted(members.keys() - rows.keys())):
            raise DataError(f"{kind}.zip holds {loose[0]} and {len(loose) - 1} more that {TABLE} names no patient for")
        for number, member in sorted(members.items()):
            patient, box = rows.get(number, (None, None))
            found.append(TypeSlice(kind, number, member, patient, box, sums[member]))
    return tuple(found)


def _table(path: Path) -> dict[tuple[str, str], tuple[str, Box]]:
    try:
        text = path.read_text("utf-8")
    except OSError as error:
        raise DataError(f"no {path.name} in {path.parent}; expected columns {', '.join(_COLUMNS)}") from error
    rows: dict[tuple[str, str], tuple[str, Box]] = {}
    for line, row in enumerate(csv.DictReader(io.StringIO(text)), 2):
        try:
            x, y, width, height = (float(row[name]) for name in _COLUMNS[3:])
            ends = np.clip([x - width / 2, y - height / 2, x + width / 2, y + height / 2], 0, 1)
            rows[row["class"], row["number"]] = row["patient"], Box(*map(float, ends))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"{path.name}, line {line}: expected {', '.join(_COLUMNS)}, got {row}") from error
    return rows


def _members(path: Path) -> dict[str, int]:
    """Names in a zip, each with its CRC."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {one.filename: one.CRC for one in archive.infolist()}
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(f"{path.name} is no zip of pictures in {path.parent} ({error})") from error


def read_grids(
    folder: Path, slices: Sequence[TypeSlice], spec: InputSpec, advance: Callable[[], None] = lambda: None
) -> NDArray[np.float32]:
    """The slices as the network sees them but for normalisation: float32 (n, spec.height, spec.width) grey in 0..1, by
    the very functions that serving calls. Raises DataError for a picture that cannot be decoded."""
    grids = np.empty((len(slices), spec.height, spec.width), np.float32)
    archives = {kind: zipfile.ZipFile(folder / f"{kind}.zip") for kind in {item.kind for item in slices}}
    try:
        for grid, item in zip(grids, slices, strict=True):
            try:
                with Image.open(io.BytesIO(archives[item.kind].read(item.member))) as picture:
                    pixels = np.asarray(picture.convert("L"))
            except (UnidentifiedImageError, OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                raise DataError(f"{item.kind}.zip: {item.member} cannot be decoded ({error})") from error
            grid[...] = to_grid(pixels[None, ..., None], spec, RANGES["uint8"])[0, ..., 0]
            advance()
    finally:
        for archive in archives.values():
            archive.close()
    return grids
