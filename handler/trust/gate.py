"""The gate: is a slice of the kind that the model was trained on? A small network on :mod:`handler.trust.facts` names
the kind; a distance from the known slices' facts refuses what is like nothing that it ever saw. Plain numpy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from handler.card import FileRecord, ModelCard
from handler.trust.facts import COUNT, Facts
from handler.trust.report import OFF, ON, REASONS, Judgement, Trust

KIND = "facts-1"  # another set of facts or another network is another kind
ACCEPTED = "accepted"
CLASSES = (ACCEPTED, *REASONS)
WEIGHTS_FILE = "gate.safetensors"
REACH = 8.0  # standard deviations at which a fact is cut off
STEEP = 4.0  # how fast the score falls with the distance beyond the limit
ALSO = 0.3  # a further reason is named from this share of the refusal on
Array = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Gate:
    """``mean``, ``scale`` (facts,): of the facts of known slices. ``hidden``, ``hidden_bias``, ``out``, ``out_bias``:
    the network, to a logit for each of :data:`CLASSES`. ``axes`` (facts, k): the directions in which known slices vary
    most; ``spans`` (k,): how far. ``limits``: of the mean square along the axes, and of the rest. ``threshold``: of the
    score, from which on a slice is accepted. ``share``: of the slices that show something, how many must be accepted
    for a scan to be."""

    mean: Array
    scale: Array
    hidden: Array
    hidden_bias: Array
    out: Array
    out_bias: Array
    axes: Array
    spans: Array
    limits: tuple[float, float]
    threshold: float
    share: float

    def standard(self, values: Array) -> Array:
        """(n, facts) -> the same, in standard deviations of known slices."""
        return np.clip((values - self.mean) / self.scale, -REACH, REACH)

    def classes(self, values: Array) -> Array:
        """(n, facts) -> probabilities (n, classes)."""
        hidden = np.maximum(self.standard(values) @ self.hidden + self.hidden_bias, 0)
        logits = hidden @ self.out + self.out_bias
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        return odds / odds.sum(axis=1, keepdims=True)

    def distances(self, values: Array) -> Array:
        """(n, facts) -> (n, 2): mean square along :attr:`axes` in units of their variation, and of what they leave."""
        standard = self.standard(values)
        along = standard @ self.axes
        rest = standard - along @ self.axes.T
        return np.stack([((along / self.spans) ** 2).mean(axis=1), (rest**2).mean(axis=1)], axis=1)

    def scores(self, values: Array) -> tuple[Array, Array]:
        """(n, facts) -> scores (n,), 0..1, and probabilities (n, classes)."""
        classes = self.classes(values)
        beyond = (self.distances(values) / np.asarray(self.limits, np.float32)).max(axis=1) - 1
        return classes[:, 0] * np.exp(-STEEP * np.maximum(beyond, 0)), classes

    def judge(self, seen: Facts, gate: str = ON) -> Trust:
        """``gate``: :data:`~handler.trust.report.ON`, or ``OFF`` where the request overrules it. Slices that show
        nothing say nothing about a scan with others: they are accepted with it."""
        if not len(seen.values):
            raise ValueError("a scan without slices")
        scores, classes = self.scores(seen.values)
        slices = [self._judgement(*one) for one in zip(scores, classes, seen.black, strict=True)]
        shown = ~seen.blank if not seen.blank.all() else np.ones(len(slices), bool)
        told = [one for one, some in zip(slices, shown, strict=True) if some]
        scan = self._whole(told, float(scores[shown].mean()))
        if scan.accepted:
            slices = [
                Judgement(True, one.score) if blank else one for one, blank in zip(slices, seen.blank, strict=True)
            ]
        return Trust(gate if gate == OFF else ON, scan, tuple(slices))

    def _judgement(self, score: float, classes: Array, black: bool) -> Judgement:
        if black:
            return Judgement(False, 0.0, ("nearly_black",))
        if score >= self.threshold:
            return Judgement(True, float(score))
        refusal = classes[1:] / max(float(classes[1:].sum()), 1e-12)
        order = np.argsort(-refusal)
        names = [REASONS[i] for i in order[:1]] + [REASONS[i] for i in order[1:] if refusal[i] >= ALSO]
        return Judgement(False, float(score), tuple(names))

    def _whole(self, slices: Sequence[Judgement], score: float) -> Judgement:
        accepted = sum(bool(one.accepted) for one in slices)
        if accepted >= self.share * len(slices):
            return Judgement(True, score)
        named = [reason for one in slices for reason in one.reasons]
        counts = {reason: named.count(reason) for reason in REASONS if reason in named}
        main = sorted(counts, key=lambda reason: -counts[reason])  # stable: REASONS' order where equal
        return Judgement(False, score, tuple(r for r in main if counts[r] >= ALSO * counts[main[0]]))

    def with_settings(self, **changes: Any) -> Gate:
        """The same with other limits, threshold or share."""
        return replace(self, **changes)


ARRAYS = ("mean", "scale", "hidden", "hidden_bias", "out", "out_bias", "axes", "spans")


def weights_of(gate: Gate) -> bytes:
    """The content of :data:`WEIGHTS_FILE`."""
    return save({name: np.ascontiguousarray(getattr(gate, name), np.float32) for name in ARRAYS})


def settings_of(gate: Gate, weights: FileRecord) -> dict[str, Any]:
    """The card's ``trust.gate``, without figures."""
    return {
        "kind": KIND,
        "classes": list(CLASSES),
        "facts": COUNT,
        "weights": {"file": weights.file, "sha256": weights.sha256, "bytes": weights.bytes},
        "limits": list(gate.limits),
        "threshold": gate.threshold,
        "share": gate.share,
    }


def open_gate(card: ModelCard, folder: Path) -> Gate | None:
    """The gate of the release in ``folder``; None where its card has none. Raises ``ValueError`` where card or file are
    not what this code knows."""
    block: Mapping[str, Any] | None = card.trust.get("gate")
    if block is None:
        return None
    try:
        record = FileRecord(**block["weights"])
        kind, classes, facts = block["kind"], tuple(block["classes"]), block["facts"]
        limits = float(block["limits"][0]), float(block["limits"][1])
        threshold, share = float(block["threshold"]), float(block["share"])
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise ValueError(f"the card's trust.gate is not one of kind {KIND}: {error!r}") from error
    if (kind, classes, facts) != (KIND, CLASSES, COUNT):
        raise ValueError(f"the card's gate is of kind {kind} with {facts} facts; this code knows {KIND} with {COUNT}")
    if Path(record.file).name != record.file:
        raise ValueError(f"gate file {record.file!r}: expected a plain file name beside the card")
    record.verify(folder)
    arrays = load_file(folder / record.file)
    if set(arrays) != set(ARRAYS) or arrays["mean"].shape != (COUNT,):
        raise ValueError(f"{record.file} does not hold the arrays of a gate of kind {KIND}")
    arguments: dict[str, Any] = {name: arrays[name] for name in ARRAYS}
    return Gate(**arguments, limits=limits, threshold=threshold, share=share)
