"""The gate: is a slice of the kind that the model was trained on? A small convolutional network names the kind of a
thumbnail; how far its features lie from those of known slices refuses what is like nothing that it ever saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.card import FileRecord, ModelCard
from handler.trust.report import OFF, ON, REASONS, Judgement, Trust
from handler.trust.thumbs import SIDE, Thumbs

KIND = "thumbs-1"  # another picture or other outputs are another kind
ACCEPTED = "accepted"
CLASSES = (ACCEPTED, *REASONS)
WEIGHTS_FILE = "gate.onnx"
INPUT, OUTPUTS = "thumbs", ("classes", "distance")
TOGETHER = 32  # pictures a call: more gain nothing, and take memory
STEEP = 4.0  # how fast the score falls with the distance beyond the limit
ALSO = 0.3  # a further reason is named from this share of the refusal on
Array = NDArray[np.float32]
Look = Callable[[NDArray[np.uint8]], tuple[Array, Array]]


def look_of(content: bytes) -> Look:
    """An ONNX network as a function: uint8 (n, 64, 64, 3) -> probabilities (n, classes) and distances (n,). It runs in
    the caller's thread alone. Raises ``ValueError`` for what is no such network."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        classes, distance = session.run(list(OUTPUTS), {INPUT: np.zeros((2, SIDE, SIDE, 3), np.uint8)})
    except Exception as error:  # its own classes, which are not exported
        raise ValueError(f"not the network of a gate of kind {KIND}: {error}") from error
    if (classes.shape, distance.shape) != ((2, len(CLASSES)), (2,)):
        raise ValueError(f"not the network of a gate of kind {KIND}: it answers {classes.shape}, {distance.shape}")

    def look(pictures: NDArray[np.uint8]) -> tuple[Array, Array]:
        found = [
            session.run(list(OUTPUTS), {INPUT: np.ascontiguousarray(pictures[at : at + TOGETHER])})
            for at in range(0, len(pictures), TOGETHER)
        ]
        return np.concatenate([one[0] for one in found]), np.concatenate([one[1] for one in found])

    return look


@dataclass(frozen=True, eq=False)
class Gate:
    """``look``: the network. ``limit``: of the distance, beyond which the score falls. ``threshold``: of the score,
    from which on a slice is accepted. ``share``: of the slices that show something, how many must be accepted for a
    scan to be."""

    look: Look
    limit: float
    threshold: float
    share: float

    def scores(self, pictures: NDArray[np.uint8]) -> tuple[Array, Array]:
        """uint8 (n, 64, 64, 3) -> scores (n,), 0..1, and probabilities (n, classes)."""
        classes, distances = self.look(pictures)
        beyond = np.maximum(distances / np.float32(self.limit) - 1, 0)
        return classes[:, 0] * np.exp(-np.float32(STEEP) * beyond), classes

    def judge(self, seen: Thumbs, gate: str = ON) -> Trust:
        """``gate``: :data:`~handler.trust.report.ON`, or ``OFF`` where the request overrules it. Slices that show
        nothing say nothing about a scan with others: they are accepted with it. Alone they are nearly black."""
        if not len(seen):
            raise ValueError("a scan without slices")
        scores, classes = self.scores(seen.pictures)
        slices = [self._judgement(*one) for one in zip(scores, classes, seen.blank, strict=True)]
        shown = ~seen.blank if not seen.blank.all() else np.ones(len(slices), bool)
        told = [one for one, some in zip(slices, shown, strict=True) if some]
        scan = self._whole(told, float(np.mean([one.score for one in told])))
        if scan.accepted:
            slices = [
                Judgement(True, float(score)) if blank else one
                for one, score, blank in zip(slices, scores, seen.blank, strict=True)
            ]
        return Trust(gate if gate == OFF else ON, scan, tuple(slices))

    def _judgement(self, score: float, classes: Array, blank: bool) -> Judgement:
        if blank:
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
        """The same with another limit, threshold or share."""
        return replace(self, **changes)


def settings_of(gate: Gate, weights: FileRecord) -> dict[str, Any]:
    """The card's ``trust.gate``, without figures. ``weights``: of :data:`WEIGHTS_FILE`, the network's."""
    return {
        "kind": KIND,
        "classes": list(CLASSES),
        "weights": {"file": weights.file, "sha256": weights.sha256, "bytes": weights.bytes},
        "limit": gate.limit,
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
        kind, classes = block["kind"], tuple(block["classes"])
        limit, threshold, share = (float(block[name]) for name in ("limit", "threshold", "share"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the card's trust.gate is not one of kind {KIND}: {error!r}") from error
    if (kind, classes) != (KIND, CLASSES):
        raise ValueError(f"the card's gate is of kind {kind}, for {classes}; this code knows {KIND}, for {CLASSES}")
    if Path(record.file).name != record.file:
        raise ValueError(f"gate file {record.file!r}: expected a plain file name beside the card")
    record.verify(folder)
    return Gate(look_of((folder / record.file).read_bytes()), limit, threshold, share)
