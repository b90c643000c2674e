"""One coverage-guided run (libFuzzer by way of atheris) over the whole way of a scan; ``python -m prove.fuzzing``.

Our own code is instrumented, the libraries underneath are as installed. Half of the inputs are made by the mutators of
:mod:`prove.mutate`, the others by libFuzzer from what has reached new code. Ends with status 0 when the time is over,
another when an input was answered by a 5xx, raised, hung or took too much memory; libFuzzer leaves that input in the
folder, which is no place for it to stay. Needs the extra ``fuzz``."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

import atheris
import numpy as np
from numpy.typing import NDArray

with atheris.instrument_imports(include=["handler"]):
    from handler.card import FileRecord, InputSpec, ModelCard
    from handler.limits import Limits
    from handler.pipeline import Model, answer

from prove.mutate import MUTATORS

SIDE = 32
HANG_SECONDS = 60
MEMORY_MIB = 4000
LARGEST = 65536  # bytes of an input


class Still:
    """An engine that sees nothing: here all else is looked at."""

    name = "still"
    threads = at_once = batch = 1

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """No tumour anywhere."""
        return np.full((len(images), SIDE, SIDE), -9, np.float32)


def main() -> None:
    """Runs until the time is over."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("kind", choices=sorted(MUTATORS))
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--seconds", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    given = parser.parse_args()
    mutate = MUTATORS[given.kind]
    card = ModelCard("brainseg", "1.0", FileRecord("weights.safetensors", "", 1), input=InputSpec(SIDE, SIDE))
    model = Model(card, Still(), Limits(pixels=4_000_000, voxels=4_000_000))

    def one(data: bytes) -> None:
        outcome = answer(model, {"body": bytearray(data)}, {"X-BrainSeg-Outputs": "mask"})
        if outcome.answer.status >= 500:
            raise RuntimeError(f"answered by {outcome.answer.status} {outcome.code}")

    def other(data: bytes, largest: int, seed: int) -> bytes:
        chance = random.Random(seed)  # noqa: S311  libFuzzer's own
        if chance.random() < 0.5:
            try:
                return mutate(data, chance)[:largest]
            except Exception:  # what libFuzzer has made of it is no scan any more
                return atheris.Mutate(data, largest)
        return atheris.Mutate(data, largest)

    options = [f"-max_total_time={given.seconds}", f"-seed={given.seed % 2**31}", f"-timeout={HANG_SECONDS}"]
    options += [f"-rss_limit_mb={MEMORY_MIB}", f"-max_len={LARGEST}", "-print_final_stats=1"]
    options += [f"-artifact_prefix={given.corpus.parent}/", str(given.corpus)]
    atheris.Setup([sys.argv[0], *options], one, custom_mutator=other)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
