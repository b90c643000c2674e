"""``scripts/benchmark --bulk``: an archive in bulk against one core in process and against the front door, in turns,
and what a run over finished work costs.

Every turn does the same drawn slices anew, into a folder of its own. Opening the model is in no figure: overnight it is
nothing, in a short turn it would be most. What is measured is kept as it comes; the same command again goes on."""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from archive.store import archive_path
from benchmark.builds import Build
from bulk.crew import Executor
from bulk.pool import Alone, Pool
from bulk.release import Opened, find
from bulk.run import Options, Showing, Summary, Watching, run
from bulk.worker import Setup
from handler.files import write_atomic
from handler.resources import available_cores
from samples.make import png
from samples.phantom import draw

ONE, POOL, DOOR = "one core in process", "pool", "front door, 4 clients"
NODES = {1: "1 node of Ray", 2: "2 nodes of Ray"}
JSON = "bulk.json"
CLIENTS = 4
SIDE = 64  # of the many scans, which are about the driver and not about the network
DRAWN = 64  # different heads; each slice gets a pixel of its own, so that no two are alike


@dataclass(frozen=True)
class Amount:
    """``slices``: of a turn; ``nodes``: likewise, of a simulated cluster; ``finished``: scans of the run that is
    repeated."""

    slices: int = 5_000
    turns: int = field(default=3, compare=False)
    finished: int = 20_000
    nodes: int = 1_000


SHORT = Amount(40, 1, 200, 40)


@dataclass
class Found:
    """Slices a second by turn, of ``amount``; seconds and largest resident MB of the runs over many scans, by their
    number. ``beside``: cores that Ray and the driver used beside two nodes, by turn."""

    cores: int
    version: str = ""
    amount: Amount = SHORT
    rates: dict[str, list[float]] = field(default_factory=dict)
    first_seconds: dict[int, float] = field(default_factory=dict)
    second_seconds: dict[int, float] = field(default_factory=dict)
    driver_mb: dict[int, float] = field(default_factory=dict)
    beside: list[float] = field(default_factory=list)

    def add(self, name: str, rate: float) -> None:
        self.rates.setdefault(name, []).append(rate)

    def ratio(self, one: str, other: str) -> float:
        """The median over the turns of ``one``'s rate by ``other``'s in the same turn."""
        return statistics.median(a / b for a, b in zip(self.rates[one], self.rates[other], strict=False))


class Clock:
    """From the first scan that is done to the last."""

    def __init__(self) -> None:
        self.first: tuple[int, float] | None = None
        self.last = (0, 0.0)

    @contextmanager
    def showing(self, _total: int) -> Iterator[Callable[[int, int], None]]:
        def at(done: int, _refused: int) -> None:
            self.last = (done, time.perf_counter())
            self.first = self.first or self.last

        yield at

    @property
    def rate(self) -> float:
        begin, end = self.first or self.last, self.last
        return (end[0] - begin[0]) / (end[1] - begin[1])


def slices(folder: Path, count: int, first: int = 0) -> Path:
    """``count`` drawn slices of 256 x 256 in ``folder``."""
    folder.mkdir(parents=True)
    heads = [draw(seed, 0.08 * (seed % 2)) for seed in range(min(count, DRAWN))]
    for number in range(first, first + count):
        head = heads[number % len(heads)]
        head.image[0, 0] = number % 256, number // 256 % 256, number // 65536
        (folder / f"{number:06d}.png").write_bytes(png(head))
    return folder


def tiny(folder: Path, count: int) -> Path:
    """``count`` pictures of 64 x 64, a thousand a folder."""
    pixels = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    for number in range(count):
        place = folder / f"{number // 1000:04d}"
        place.mkdir(parents=True, exist_ok=True)
        pixels[0, 0] = number % 256, number // 256 % 256, number // 65536
        Image.fromarray(pixels).save(place / f"{number:06d}.png", compress_level=1)
    return folder


def bulk_run(
    opened: Opened, executor: Executor, source: Path, out: Path, showing: Showing, heads: bool = True
) -> Summary:
    """One run. Raises ``RuntimeError`` unless all of it was done or had been; of pictures that are no ``heads`` a
    refusal is an answer too."""
    watching = Watching(showing, lambda _line: None)
    summary = run(Options(str(source), str(out)), opened, executor, watching)
    if summary.left or summary.lost or summary.again or (heads and summary.refused):
        raise RuntimeError(f"{summary.refused} of {summary.scans} scans were refused, {summary.left} left")
    return summary


def setup_of(opened: Opened, out: Path) -> Setup:
    """What a worker of ``opened`` is started with."""
    return Setup(opened.sha256, opened.version, opened.model_digest, str(out))


def _in_bulk(opened: Opened, archive: Path, source: Path, out: Path, workers: int) -> float:
    clock = Clock()
    setup = setup_of(opened, out)
    executor: Executor = Pool(workers, setup, str(archive)) if workers else Alone(setup, opened)
    bulk_run(opened, executor, source, out, clock.showing)
    shutil.rmtree(out)
    return clock.rate


def _at_the_door(build: Build, source: Path, version: str) -> float:
    if build.default != version:
        raise RuntimeError(f"the front door answers with {build.default}, not {version}")
    files, fields = sorted(source.iterdir()), {"X-BrainSeg-Outputs": "mask"}
    begin = time.perf_counter()
    with ThreadPoolExecutor(CLIENTS) as clients:
        list(clients.map(lambda path: build.knock(path.read_bytes(), fields), files))
    return len(files) / (time.perf_counter() - begin)


def measure_rates(
    version: str, store: Path, build: Build, folder: Path, found: Found, kept: Callable[[], None]
) -> None:
    """All three take turns over the same slices; ``kept`` is called after each. Goes on where ``found`` ends."""
    archive = archive_path(version, store)
    opened, source = find(archive, version), slices(folder / "slices", found.amount.slices)
    ways: dict[str, Callable[[Path], float]] = {
        ONE: lambda out: _in_bulk(opened, archive, source, out, 0),
        POOL: lambda out: _in_bulk(opened, archive, source, out, found.cores),
        DOOR: lambda _out: _at_the_door(build, source, version),
    }
    for turn in range(found.amount.turns):
        for name, measure in ways.items():
            if len(found.rates.get(name, [])) <= turn:
                found.add(name, measure(folder / f"out-{turn}"))
                kept()


def measure_many(version: str, store: Path, folder: Path, found: Found, kept: Callable[[], None]) -> None:
    """A run over each of two numbers of tiny scans and one more when all is done; ``kept`` is called after both. The
    driver's memory is that of this process, so the numbers have to grow. All of it anew, for it is one comparison."""
    archive = archive_path(version, store)
    opened = find(archive, version)
    for count in (found.amount.finished // 20, found.amount.finished):
        source, out = tiny(folder / f"many-{count}", count), folder / f"out-{count}"
        for seconds in (found.first_seconds, found.second_seconds):
            begin = time.perf_counter()
            bulk_run(
                opened, Pool(found.cores, setup_of(opened, out), str(archive)), source, out, Clock().showing, False
            )
            seconds[count] = time.perf_counter() - begin
        found.driver_mb[count] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        kept()


def markdown(found: Found, machine: Mapping[str, Any]) -> str:
    """What came of it."""
    lines = ["# An archive in bulk", "", ", ".join(f"{name} {value}" for name, value in machine.items()), ""]
    if found.rates:
        lines += [f"| release {found.version} | slices of a turn | slices a second, by turn |", "|---|---|---|"]
        for name, rates in found.rates.items():
            count = found.amount.nodes if name in NODES.values() else found.amount.slices
            lines.append(f"| {name} | {count} | {', '.join(f'{rate:.1f}' for rate in rates)} |")
        lines.append("")
    for name, other, times, most in ((POOL, ONE, found.cores, 0.9), (POOL, DOOR, 1, 1.5), (NODES[2], NODES[1], 1, 1.9)):
        if found.rates.get(name) and found.rates.get(other):
            against = f"{times} times {other}" if times > 1 else other
            ratio = found.ratio(name, other) / times
            lines += [f"{name} against {against}: {ratio:.2f}x (median of the turns; to reach: {most}).", ""]
    if found.beside:
        lines += [f"Ray and the driver used {statistics.median(found.beside):.2f} cores beside two nodes.", ""]
    if found.first_seconds:
        lines += ["| tiny scans | run, s | again, s | driver, largest MB |", "|---|---|---|---|"]
        lines += [
            f"| {count} | {seconds:.0f} | {found.second_seconds[count]:.1f} | {found.driver_mb[count]:.0f} |"
            for count, seconds in found.first_seconds.items()
        ]
    return "\n".join(lines) + "\n"


def write(found: Found, machine: Mapping[str, Any], folder: Path) -> str:
    """``bulk.json`` and ``bulk.md`` in ``folder``; the Markdown."""
    text = markdown(found, machine)
    body = {"machine": machine, **asdict(found)}
    write_atomic(folder / JSON, (json.dumps(body, indent=1) + "\n").encode())
    write_atomic(folder / "bulk.md", text.encode())
    return text


def begun(folder: Path, version: str, amount: Amount) -> Found:
    """What ``folder`` has of an earlier run with the same release, amount and cores; nothing yet where it has none.
    Raises ``ValueError`` where what is there is of something else: that is not to be mixed, nor lost."""
    empty, place = Found(available_cores(), version, amount), folder / JSON
    if not place.exists():
        return empty
    body = json.loads(place.read_text(encoding="utf-8"))
    body.pop("machine", None)
    body["amount"] = Amount(**body.get("amount", {}))
    for name in ("first_seconds", "second_seconds", "driver_mb"):
        body[name] = {int(count): value for count, value in body[name].items()}
    found = Found(**body)
    for ours, theirs in ((empty.cores, found.cores), (version, found.version), (amount, found.amount)):
        if ours != theirs:
            raise ValueError(f"{place} is of {theirs}, not of {ours}: give another --output, or remove it")
    found.amount = amount  # more turns are taken on
    return found
