"""One coverage-guided run (libFuzzer by way of atheris) over the whole way of a scan; ``python -m prove.fuzzing``.

Our own code is instrumented, the libraries underneath are as installed. Half of the inputs are made by the mutators of
:mod:`prove.mutate`, the others by libFuzzer from what has reached new code. Ends with status 0 when the time is over,
another when an input was answered by a 5xx, raised, hung or took too much memory; libFuzzer leaves that input beside
``state``, which is no place for it to stay. Needs the extra ``fuzz``."""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import atheris
import numpy as np
from numpy.typing import NDArray

with atheris.instrument_imports(include=["handler"]):
    from handler.card import FileRecord, InputSpec, ModelCard
    from handler.files import write_atomic
    from handler.limits import Limits
    from handler.pipeline import Model, answer

from prove.mutate import MUTATORS

SIDE = 32
HANG_SECONDS = 60
MEMORY_MIB = 4000
LARGEST = 65536  # bytes of an input
EVERY = 2.0  # seconds between two writings of the state


class Still:
    """An engine that sees nothing: here all else is looked at."""

    name = "still"
    threads = at_once = batch = 1

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """No tumour anywhere."""
        return np.full((len(images), SIDE, SIDE), -9, np.float32)


class Watch:
    """Counts inputs and this process's time from now on, and ends libFuzzer when one of both times is over. ``state``:
    a file that says now and then how far it is, so that a run that is ended has said it too: ``inputs``, ``seconds`` of
    the processor, ``clock`` seconds."""

    def __init__(self, state: Path, seconds: float, clock: float | None) -> None:
        self._state, self._seconds, self._clock = state, seconds, clock
        self._inputs, self._due = 0, 0.0
        self._processor, self._begin = time.process_time(), time.monotonic()

    def count(self) -> None:
        """One input more."""
        self._inputs += 1
        took, passed = time.process_time() - self._processor, time.monotonic() - self._begin
        over = took >= self._seconds or (self._clock is not None and passed >= self._clock)
        if over or passed >= self._due:
            self._due = passed + EVERY
            told = {"inputs": self._inputs, "seconds": round(took, 2), "clock": round(passed, 2)}
            write_atomic(self._state, json.dumps(told).encode())
        if over:  # libFuzzer's own limit is one of the clock, and on a busy machine that says little
            os.kill(os.getpid(), signal.SIGUSR1)


def main() -> None:
    """Runs until the time is over."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("kind", choices=sorted(MUTATORS))
    parser.add_argument("state", type=Path, help="a file to write how far it is")
    parser.add_argument("found", type=Path, help="a folder for inputs that reach new code; those there are begun with")
    parser.add_argument("whole", type=Path, help="a folder of whole scans to begin with")
    parser.add_argument("--seconds", type=float, required=True, help="of the processor")
    parser.add_argument("--clock", type=float, help="seconds by the clock, if the processor's take longer")
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    mutate = MUTATORS[given.kind]
    card = ModelCard("brainseg", "1.0", FileRecord("weights.safetensors", "", 1), input=InputSpec(SIDE, SIDE))
    model = Model(card, Still(), Limits(pixels=4_000_000, voxels=4_000_000))

    def one(data: bytes) -> None:
        outcome = answer(model, {"body": bytearray(data)}, {"X-BrainSeg-Outputs": "mask"})
        if outcome.answer.status >= 500:
            raise RuntimeError(f"answered by {outcome.answer.status} {outcome.code}")
        watch.count()

    def other(data: bytes, largest: int, seed: int) -> bytes:
        chance = random.Random(seed)  # noqa: S311  libFuzzer's own
        if chance.random() < 0.5:
            try:
                return mutate(data, chance)[:largest]
            except Exception:  # what libFuzzer has made of it is no scan any more
                return atheris.Mutate(data, largest)
        return atheris.Mutate(data, largest)

    options = [f"-seed={given.seed % 2**31}", f"-timeout={HANG_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}"]
    options += [f"-max_len={LARGEST}", f"-artifact_prefix={given.state.parent}/", str(given.found), str(given.whole)]
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=other)
    watch = Watch(given.state, given.seconds, given.clock)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
