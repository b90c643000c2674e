"""Which networks of segmentation_models_pytorch can be packaged for which engine, and what each costs: found by doing
it, with random weights."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from archive.convert import REFERENCE, Candidates
from archive.engines.measure import lone
from archive.programs import environment, python
from archive.rehearsal import check_answers, stage
from handler.card import InputSpec
from handler.engines import ENGINES, Engine, installed, open_engine
from handler.network import build, usual

ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """A network on an engine. ``reason``: why it cannot be had there, empty where it can. ``milliseconds``: of
    processor time for a lone slice on one thread, the least of :data:`ROUNDS`; ``megabytes``: of the files;
    ``difference``: the largest of a probability from PyTorch's."""

    decoder: str
    encoder: str
    engine: str
    reason: str = ""
    milliseconds: float | None = None
    megabytes: float | None = None
    difference: float | None = None

    @property
    def network(self) -> tuple[str, str]:
        return self.decoder, self.encoder


class _Once:
    """The reference, asked once for each picture: every engine is compared with the same answers."""

    def __init__(self, engine: Engine) -> None:
        self.name, self.threads, self.batch, self.at_once = engine.name, engine.threads, engine.batch, engine.at_once
        self._engine = engine
        self._known: dict[bytes, NDArray[np.float32]] = {}

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        key = images.tobytes()
        if key not in self._known:
            self._known[key] = self._engine.logits(images)
        return self._known[key]


def tried(decoder: str, encoder: str, engines: Sequence[str], folder: Path) -> Iterator[Row]:
    """Packages the network with random weights in ``folder`` for each of ``engines`` and measures it there; a row each
    as soon as it is known. The network's own fault makes a row of each too."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    architecture = usual(decoder, encoder)
    try:
        card = stage(build(architecture), architecture, InputSpec(), folder)
        reference = open_engine(REFERENCE, card, folder, 1)
        once = _Once(reference)
        check_answers(architecture, once, card)
    except (KeyError, ValueError, RuntimeError) as error:  # a pair that the library itself refuses
        yield from (Row(decoder, encoder, engine, _short(str(error))) for engine in engines)
        return
    for name in engines:
        found = Candidates()
        if name == REFERENCE:
            found.engines[name], found.files[name] = reference, (card.weights,)
            found.parity[name] = {"max_probability_difference": 0.0}
        elif not installed(name):
            found.left_out[name] = "not installed where this was measured"
        else:
            found.add(name, card, folder, once)
        if name in found.left_out:
            yield Row(decoder, encoder, name, _short(found.left_out[name]))
            continue
        milliseconds = lone(found.engines[name], card, ROUNDS)
        size = sum(record.bytes for record in found.files[name]) / 1e6
        farthest = found.parity[name]["max_probability_difference"]
        yield Row(decoder, encoder, name, "", milliseconds, round(size, 1), farthest)


def _short(reason: str, longest: int = 90) -> str:
    first = (reason.strip().splitlines() or ["no reason given"])[0]
    return first if len(first) <= longest else first[: longest - 1] + "…"


def survey(decoder: str, encoder: str, limit_seconds: float, engines: Sequence[str] = tuple(ENGINES)) -> list[Row]:
    """The rows of one network, each engine tried in a process beside this one: one that hangs or dies costs its own row
    alone, and the next go on without it. ``limit_seconds``: for a process."""
    rows: list[Row] = []
    while left := [name for name in engines if name not in {row.engine for row in rows}]:
        done, ended = _beside(decoder, encoder, left, limit_seconds)
        rows += done
        if ended and len(done) < len(left):
            rows.append(Row(decoder, encoder, left[len(done)], ended))
    return rows


def _beside(decoder: str, encoder: str, engines: Sequence[str], limit_seconds: float) -> tuple[list[Row], str]:
    """The rows that came, and why no more did; empty where all came."""
    command = python("-m", "archive.networks", decoder, encoder, *engines)
    variables = {**environment(), "OMP_NUM_THREADS": "1"}
    pipe, told = subprocess.PIPE, ""
    with subprocess.Popen(command, env=variables, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            out, err = process.communicate(timeout=limit_seconds)
            if process.returncode:
                last = (err.strip().splitlines() or [""])[-1]
                told = _short(f"its process ended with code {process.returncode}: {last}")
        except subprocess.TimeoutExpired:
            process.kill()
            out, _ = process.communicate()
            told = f"not done within {limit_seconds:g} s"
    rows = []
    for line in out.splitlines():
        with contextlib.suppress(ValueError, TypeError):  # what a library prints, or half a line
            rows.append(Row(**json.loads(line)))
    if not told and len(rows) < len(engines):
        told = "its process ended without a word"
    return rows, told


def main(decoder: str, encoder: str, *engines: str) -> None:
    """A JSON line for each row, as soon as it is known."""
    with tempfile.TemporaryDirectory(prefix="brainseg-networks-") as name:
        folder = Path(name) / "release"
        folder.mkdir()
        for row in tried(decoder, encoder, engines, folder):
            print(json.dumps(asdict(row)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
