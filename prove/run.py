"""Runs parts, one after the other, and writes what came of each as soon as it is there."""

from __future__ import annotations

import copy
import datetime
import math
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archive.store import release_folder
from prove import record
from prove.mutate import MUTATORS
from prove.parts import PARTS
from prove.proof import Claims, Ground, Part, Proof
from prove.stand import make_store

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Wish:
    """What is asked for. ``parts``: names, none: all. ``count``: takes the place of each part's amounts, by their name.
    ``again``: also what is recorded already. ``minutes``: how long a turn may be of a part that can go on in
    another. ``work``: a folder for what turns leave to each other beside the record; ``decoders``: of ``fuzz``, none:
    all."""

    parts: Sequence[str]
    out: Path
    work: Path
    store: Path
    version: str
    seed: int
    short: bool = False
    again: bool = False
    count: Mapping[str, int] | None = None
    minutes: float = math.inf
    decoders: Sequence[str] = ()


def effort_of(part: Part, wish: Wish) -> dict[str, int]:
    """How many of what."""
    plain = dict(part.short if wish.short else part.whole)
    return {name: (wish.count or {}).get(name, number) for name, number in plain.items()}


def command_of(part: Part, wish: Wish, effort: Mapping[str, int]) -> str:
    """What shows the same again, with this effort."""
    usual = part.short if wish.short else part.whole
    own = [f"--count {name}={number}" for name, number in effort.items() if number not in (0, usual[name])]
    return " ".join(["./scripts/prove", part.name, *(["--short"] if wish.short else []), f"--seed {wish.seed}", *own])


def machine() -> str:
    """Cores, and how busy they are."""
    return f"{os.cpu_count()} cores (load {os.getloadavg()[0]:.1f} at the start)"


def _parts(wish: Wish) -> list[Part]:
    if unknown := [name for name in wish.parts if name not in PARTS]:
        raise ValueError(f"no part {', '.join(unknown)}; there are {', '.join(PARTS)}")
    parts = [part for part in PARTS.values() if not wish.parts or part.name in wish.parts]
    counts = {name for part in parts for name in part.whole}
    if unknown := [name for name in wish.count or {} if name not in counts]:
        raise ValueError(f"nothing counts {', '.join(unknown)}; there are {', '.join(sorted(counts))}")
    if unknown := [kind for kind in wish.decoders if kind not in MUTATORS]:
        raise ValueError(f"no decoder {', '.join(unknown)}; there are {', '.join(MUTATORS)}")
    if wish.decoders and list(wish.parts) != ["fuzz"]:
        raise ValueError("decoders are chosen for the part fuzz alone: ./scripts/prove fuzz --decoder NAME")
    return parts


def prove(wish: Wish, tell: Tell) -> list[record.Done]:
    """Runs what is asked for and not recorded yet, of the same seed, effort, code and release; what was asked for, in
    the order of :data:`PARTS`. A part that ends with an error has a failed claim that says so. Raises ``ValueError``
    for names that are none and for a record that cannot be read."""
    parts, whole = _parts(wish), {part.name: part.whole for part in PARTS.values()}
    done = record.read(wish.out)
    release = release_folder(wish.version, wish.store)
    with tempfile.TemporaryDirectory(prefix="bs-prove-") as temporary:
        folder = Path(temporary)
        made = folder / "store"
        for part in parts:
            effort = effort_of(part, wish)
            digest = record.digest_of(part.rooms, release if part.served else None)
            old = done.get(part.name)
            if old and not wish.again and (old.seed, old.digest, old.effort) == (wish.seed, digest, effort):
                tell(f"{part.name}: recorded already ({old.began})")
                continue
            if part.served and not made.exists():  # it may have to be packaged, which takes its time
                make_store(made, wish.store, wish.version)
            tell(f"{part.name}: {part.about}")
            earlier = _to_go_on_from(part, wish, digest, effort, old)
            ends = time.monotonic() + 60 * wish.minutes
            kept = copy.deepcopy(dict(earlier.kept)) if earlier else {}
            ground = Ground(
                wish.seed, effort, made, folder / part.name, wish.out, tell, kept, ends, wish.work, wish.decoders
            )
            outcome = _one(part, wish, ground, digest, earlier)
            with record.alone(wish.out):
                now = record.read(wish.out)  # another command may have written meanwhile
                done = {**done, **now, part.name: _joined(part, wish, outcome, now.get(part.name), old, earlier)}
                record.write(wish.out, [done[name] for name in PARTS if name in done], whole)
    return [done[part.name] for part in parts]


def _to_go_on_from(
    part: Part, wish: Wish, digest: str, effort: Mapping[str, int], old: record.Done | None
) -> record.Done | None:
    """What is recorded of ``part`` where it is the beginning of what is asked for."""
    if old is None or not part.turns or wish.again or (old.seed, old.digest) != (wish.seed, digest):
        return None
    same = all(old.effort.get(name) == number for name, number in effort.items() if name != part.turns)
    return old if same and int(old.kept.get("done", effort[part.turns])) < effort[part.turns] else None


def _joined(
    part: Part,
    wish: Wish,
    own: record.Done,
    now: record.Done | None,
    old: record.Done | None,
    earlier: record.Done | None,
) -> record.Done:
    """``own`` and what another command has recorded of the same part since ``old`` was read, where the part can make
    one of both."""
    if part.join is None or now is None or now == old or (now.seed, now.digest) != (own.seed, own.digest):
        return own
    claims = Claims(part.name, wish.seed, "")
    kept = part.join(now.kept, own.kept, claims)
    kept["turns"] = int(now.kept.get("turns", 0)) + 1
    effort = {**own.effort, part.turns: min(int(kept["done"]), effort_of(part, wish)[part.turns])}
    failed = [] if own.kept else own.rows  # it has not come to its end, which its row says
    rows = _named(part, wish, effort, [*claims.rows, *failed])
    seconds = round(now.seconds + own.seconds - (earlier.seconds if earlier else 0), 1)
    return replace(own, effort=effort, began=now.began, seconds=seconds, kept=kept, rows=rows)


def _named(part: Part, wish: Wish, effort: Mapping[str, int], rows: Sequence[Proof]) -> tuple[Proof, ...]:
    return tuple(replace(row, command=command_of(part, wish, effort)) for row in rows)


def _one(part: Part, wish: Wish, ground: Ground, digest: str, earlier: record.Done | None) -> record.Done:
    ground.folder.mkdir(parents=True)
    ground.plots.mkdir(parents=True, exist_ok=True)
    claims, where = Claims(part.name, wish.seed, ""), machine()
    clock, effort = time.monotonic(), dict(ground.effort)
    when = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%MZ")
    try:
        part.run(ground, claims)
        if part.turns:
            effort[part.turns] = min(int(ground.kept["done"]), effort[part.turns])
            ground.kept["turns"] = int(ground.kept.get("turns", 0)) + 1
    except Exception as error:  # it is a failed claim, and the other parts go on
        ground.tell(traceback.format_exc())
        claims.none("the part ran to its end", [f"{type(error).__name__}: {error}"])
        ground.kept.clear()  # nothing to go on from
    seconds = round(time.monotonic() - clock + (earlier.seconds if earlier else 0), 1)
    began = earlier.began if earlier else when
    rows = _named(part, wish, effort, claims.rows)
    return record.Done(part.name, wish.seed, digest, effort, where, began, seconds, rows, ground.kept)
