"""What is segmented, whatever it came as: a picture, or a scan with geometry."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from handler import render
from handler.card import InputSpec, ModelCard
from handler.compose import Rule
from handler.engines import Engine
from handler.limits import Limits
from handler.measure import restore, to_steps
from handler.neighbours import lone_warnings
from handler.predict import predict
from handler.preprocess import to_grid
from handler.scan import Scan, Warn
from handler.survey import survey_warnings
from handler.trust.gate import Gate
from handler.trust.report import ON, Trust, ungated


@dataclass(frozen=True, eq=False)
class Steps:
    """``slices``: uint16 (h, w) each, of several classes (maps, h, w), probability * 65535, in the subject's own grid
    and order. ``warnings``: all that a client should know about the scan. Times in seconds. ``trust``: the gate's word;
    what it keeps from being assessed has no probability. ``masks``: from a rule to bool (slices, h, w), where
    components are counted in other planes than the slices: in those that the network saw."""

    slices: Iterator[NDArray[np.uint16]]
    warnings: tuple[Warn, ...]
    decode_seconds: float
    preprocess_seconds: float
    inference_seconds: float
    trust: Trust
    masks: Callable[[Rule], NDArray[np.bool_]] | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """One slice. ``grid``: float32 (h, w, 3), 0..1, as the network sees it; ``back``: float32 (h, w) of the network's
    grid to the slice's own, as a probability is brought back."""

    grid: NDArray[np.float32]
    back: Callable[[NDArray[np.float32]], NDArray[np.float32]]


class Subject(Protocol):
    """``slices``, ``height`` and ``width``: of the grid that masks and counts are on. ``format`` and ``sha256`` as the
    answer has them. ``kinds``: those of :data:`handler.accept.GEOMETRIC` that its mask can be written as."""

    format: str
    sha256: str
    slices: int
    height: int
    width: int
    kinds: tuple[str, ...]

    def drawn(self, index: int) -> NDArray[np.uint8]:
        """Slice ``index`` to be looked at, (h, w, 3)."""

    def seen(self, index: int, spec: InputSpec) -> Seen:
        """Slice ``index`` alone. Raises ``unsupported_shape`` where the network sees other slices than the subject's,
        and what a page raises that turns out broken only when it is decoded."""

    def check(self, kind: str) -> None:
        """Raises ``not_acceptable`` where an answer of ``kind`` cannot be made, before the network runs."""

    def steps(
        self, engine: Engine, card: ModelCard, deadline: float, gate: Gate | None = None, asked: str = ON
    ) -> Steps:
        """Runs the network over all slices. ``gate``: the model's; ``asked``: ``off`` where it is overruled. Raises
        ``timeout`` past ``deadline``, and what a page raises that turns out broken only when it is decoded."""


class Picture:
    """A scan without geometry, its samples brought to 0..1 by ``asked`` (lo, hi), else by the scan's own range."""

    kinds: tuple[str, ...] = ()

    def __init__(self, scan: Scan, asked: tuple[float, float] | None, limits: Limits) -> None:
        self.format, self.sha256 = scan.format, scan.sha256
        self.slices, self.height, self.width = scan.slices, scan.height, scan.width
        self._scan = scan
        self._range, self._asked = asked or scan.intensity_range, asked is not None
        self._holds = scan.decoded_bytes <= limits.held_bytes

    def drawn(self, index: int) -> NDArray[np.uint8]:
        return render.to_uint8(self._scan.source.pages(index, index + 1)[0], self._range)

    def seen(self, index: int, spec: InputSpec) -> Seen:
        page = self._scan.source.pages(index, index + 1)
        return Seen(to_grid(page, spec, self._range)[0], lambda heat: restore(heat, self.height, self.width))

    def check(self, kind: str) -> None:
        """Nothing: a mask as a picture can be made of any."""

    def steps(
        self, engine: Engine, card: ModelCard, deadline: float, gate: Gate | None = None, asked: str = ON
    ) -> Steps:
        begin = time.perf_counter()
        if self._holds:
            self._scan = self._scan.held()
        held = time.perf_counter() - begin
        found = predict(engine, card, self._scan, self._range, deadline, gate is not None)
        trust = ungated(self.slices) if gate is None else gate.judge(found.thumbs, asked)
        found.probabilities[[not trust.assessed(index) for index in range(self.slices)]] = 0
        # One slice of the scan's own size at a time: a stack of large ones would not fit.
        slices = (to_steps(restore(p, self.height, self.width)) for p in found.probabilities)
        told = self._scan.warnings
        if len(card.input.sequences) == 1:  # a grey picture is what such a network takes
            told = tuple(warning for warning in told if warning.code != "grey_input")
        told += lone_warnings(self.slices, card.input)
        warnings = told + survey_warnings(found.survey, self._range, self._asked)
        decoding = held + found.decode_seconds
        return Steps(slices, warnings, decoding, found.preprocess_seconds, found.inference_seconds, trust)
