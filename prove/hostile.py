"""Thousands of damaged scans by every way in: each is refused with a code of the contract or answered, and nothing that
serves is another process afterwards."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import psutil

from prove.drawn.volumes import dicom_series, phantom
from prove.drawn.whole import whole_pictures, whole_volumes
from prove.mutate import MUTATORS, format_of
from prove.proof import Claims, Ground
from prove.server import Server
from prove.stand import served
from prove.usage import MIB, Usage, look, same_processes
from prove.ways import Reply, Way
from prove.ways.call import GrpcWay
from prove.ways.command import CommandWay
from prove.ways.http import front_door, open_inference, torchserve
from prove.ways.later import JobsWay
from prove.ways.store import StoreWay
from web.contract.fields import HTTP_PROBLEMS, PROBLEMS

INPUTS = "inputs"
ROUND = 200  # inputs after which it looks whether its time is over
# How many of a hundred inputs go which way.
SHARES = {
    "TorchServe REST": 28, "front door REST": 28, "v2 REST": 14, "v2 gRPC": 14, "jobs": 6, "C-STORE": 5, "command": 5,
}  # fmt: skip
# MiB of resident memory that a process may have at most (docs/operations.md, "Sizes that fit together").
MOST = {"worker": 1700, "jvm": 2300, "front door": 700, "serve": 300, "dicom-node": 300}
# What DICOM has for an object that a node cannot understand (PS3.4, B.2.3); and out of resources.
DICOM_REFUSALS = {"0xC000", "0xA700"}


@dataclass(frozen=True)
class Input:
    """``kind``: a key of ``MUTATORS``; ``number`` and the seed make it again."""

    number: int
    kind: str
    whole: str
    data: bytes


def inputs(seed: int, numbers: Sequence[int], kinds: Sequence[str] = ()) -> Iterator[Input]:
    """The damaged scans of these numbers; ``kinds``: of these formats alone, none: of all."""
    whole = {**whole_pictures(), **whole_volumes()}
    names = [name for name in whole if not kinds or format_of(name) in kinds]
    for number in numbers:
        chance = random.Random(f"{seed}/{number}")  # noqa: S311  to be made again, not to be secret
        name = chance.choice(names)
        kind = format_of(name)
        yield Input(number, kind, name, MUTATORS[kind](whole[name], chance))


def known(way: str, code: str) -> bool:
    """Whether ``code`` is one that this way may say."""
    return code == "ok" or code in (DICOM_REFUSALS if way == StoreWay.name else {*PROBLEMS, *HTTP_PROBLEMS})


@contextlib.contextmanager
def opened(server: Server, ground: Ground, node: bool = True) -> Iterator[list[Way]]:
    """Every way that the server offers; ``node``: C-STORE is one."""
    ways: list[Way] = [torchserve(server), front_door(server), open_inference(server)]
    ways += [GrpcWay(server.grpc_port)] if server.grpc_port else []
    ways += [JobsWay(server)] if "--jobs" in server.options else []
    ways += [StoreWay(server.door, ground.folder / "spool")] if node else []
    ways += [CommandWay(server)]
    try:
        yield ways
    finally:
        for way in ways:
            way.close()


def _processes(server: Server, ways: Sequence[Way]) -> dict[str, psutil.Process]:
    found = server.processes()
    for way in ways:
        if isinstance(way, StoreWay):
            found["dicom-node"] = way.process
    return found


def _over(usage: Usage) -> list[str]:
    return [
        f"{role} {taken.resident / MIB:.0f} MiB"
        for role, taken in usage.processes.items()
        if taken.resident > MOST[role.partition(" 2")[0]] * MIB
    ]


class Tally:
    """What came of the inputs so far, as it is ``kept`` for another turn. ``codes``: how many by way and code;
    ``faults``, ``unknown``: what should not be, so named that it can be made again; ``died``, ``over``: processes."""

    def __init__(self, kept: dict[str, Any]) -> None:
        self._kept = kept
        self.codes: dict[str, dict[str, int]] = kept.setdefault("codes", {name: {} for name in SHARES})
        self.faults: list[str] = kept.setdefault("faults", [])
        self.unknown: list[str] = kept.setdefault("unknown", [])
        self.died: list[str] = kept.setdefault("died", [])
        self.over: list[str] = kept.setdefault("over", [])

    @property
    def done(self) -> int:
        """How many inputs were sent: those of the numbers below."""
        return int(self._kept.setdefault("done", 0))

    @done.setter
    def done(self, count: int) -> None:
        self._kept["done"] = count

    def take(self, way: str, one: Input, reply: Reply) -> None:
        """One reply."""
        self.codes[way][reply.code] = self.codes[way].get(reply.code, 0) + 1
        name = f"{way}, input {one.number} ({one.whole}): {reply.status} {reply.code}"
        if reply.status >= 500 or reply.status == 0:
            self.faults.append(name)
        elif not known(way, reply.code):
            self.unknown.append(name)


def turns_of_ways() -> list[str]:
    """A hundred names of ways, each as often as :data:`SHARES` has it and spread over all: input ``n`` goes by the one
    at ``n % 100``."""
    found: list[str] = []
    due = dict.fromkeys(SHARES, 0)
    for _ in range(sum(SHARES.values())):
        due = {name: due[name] + share for name, share in SHARES.items()}
        next_one = max(due, key=lambda name: due[name])
        due[next_one] -= sum(SHARES.values())
        found.append(next_one)
    return found


def send_all(server: Server, ways: Sequence[Way], ground: Ground, claims: Claims) -> None:
    """The effort's inputs by ``ways``, as far as this turn's time goes, and what came of all turns."""
    begin, order, tally = look(_processes(server, ways), server.temporary), turns_of_ways(), Tally(ground.kept)
    while tally.done < ground.effort[INPUTS] and not ground.late:
        numbers = range(tally.done, min(tally.done + ROUND, ground.effort[INPUTS]))
        for way in ways:
            mine = [number for number in numbers if order[number % len(order)] == way.name]
            batch = list(inputs(ground.seed, mine, way.kinds))
            replies = way.send([one.data for one in batch]) if batch else []
            for one, reply in zip(batch, replies, strict=True):
                tally.take(way.name, one, reply)
            with contextlib.suppress(psutil.NoSuchProcess):  # it is seen at the end
                found = _over(look(_processes(server, ways), server.temporary))
                tally.over += [role for role in found if role not in tally.over]
        tally.done = numbers.stop
        ground.tell(f"{tally.done} of {ground.effort[INPUTS]} sent; {len(tally.faults)} faults")
    for name, codes in tally.codes.items():
        most = ", ".join(f"{code} {count}" for code, count in Counter(codes).most_common(6))
        claims.shown(f"sent by {name}; answers by code", f"{sum(codes.values())}: {most}", "inputs")
    _judge(server, ways, claims, tally, begin)


def _judge(server: Server, ways: Sequence[Way], claims: Claims, tally: Tally, begin: Usage) -> None:
    claims.none("answered by a 5xx, or not at all", tally.faults, "inputs")
    claims.none("refused without a code of the contract", tally.unknown, "inputs")
    tally.died += same_processes(begin, look(_processes(server, ways), server.temporary))
    claims.none("processes that died (another id than before)", tally.died, "processes")
    bounds = ", ".join(f"{role} {most}" for role, most in MOST.items())
    claims.none(f"processes over their bound, MiB ({bounds})", tally.over, "processes")
    whole = [data for _, data in dicom_series(phantom((32, 32, 6)), study="whole")]
    for way in ways:
        if isinstance(way, StoreWay):
            came = way.whole(whole)
            claims.equal(
                "a whole study sent to the node after that is worked on and sent on, or refused by the gate",
                True,
                came in ("sent", "not_assessed"),
                came,
            )
    claims.equal("a whole scan afterwards", 200, server.post(whole_pictures()["png-grey"]).status_code)


def run(ground: Ground, claims: Claims) -> None:
    """Starts a server with every way in, and sends."""
    with served(ground.store, ground.folder, grpc=True, jobs=True) as server, opened(server, ground) as ways:
        send_all(server, ways, ground, claims)
