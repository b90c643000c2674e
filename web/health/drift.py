"""Sliding figures of what was segmented, against those of the model card: a changed scanner or protocol shows here
before anybody complains.

The handler counts the slices of a scan into bins, here the counts are summed up in blocks: no scan is kept, nothing of
a single one, no identifier. The last blocks are the window. They are written into the state folder, so a restart goes
on; what an end without a word lost is counted as a gap."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from web.contract.fields import Answer

logger = logging.getLogger(__name__)
HEADER = "X-Brainseg-Counted"
FORMAT = 1  # of the bins, as the handler has them
QUANTITIES: Mapping[str, int] = {"coverage_percent": 9, "max_probability": 10, "score": 10, "verdict": 3}  # bins
BLOCK_SLICES = 100
BLOCKS = 20  # so the window holds some 2000 slices
LEAST_SLICES = 100  # fewer say nothing: by chance alone the index is about bins / slices
MOST_VERSIONS = 16
WRITE_SECONDS = 5.0
LATEST = 2.0**36  # seconds since 1970: a window of any later time is none
LONGEST_HEADER = 2000
Counts = dict[str, list[int]]
Rows = list[tuple[dict[str, str], float]]


def index(seen: Sequence[int], reference: Sequence[int]) -> float:
    """The population stability index, sum of (p - q) ln(p / q) over bins, p and q the shares here and in the reference
    (the symmetric Kullback-Leibler divergence); half a slice is added to each bin, so that an empty one is no infinity.
    By custom below 0.1 nothing has changed, above 0.25 something has."""
    bins = len(seen)
    shares = [
        ((a + 0.5) / (sum(seen) + 0.5 * bins), (b + 0.5) / (sum(reference) + 0.5 * bins))
        for a, b in zip(seen, reference, strict=True)
    ]
    return sum((p - q) * math.log(p / q) for p, q in shares)


def counts_of(raw: object) -> Counts | None:
    """The counts in a header of the handler or in a card's block; None for another format, and for what is no such
    thing."""
    if not isinstance(raw, Mapping) or raw.get("format") != FORMAT or not isinstance(raw.get("counts"), Mapping):
        return None
    found = {name: raw["counts"].get(name) for name in QUANTITIES}
    for name, counts in found.items():
        if not isinstance(counts, list) or len(counts) != QUANTITIES[name]:
            return None
        if not all(type(count) is int and 0 <= count < 2**40 for count in counts):
            return None
    return {name: list(counts) for name, counts in found.items() if counts is not None}


@dataclass
class _Block:
    """Of several scans. ``since``: seconds since 1970; ``slices``, ``scans``: how many are in it."""

    since: float
    scans: int = 0
    slices: int = 0
    counts: Counts = field(default_factory=lambda: {name: [0] * bins for name, bins in QUANTITIES.items()})

    def add(self, counts: Counts) -> None:
        self.scans += 1
        self.slices += sum(counts["verdict"])
        for name, row in counts.items():
            self.counts[name] = [a + b for a, b in zip(self.counts[name], row, strict=True)]


def _block(raw: Mapping[str, Any]) -> _Block:
    counts = counts_of({"format": FORMAT, "counts": raw["counts"]})
    if counts is None or not 0 <= raw["since"] < LATEST:
        raise ValueError
    return _Block(float(raw["since"]), int(raw["scans"]), int(raw["slices"]), counts)


class Drift:
    """``path``: of the file in the state folder; None: the window ends with the process. ``card``: the model card of a
    version, None where it is not known; asked in a thread of its own, for a busy worker gives it late, and until it is
    known nothing is compared. Safe to use from several threads."""

    def __init__(self, path: Path | None, card: Callable[[str], Mapping[str, Any] | None]) -> None:
        self._path = path
        self._card = card
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._closed = False
        self._references: dict[str, Counts] = {}
        self._windows: dict[str, list[_Block]] = {}
        self._gaps = 0
        self._written = -math.inf
        self._read()

    def taken(self, answer: Answer) -> Answer:
        """``answer`` without the header of the handler's counts, which are added to the window."""
        self.observe(answer.headers.get(HEADER))
        return replace(answer, headers={name: value for name, value in answer.headers.items() if name != HEADER})

    def observe(self, header: str | None) -> None:
        """Counts a scan by what the handler says of it; never raises."""
        if header is None or len(header) > LONGEST_HEADER:
            return  # an archive of before counts nothing
        try:
            raw = json.loads(header)
            version = str(raw["version"])
        except (ValueError, KeyError, TypeError):
            return
        counts = counts_of(raw)
        with self._lock:
            if counts is None or (version not in self._windows and len(self._windows) >= MOST_VERSIONS):
                return
            window = self._windows.setdefault(version, [])
            if not window or window[-1].slices >= BLOCK_SLICES:
                window.append(_Block(time.time()))
                del window[:-BLOCKS]
            window[-1].add(counts)
            due = time.monotonic() - self._written >= WRITE_SECONDS
            if due:
                self._written = time.monotonic()
        if due:
            threading.Thread(target=self._write, daemon=True, name="drift").start()

    def close(self) -> None:
        """Writes the window down, for the next start."""
        self._write(ended=True)

    def indices(self) -> Rows:
        """The index of each version and quantity, where the card has a reference and the window enough slices."""
        rows = []
        for version, seen in self._sums().items():
            for name, wanted in (self._references.get(version) or {}).items():
                if sum(seen.counts[name]) >= LEAST_SLICES and sum(wanted) > 0:
                    rows.append(({"model_version": version, "quantity": name}, index(seen.counts[name], wanted)))
        return rows

    def slices(self) -> Rows:
        """How many slices the window of each version holds."""
        return [({"model_version": version}, float(seen.slices)) for version, seen in self._sums().items()]

    def since(self) -> Rows:
        """When the window of each version begins, in seconds since 1970."""
        return [({"model_version": version}, seen.since) for version, seen in self._sums().items()]

    @property
    def gaps(self) -> int:
        """How often a front door has ended without writing its window down, or found one that it could not read."""
        return self._gaps

    def _learn(self) -> None:
        """What the cards expect, of those versions of which it is not known yet: a version never changes."""
        for version in [name for name in list(self._windows) if name not in self._references]:
            trust = (self._card(version) or {}).get("trust")
            found = counts_of(trust.get("drift")) if isinstance(trust, Mapping) else None
            if found is not None:
                self._references[version] = found

    def _sums(self) -> dict[str, _Block]:
        with self._lock:
            found = {}
            for version, window in self._windows.items():
                total = _Block(window[0].since)
                for block in window:
                    total.add(block.counts)
                total.scans = sum(block.scans for block in window)
                found[version] = total
            return found

    def _read(self) -> None:
        if self._path is None:
            return
        try:
            raw = json.loads(self._path.read_text(encoding="utf-8"))
            if raw["format"] != FORMAT:
                raise ValueError
            windows = {str(name): [_block(one) for one in one["blocks"]] for name, one in raw["versions"].items()}
            self._gaps = int(raw["gaps"]) + bool(raw["running"])
            self._windows = {name: blocks for name, blocks in windows.items() if blocks}
            for name, one in raw["versions"].items():
                if (known := counts_of({"format": FORMAT, "counts": one["reference"]})) is not None:
                    self._references[name] = known
        except FileNotFoundError:
            logger.info("drift: no window of before in the state folder; a new one begins")
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            self._gaps = 1
            logger.warning("drift: the window of before cannot be read; a new one begins")
            return
        if raw["running"]:
            logger.warning("drift: the front door ended without a word; up to %g s of scans are missing", WRITE_SECONDS)

    def _write(self, ended: bool = False) -> None:
        self._learn()
        if self._path is None:
            return
        with self._writing:
            if self._closed:
                return  # one that was late must not say again that this front door runs
            self._closed = ended
            with self._lock:
                blocks = {name: [dict(vars(block)) for block in window] for name, window in self._windows.items()}
            versions = {name: {"blocks": one, "reference": self._references.get(name)} for name, one in blocks.items()}
            raw = {"format": FORMAT, "running": not ended, "gaps": self._gaps, "versions": versions}
            temporary = self._path.with_name(f".{self._path.name}.part")
            try:
                temporary.write_text(json.dumps(raw), encoding="utf-8")
                temporary.replace(self._path)
            except OSError as error:
                logger.warning("drift: the window cannot be written: %s", error.strerror)
