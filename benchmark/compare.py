"""Two builds side by side: every figure of both in one run, in turns, medians."""

from __future__ import annotations

import io
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import requests
from PIL import Image

from benchmark.builds import Build
from benchmark.load import Shot, run_load
from benchmark.servers import Target
from samples.make import stack_tiff
from samples.phantom import draw, draw_stack

PICTURES = {"X-BrainSeg-Outputs": "mask,overlay"}
NUMBERS = {"X-BrainSeg-Outputs": "none"}
GATE_OFF = {"X-BrainSeg-Gate": "off"}
WARM_UP = 25  # requests until Java has compiled what it runs often
GROWTH_TURNS = 3
DRAWN = 20  # pages that are drawn; longer stacks repeat them


@dataclass(frozen=True)
class Effort:
    """``rounds``: turns of each build; ``requests``: of one client, and ``loaded``: of four, in a round; ``pages`` of
    the stack with pictures, ``long`` of that without; ``side`` of the large picture; ``first``: the version beside the
    default. How cost grows: over ``slices``, ``sides`` and ``clients``."""

    rounds: int = 5
    requests: int = 12
    loaded: int = 24
    pages: int = 40
    long: int = 200
    side: int = 2048
    flask: int = 2
    warm_up: int = WARM_UP
    first: str = "1.0"
    slices: tuple[int, ...] = (1, 5, 20, 50, 100, 200)
    sides: tuple[int, ...] = (256, 512, 1024, 2048, 4096)
    clients: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)


SHORT = Effort(1, 6, 12, 8, 16, 512, 1, 5, "1.0", (1, 4, 16), (256, 512, 1024), (1, 4, 16))


@dataclass
class Figures:
    """Of one build, every value measured, by name. ``growth``: by what grows, then by its size. ``failed``: what was
    refused or went wrong, a phrase each."""

    values: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    growth: dict[str, dict[int, list[float]]] = field(
        default_factory=lambda: {name: defaultdict(list) for name in ("slices", "pixels", "clients")}
    )

    failed: list[str] = field(default_factory=list)

    def median(self, name: str) -> float | None:
        return statistics.median(self.values[name]) if self.values.get(name) else None


def picture(side: int) -> bytes:
    """A phantom with a lesion, ``side`` x ``side``, as PNG."""
    drawn = Image.fromarray(draw(1, 0.09).image)
    return _png(drawn if side == drawn.width else drawn.resize((side, side), Image.Resampling.BICUBIC))


def whole() -> bytes:
    """The same, its head as large as the slice: nothing can be cropped."""
    drawn = draw(1, 0.09).image
    rows, columns = np.nonzero(drawn.max(axis=-1) > 40)
    head = Image.fromarray(drawn[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
    return _png(head.resize((256, 256), Image.Resampling.BICUBIC))


def stack(pages: int) -> bytes:
    """``pages`` phantoms as TIFF."""
    drawn = draw_stack(5, min(pages, DRAWN))
    return stack_tiff(tuple(drawn[page % len(drawn)] for page in range(pages)))


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _shot(build: Build, data: bytes, headers: Mapping[str, str], version: str | None = None) -> Shot:
    begin = time.perf_counter()
    reply = build.post(data, headers, version)
    seconds = time.perf_counter() - begin
    timing = reply.json()["timing_ms"]
    return Shot(seconds, timing["inference"] / 1000, timing["render"] / 1000)


def _door_shot(build: Build, data: bytes) -> Shot:
    begin = time.perf_counter()
    build.knock(data, PICTURES)
    return Shot(time.perf_counter() - begin)


def assessed(build: Build, data: bytes) -> Build:
    """``build``, told to give the mask where its gate does not take a phantom for a scan: else it would be measured
    at not answering. Raises ``RuntimeError`` where there is no picture even so."""
    for candidate in (build, replace(build, headers=GATE_OFF)):
        body = candidate.post(data, PICTURES).json()
        if body["verdict"] != "not_assessed" and {"mask", "overlay"} <= set(body["slices"][0]["images"]):
            return candidate
    raise RuntimeError(f"{build.label} gives no mask and overlay of a phantom")


class Comparison:
    """``builds`` and ``flask`` (None: not measured) take turns at everything. ``advance``: called after each turn."""

    def __init__(
        self, builds: Sequence[Build], flask: Target | None, effort: Effort, advance: Callable[[], None]
    ) -> None:
        self._slice, self._whole = picture(256), whole()
        self.builds = [assessed(build, self._slice) for build in builds]
        self._flask = flask
        self._effort = effort
        self._advance = advance
        self.figures = {build.label: Figures() for build in builds}
        self.flask = Figures()

    def run(self) -> None:
        for build in self.builds:
            for _ in range(self._effort.warm_up):
                _shot(build, self._slice, PICTURES)
            _shot(build, self._slice, PICTURES, self._effort.first)
        large, pages = picture(self._effort.side), stack(self._effort.pages)
        for number in range(self._effort.rounds):
            for build in self.builds[:: -1 if number % 2 else 1]:
                self._round(build, self.figures[build.label].values, large, pages)
                self._advance()
            if self._flask:
                self._ask_flask(self._flask)
        self._grow()
        for build in self.builds:
            self.figures[build.label].values["memory"].append(build.worker_memory_mb())

    def _round(self, build: Build, values: dict[str, list[float]], large: bytes, pages: bytes) -> None:
        effort = self._effort
        for _ in range(effort.requests):
            shot = _shot(build, self._slice, PICTURES)
            values["slice"].append(shot.seconds)
            values["outside"].append(shot.seconds - (shot.forward_seconds or 0))
            values["pictures"].append(shot.picture_seconds or 0)
        for _ in range(max(2, effort.requests // 2)):
            values["forward"].append(_shot(build, self._whole, NUMBERS).forward_seconds or 0)
            values["first"].append(_shot(build, self._slice, PICTURES, effort.first).seconds)
            values["door"].append(_door_shot(build, self._slice).seconds)
        load = run_load(partial(_shot, build, self._slice, PICTURES), 4, effort.loaded)
        values["loaded"].append(len(load.shots) / load.seconds)
        for _ in range(2):
            values["large"].append(_shot(build, large, PICTURES).seconds)
        values["pages"].append(_shot(build, pages, PICTURES).seconds)

    def _ask_flask(self, flask: Target) -> None:
        def ask() -> Shot:
            begin = time.perf_counter()
            flask.send(self._slice).raise_for_status()
            return Shot(time.perf_counter() - begin)

        self.flask.values["slice"] += [ask().seconds for _ in range(self._effort.flask)]
        load = run_load(ask, 4, 4 * self._effort.flask)
        if load.shots:  # matplotlib in several threads may fail
            self.flask.values["loaded"].append(len(load.shots) / load.seconds)

    def _grow(self) -> None:
        effort = self._effort
        counts = sorted({*effort.slices, effort.long})
        jobs = [("slices", count, partial(stack, count), NUMBERS) for count in counts]
        jobs += [("pixels", side * side, partial(picture, side), PICTURES) for side in effort.sides]
        for name, size, make, headers in jobs:
            data = make()
            for _ in range(GROWTH_TURNS):
                for build in self.builds:
                    figures = self.figures[build.label]
                    try:
                        spent = _shot(build, data, headers).seconds
                    except requests.HTTPError as error:  # an earlier build may take less than this one
                        figures.failed.append(f"{size} {name}: status {error.response.status_code}")
                        continue
                    figures.growth[name][size].append(spent)
                    if (name, size) == ("slices", effort.long):
                        figures.values["long"].append(spent)
            self._advance()
        for clients in effort.clients:
            for build in self.builds:
                load = run_load(partial(_door_shot, build, self._slice), clients, max(2 * clients, effort.requests))
                figures = self.figures[build.label]
                if load.errors:
                    figures.failed.append(
                        f"{clients} clients: {load.errors} of {load.errors + len(load.shots)} requests"
                    )
                if load.shots:
                    figures.growth["clients"][clients] += [shot.seconds for shot in load.shots]
            self._advance()

    @staticmethod
    def turns(effort: Effort) -> int:
        """How often ``advance`` will be called."""
        return 2 * effort.rounds + len({*effort.slices, effort.long}) + len(effort.sides) + len(effort.clients)
