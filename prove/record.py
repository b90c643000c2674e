"""The rows of all parts on disk: JSON to go on from, a page to read. Written under another name and renamed."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from archive.store import ROOT
from prove.proof import Proof

JSON_FILE, PAGE_FILE = "proof.json", "proof.md"
NOTICE = "Research use only. Not a medical device."
Whole = Mapping[str, Mapping[str, int]]  # by part: how many of what it takes as a whole


@dataclass(frozen=True)
class Done:
    """A part that was run. ``digest``: of the code and the release it was run on; ``effort``: how many of what;
    ``machine``: where; ``began``: UTC, ISO 8601; ``seconds``: of all its turns; ``kept``: what another turn goes on
    from, and how many ``turns`` there were."""

    part: str
    seed: int
    digest: str
    effort: Mapping[str, int]
    machine: str
    began: str
    seconds: float
    rows: tuple[Proof, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether no claim failed."""
        return all(row.passed is not False for row in self.rows)


def digest_of(rooms: Sequence[str], release: Path | None, root: Path = ROOT) -> str:
    """``sha256:`` over the sources in ``rooms``, folders or files, and the card of the release that is served, if any,
    which holds the weights' own."""
    digest = hashlib.sha256()
    places = [root / room for room in rooms]
    sources = [path for place in places for path in (sorted(place.rglob("*.py")) if place.is_dir() else [place])]
    for path in [*sources, *([release / "model-card.json"] if release else [])]:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{digest.hexdigest()}"


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Nobody else reads and writes the record in ``folder`` meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)  # the folder itself: a file for it would lie beside what people read
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        fcntl.flock(handle, fcntl.LOCK_UN)  # a child that was forked meanwhile may have the handle too
        os.close(handle)


def read(folder: Path) -> dict[str, Done]:
    """What is recorded in ``folder``, by part. Raises ``ValueError`` for a file that is not a record."""
    path = folder / JSON_FILE
    if not path.exists():
        return {}
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))["parts"]
        done = [Done(**{**one, "rows": tuple(Proof(**row) for row in one["rows"])}) for one in listed]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is no record of proofs ({error}); give another --out or remove it") from error
    return {one.part: one for one in done}


def write(folder: Path, done: Iterable[Done], whole: Whole) -> None:
    """JSON and page of ``done``."""
    folder.mkdir(parents=True, exist_ok=True)
    listed = list(done)
    _write(
        folder / JSON_FILE, json.dumps({"notice": NOTICE, "parts": [asdict(one) for one in listed]}, indent=1) + "\n"
    )
    _write(folder / PAGE_FILE, page(listed, whole, sorted(path.name for path in folder.glob("*.png"))))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(path)


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|").replace("\n", " ")


def table(rows: Sequence[Proof]) -> str:
    """Markdown, a line a row."""
    said = {True: "yes", False: "**no**", None: "not tried"}
    lines = ["| claim | expected | seen | |", "|---|---|---|---|"]
    for row in rows:
        seen = _cell(row.seen) + (f" {row.unit}" if row.unit and row.passed is not None else "")
        lines.append(f"| {_cell(row.claim)} | {_cell(row.expected)} | {seen} | {said[row.passed]} |")
    return "\n".join(lines)


def page(done: Sequence[Done], whole: Whole, plots: Sequence[str] = ()) -> str:
    """All of it, to read; also what was not run, or not whole."""
    text = ["# What was proven", "", f"Written by `scripts/prove`. {NOTICE}", ""]
    for one in done:
        full = whole.get(one.part, {})
        amounts = "".join(f"{name} {count:,} of {full.get(name, count):,}; " for name, count in one.effort.items())
        text += [f"## {one.part}", "", f"`{one.rows[0].command if one.rows else ''}`", ""]
        turns = f" in {one.kept['turns']} turns" if one.kept.get("turns", 1) > 1 else ""
        text += [f"Seed {one.seed}; {amounts}{one.began}, {one.seconds:.0f} s{turns} on {one.machine}.", ""]
        text += [table(one.rows), ""]
        text += [f"![{name}]({name})\n" for name in plots if name.partition(".")[0].partition("-")[0] == one.part]
    if missing := [name for name in whole if name not in {one.part for one in done}]:
        text += [f"Not run: {', '.join(missing)}.", ""]
    return "\n".join(text).rstrip() + "\n"
