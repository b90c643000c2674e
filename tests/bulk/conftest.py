"""Pictures drawn in code, a tiny release, and a run over them in this process or in a pool."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.dataset as ds
import pytest
from PIL import Image

from archive.store import REGIONS_NAME
from bulk.pool import Alone, Pool
from bulk.release import Opened, find
from bulk.run import Options, Summary, Watching, run
from bulk.worker import Setup
from tests.labelled import write_labelled_detector
from tests.rollout.stage import ARCHIVE
from tests.sharing import shared_folder
from tests.tiny import package_quietly

Rows = list[dict[str, Any]]


def picture(seed: int, side: int = 64) -> bytes:
    """A PNG of noise; no two seeds alike."""
    pixels = np.random.default_rng(seed).integers(0, 255, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def draw(folder: Path, count: int, first: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(first, first + count):
        (folder / f"{number:05d}.png").write_bytes(picture(number))
    return folder


def rows(out: Path) -> Rows:
    """The whole table, by digest and path."""
    found = ds.dataset(out / "table", format="parquet").to_table().to_pylist()
    return sorted(found, key=lambda row: (row["input_sha256"] or "", row["path"]))


def lasting(row: dict[str, Any]) -> dict[str, Any]:
    """What of a row is the same in every run."""
    return {name: value for name, value in row.items() if name != "seconds"}


def files_of(out: Path) -> dict[str, bytes]:
    """Every result by its name."""
    return {str(path.relative_to(out)): path.read_bytes() for path in (out / "masks").rglob("*") if path.is_file()}


@contextmanager
def showing(_total: int) -> Iterator[Callable[[int, int], None]]:
    yield lambda _done, _refused: None


@pytest.fixture(scope="session")
def opened(packaged: Path) -> Opened:
    return find(packaged / ARCHIVE, "1.0")


@pytest.fixture(scope="session")
def archive(packaged: Path) -> Path:
    return packaged / ARCHIVE


class Bulk:
    """Runs as ``scripts/bulk`` does."""

    def __init__(self, opened: Opened, archive: Path) -> None:
        self.opened, self.archive = opened, archive
        self.lines: list[str] = []

    def setup(self, out: Path | str) -> Setup:
        opened = self.opened
        return Setup(opened.sha256, opened.version, opened.model_digest, str(out), model=opened.model)

    def alone(self, source: Path | str, out: Path | str, **options: Any) -> Summary:
        stopped = options.pop("stopped", lambda: False)
        executor = Alone(self.setup(out), self.opened)
        watching = Watching(showing, self.lines.append, stopped)
        return run(Options(str(source), str(out), **options), self.opened, executor, watching)

    def pool(self, out: Path) -> Pool:
        return Pool(2, self.setup(out), str(self.archive))


@pytest.fixture(scope="session")
def labelled_archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of :data:`tests.labelled.LABELS`, beside its release."""

    def make(folder: Path) -> None:
        release = write_labelled_detector(folder)
        package_quietly(release, folder / f"{release.name}.mar")

    return shared_folder(tmp_path_factory, "labelled", make) / f"{REGIONS_NAME}-0.1.mar"


@pytest.fixture
def labelled(labelled_archive: Path) -> Bulk:
    """By a model that tells parts of a tumour apart."""
    return Bulk(find(labelled_archive, "0.1", REGIONS_NAME), labelled_archive)


@pytest.fixture
def bulk(opened: Opened, archive: Path) -> Bulk:
    return Bulk(opened, archive)
