"""The parts of the proofs, in the order in which they are run, and how much of what each does: whole and short."""

from __future__ import annotations

from prove import doors, faults, fuzz, hostile, killed, memory, neighbours, orientations, rollout
from prove.proof import Part

_ALL = (
    Part(
        "hostile",
        "damaged scans by every way in",
        hostile.run,
        {hostile.INPUTS: 10_000},
        {hostile.INPUTS: 200},
        hostile.INPUTS,
    ),
    Part(
        "neighbours",
        "bad neighbours in a batch of eight",
        neighbours.run,
        {neighbours.MUTATED: 200},
        {neighbours.MUTATED: 5},
        neighbours.MUTATED,
    ),
    Part(
        "orientations",
        "each voxel where it was, in all orientations",
        orientations.run,
        {orientations.TURNS: 48, orientations.ASKED: 48},
        {orientations.TURNS: 48, orientations.ASKED: 4},
        orientations.ASKED,
    ),
    Part("doors", "who gets in", doors.run, {}, {}),
    Part(
        "killed",
        "worker, JVM and front door killed under load",
        killed.run,
        {killed.KILLS: 50},
        {killed.KILLS: 3},
        killed.KILLS,
    ),
    Part(
        "memory",
        "thousands of mixed requests",
        memory.run,
        {memory.REQUESTS: 20_000, memory.SETTLED: 1_000},
        {memory.REQUESTS: 300, memory.SETTLED: 150},
    ),
    Part(
        "rollout",
        "releases, canaries and rollbacks killed under load",
        rollout.run,
        {rollout.KILLS: 50},
        {rollout.KILLS: 2},
        rollout.KILLS,
    ),
    Part("faults", "a machine that fails", faults.run, {faults.REPEATS: 50}, {faults.REPEATS: 10}, faults.REPEATS),
    Part(
        "fuzz",
        "coverage-guided runs on each decoder",
        fuzz.run,
        {fuzz.SECONDS: 1800},
        {fuzz.SECONDS: 10},
        fuzz.SECONDS,
        fuzz.join,
        served=False,
        # Its hours add up over weeks in which other rooms change.
        rooms=("handler", "prove/drawn", "prove/fuzz.py", "prove/fuzzing.py", "prove/mutate"),
    ),
)
PARTS: dict[str, Part] = {part.name: part for part in _ALL}
