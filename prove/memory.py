"""Thousands of mixed requests: what each process takes at the end is what it took after the first thousand."""

from __future__ import annotations

import json
import random
import statistics
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import requests

from prove.asking import session
from prove.drawn.pictures import jpeg, png, tiff
from prove.drawn.volumes import dicom_zip, nifti, phantom
from prove.hostile import inputs
from prove.proof import Claims, Ground
from prove.server import Server
from prove.stand import served
from prove.usage import MIB, Usage, look, same_processes
from prove.ways.http import BUSY
from samples.phantom import draw, draw_stack

REQUESTS = "requests"
SETTLED = "settled"  # so many requests before the first look that counts
CLIENTS = 2
LOOKS = 200  # over all of it
GROWTH = 0.05
# Handles and threads come and go with connections; a leak adds one a request or a scan, which is thousands.
SLACK = {"handles": 16, "threads": 8, "temporary files": 8}
OUTPUTS = ("none", "mask", "mask,overlay", "mask,overlay,heatmap,panel,probability,scan")


def mixed(seed: int) -> list[bytes]:
    """Slices of several formats and sizes, stacks, volumes: what the requests are drawn from, damaged ones beside."""
    pages = [page.image for page in draw_stack(seed % 100, 6)]
    sizes = (64, 128, 256, 384, 512)
    slices = [png(draw(n, 0.08, side).image) for n, side in enumerate(sizes)]
    slices += [jpeg(draw(9, 0.06, 256).image), tiff(draw(8, 0.08, 300).image, photometric="rgb", compression="zlib")]
    stacks = [tiff(pages, photometric="rgb"), tiff(pages[:2], photometric="rgb", compression="lzw")]
    volumes = [nifti(phantom((64, 64, 6)), packed=True), dicom_zip(phantom((48, 40, 5)))]
    return [*slices, *slices, *stacks, *volumes]


@dataclass(frozen=True)
class Look:
    """``after``: how many requests had been answered."""

    after: int
    usage: Usage


def send(server: Server, scans: Sequence[bytes], seed: int, number: int) -> int:
    """The ``number``-th request; its status. A server that is busy is asked again."""
    chance = random.Random(f"{seed}/{number}")  # noqa: S311  to be made again, not to be secret
    damaged = chance.random() < 0.25
    scan = next(inputs(seed, [number])).data if damaged else chance.choice(scans)
    options = f"outputs={chance.choice(OUTPUTS)}&gate={chance.choice(('on', 'off'))}"
    url = f"{server.door}/api/v1/segment?{options}"
    while True:
        reply = session().post(url, data=scan, headers={"Content-Type": "application/octet-stream"}, timeout=600)
        if reply.status_code not in BUSY:
            return reply.status_code


def watch(server: Server, ground: Ground) -> tuple[list[Look], Counter[int]]:
    """Sends all, and looks in between."""
    total, scans = ground.effort[REQUESTS], mixed(ground.seed)
    settled = min(ground.effort[SETTLED], total // 2)
    stops = sorted({*range(0, total, max(1, total // LOOKS)), settled, total} - {0})
    looks: list[Look] = []
    statuses: Counter[int] = Counter()
    processes = server.processes()
    with ThreadPoolExecutor(CLIENTS) as pool:
        done = 0
        for stop in stops:
            statuses.update(pool.map(lambda n: send(server, scans, ground.seed, n), range(done, stop)))
            done = stop
            looks.append(Look(done, look(processes, server.temporary)))
    return looks, statuses


def _middle(looks: Sequence[Look], role: str) -> float:
    """MiB."""
    return statistics.median(one.usage.processes[role].resident for one in looks) / MIB


def judge(looks: Sequence[Look], settled: int, claims: Claims) -> None:
    """The end against the first look after ``settled`` requests: resident memory as the median of the looks around, for
    one moment of a worker that holds a stack says nothing."""
    later = [one for one in looks if one.after >= settled]
    few = max(1, len(later) // 10)
    for role in later[0].usage.processes:
        begin, end = (_middle(part, role) for part in (later[:few], later[-few:]))
        claim = f"{role}: growth of memory after {settled:,} requests ({begin:.0f} -> {end:.0f} MiB)"
        claims.at_most(claim, 100 * GROWTH, 100 * (end / begin - 1), "%")
        for what in ("handles", "threads"):
            first, last = (getattr(one.usage.processes[role], what) for one in (later[0], later[-1]))
            claims.at_most(f"{role}: more {what} ({first} -> {last})", SLACK[what], last - first, what)
    files = later[-1].usage.temporary[0] - later[0].usage.temporary[0]
    claims.at_most("more temporary files", SLACK["temporary files"], files, "files")
    claims.none("processes that died", same_processes(looks[0].usage, looks[-1].usage), "processes")


def plot(looks: Sequence[Look], path: Path) -> None:
    """Resident memory of each process over the requests, as PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(8, 4), dpi=100)
    for role in looks[0].usage.processes:
        sizes = [one.usage.processes[role].resident / MIB for one in looks]
        axes.plot([one.after for one in looks], sizes, label=role)
    axes.set(xlabel="requests answered", ylabel="resident memory, MiB", ylim=(0, None))
    axes.legend()
    figure.tight_layout()
    partial = path.with_name(f".{path.name}")
    figure.savefig(partial, format="png")
    plt.close(figure)
    partial.replace(path)


def prove(server: Server, ground: Ground, claims: Claims) -> None:
    """Sends, judges, draws."""
    try:
        looks, statuses = watch(server, ground)
    except requests.RequestException as error:
        claims.none("requests without an answer", [repr(error)])
        return
    claims.shown("requests by status", json.dumps(dict(sorted(statuses.items()))), "requests")
    claims.equal("requests answered by a 5xx", 0, sum(n for status, n in statuses.items() if status >= 500), "requests")
    judge(looks, min(ground.effort[SETTLED], ground.effort[REQUESTS] // 2), claims)
    plot(looks, ground.plots / "memory.png")


def run(ground: Ground, claims: Claims) -> None:
    """On a server of its own."""
    with served(ground.store, ground.folder) as server:
        prove(server, ground, claims)
