"""A batch of eight in one worker, seven whole and one bad: the good ones get, bit for bit, what each gets alone."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import requests
import tifffile

from prove.asking import ask, post
from prove.drawn.pictures import jpeg, png
from prove.drawn.volumes import nifti, phantom
from prove.drawn.whole import whole_pictures, whole_volumes
from prove.hostile import inputs
from prove.proof import Claims, Ground
from prove.server import Server
from prove.stand import served
from samples.phantom import draw, draw_stack

MUTATED = "mutated"
SIZE = 8
NAME = "eight"
OUTPUTS = "mask,overlay,probability"
Asked = tuple[bytes, Mapping[str, str]]


def good() -> list[bytes]:
    """Seven whole scans: slices in three formats, a stack, a volume."""
    pages = io.BytesIO()
    tifffile.imwrite(pages, [page.image for page in draw_stack(5, 4)], photometric="rgb")
    slices = [png(draw(seed, 0.08).image) for seed in (1, 2, 3)]
    return [*slices, jpeg(draw(4, 0.08).image), pages.getvalue(), nifti(phantom((32, 32, 4))), png(draw(6, 0.05).image)]


def bad(seed: int, mutated: int) -> Iterator[tuple[str, Asked]]:
    """Neighbours of each kind, by name: what is no scan, is cut, claims too much, asks for what cannot be, is large;
    and ``mutated`` damaged scans."""
    picture, volume = whole_pictures(), whole_volumes()
    large = tifffile_of(2048)
    yield "nothing", (b"\0", {})
    yield "text", (b"a text\n" * 50, {})
    for name in ("png-grey", "jpeg-rgb", "tiff-deflate"):
        yield f"{name} cut in half", (picture[name][: len(picture[name]) // 2], {})
    for name in ("nifti gzip", "slice", "zip", "enhanced jpeg-ls"):
        yield f"{name} cut in half", (volume[name][: len(volume[name]) // 2], {})
    claims = struct.pack(">II", 60000, 60000)
    yield "a png that claims 60,000 x 60,000", (picture["png-grey"][:16] + claims + picture["png-grey"][24:], {})
    yield "a threshold of 7", (picture["png-grey"], {"X-BrainSeg-Threshold": "7"})
    yield "an unknown field", (picture["png-grey"], {"X-BrainSeg-Unknown": "1"})
    yield "an Accept that is none", (picture["png-grey"], {"Accept": "text/html"})
    yield "a picture of 2048 x 2048", (large, {"X-BrainSeg-Outputs": "none"})
    yield "the model's card asked for", (picture["png-grey"], {"describe": "True"})
    for one in inputs(seed, range(mutated)):
        yield f"mutated {one.whole}, input {one.number}", (one.data, {})


def tifffile_of(side: int) -> bytes:
    """A picture of ``side`` x ``side``, RGB."""
    image = draw(9, 0.08, side).image
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, image, photometric="rgb", compression="zlib")
    return buffer.getvalue()


def _without_time(reply: requests.Response) -> dict[str, Any]:
    found: dict[str, Any] = reply.json()
    return {name: value for name, value in found.items() if name != "timing_ms"}


def differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two JSON values differ, as paths."""
    if isinstance(one, dict) and isinstance(other, dict):
        for name in sorted(one.keys() | other.keys()):
            yield from differences(one.get(name), other.get(name), f"{place}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for index, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{place}/{index}")
    elif one != other:
        yield place or "/"


class Batch:
    """The archive of ``server`` once more, eight requests a batch; :attr:`wanted` fills it within a second."""

    def __init__(self, server: Server, archive: str) -> None:
        self._server = server
        self._models = f"{server.management}/models"
        ready: dict[str, str | int] = {"url": archive, "model_name": NAME, "batch_size": SIZE}
        ready |= {"max_batch_delay": 1000, "initial_workers": 1, "synchronous": "true"}
        reply = post(self._models, params=ready, headers=server.auth("management"), timeout=300)
        reply.raise_for_status()
        self._pool = ThreadPoolExecutor(SIZE)

    def together(self, asked: list[Asked]) -> list[requests.Response]:
        """Sends all at once."""
        return list(self._pool.map(self.send, asked))

    def send(self, one: Asked) -> requests.Response:
        """One alone."""
        url = f"http://127.0.0.1:{self._server.inference_port}/predictions/{NAME}"
        headers = {**self._server.auth(), "Content-Type": "application/octet-stream", "X-BrainSeg-Outputs": OUTPUTS}
        return post(url, data=one[0], headers={**headers, **one[1]}, timeout=600)

    def close(self) -> None:
        """Takes it away again."""
        self._pool.shutdown()
        ask("DELETE", f"{self._models}/{NAME}", headers=self._server.auth("management"), timeout=300)


def compare(server: Server, archive: str, ground: Ground, claims: Claims) -> None:
    """Every kind of bad neighbour, at a place of the batch that changes, as far as this turn's time goes."""
    batch, before, kept = Batch(server, archive), server.worker_pids(), ground.kept
    for name in ("differ", "failed", "died"):
        kept.setdefault(name, [])
    for name in ("kinds", "compared"):
        kept.setdefault(name, 0)
    count = ground.effort[MUTATED]
    neighbours = list(bad(ground.seed, count))
    try:
        whole = good()
        alone = [_without_time(batch.send((scan, {}))) for scan in whole]
        for number, (name, neighbour) in list(enumerate(neighbours))[kept["kinds"] :]:
            if ground.late:
                break
            _beside(batch, name, neighbour, number % SIZE, (whole, alone), kept)
    finally:
        batch.close()
    kept["done"] = max(0, kept["kinds"] - (len(neighbours) - count))
    kept["died"] += [] if server.worker_pids() == before else [f"before kind {kept['kinds']}"]
    told = f"{kept['kinds']}; {kept['compared']}"
    claims.shown("kinds of bad neighbour; good answers compared, masks and probabilities too", told)
    claims.none("good answers that differ from the lone one", kept["differ"], "answers")
    claims.none("bad neighbours answered by a 5xx", kept["failed"], "requests")
    claims.equal("workers are the same processes", True, not kept["died"])
    ground.tell(f"{kept['compared']} answers beside {kept['kinds']} kinds of neighbours")


def _beside(
    batch: Batch,
    name: str,
    neighbour: Asked,
    place: int,
    good_ones: tuple[list[bytes], list[Any]],
    kept: dict[str, Any],
) -> None:
    whole, alone = good_ones
    asked: list[Asked] = [(scan, {}) for scan in whole]
    asked.insert(place, neighbour)
    replies = batch.together(asked)
    spoiled = replies.pop(place)
    kept["kinds"] += 1
    kept["failed"] += [f"{name}: {spoiled.status_code}"] if spoiled.status_code >= 500 else []
    for index, (lone, reply) in enumerate(zip(alone, replies, strict=True)):
        kept["compared"] += 1
        if reply.status_code != 200:
            kept["differ"].append(f"scan {index} beside {name}: {reply.status_code}")
        elif (found := _without_time(reply)) != lone:
            kept["differ"].append(f"scan {index} beside {name}: {', '.join(differences(lone, found))}")


def run(ground: Ground, claims: Claims) -> None:
    """On a server of its own."""
    with served(ground.store, ground.folder) as server:
        archive = next(path.name for path in ground.store.glob("brainseg-*.mar"))
        compare(server, archive, ground, claims)
