"""Facts by kind -> a gate: a small network that names the kind, a distance, and the threshold that validation cases
choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from handler.trust.gate import ACCEPTED, CLASSES, Gate
from training.trust.collect import Group

HIDDEN = 64
COMPONENTS = 40
ACCEPTED_COPIES = 3  # how often an accepted slice counts against one that is refused
MISSED = 0.003  # share of the validation cases' slices that the threshold may refuse
LOWEST, HIGHEST = 0.02, 0.5  # bounds of the threshold
LIMIT_QUANTILE, LIMIT_SLACK = 0.998, 1.3
SHARE = 0.5
Array = NDArray[np.float32]


def _together(groups: Sequence[Group], role: str, accepted: bool) -> Array:
    return np.concatenate([g.facts.values for g in groups if g.role == role and (g.reason is None) == accepted])


def fit(groups: Sequence[Group], seed: int) -> Gate:
    """Fits on the groups of role ``fit``; ``validation`` chooses limits and threshold. Raises ``ValueError`` where a
    role is missing."""
    from sklearn.neural_network import MLPClassifier

    for role in ("fit", "validation"):
        if not any(g.role == role and g.reason is None for g in groups):
            raise ValueError(f"no slices of role {role}: the release's card names no such cases in the data folder")
    known = _together(groups, "fit", True)
    mean, scale = known.mean(axis=0), np.maximum(known.std(axis=0), 1e-3)
    nothing = np.zeros((0, 0), np.float32)
    blank = Gate(mean, scale, nothing, nothing, nothing, nothing, nothing, nothing, (1.0, 1.0), LOWEST, SHARE)
    axes, spans = _axes(blank.standard(known))
    values, classes = [], []
    for group in groups:
        if group.role == "fit" and len(group.facts.values):
            times = ACCEPTED_COPIES if group.reason is None else 1
            values.append(np.tile(group.facts.values, (times, 1)))
            classes += [CLASSES.index(group.reason or ACCEPTED)] * (times * len(group.facts.values))
    network = MLPClassifier((HIDDEN,), alpha=0.03, batch_size=128, learning_rate_init=2e-3, max_iter=25,
                            random_state=seed)  # fmt: skip
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that more rounds might gain a little
        network.fit(blank.standard(np.concatenate(values)), classes)
    out = np.zeros((HIDDEN, len(CLASSES)), np.float32)
    out_bias = np.full(len(CLASSES), -30, np.float32)  # a kind that the data lack is never named
    out[:, network.classes_], out_bias[network.classes_] = network.coefs_[1], network.intercepts_[1]
    gate = Gate(
        mean.astype(np.float32), scale.astype(np.float32), network.coefs_[0].astype(np.float32),
        network.intercepts_[0].astype(np.float32), out, out_bias, axes, spans, (1.0, 1.0), LOWEST, SHARE,
    )  # fmt: skip
    return _thresholded(gate, _together(groups, "validation", True), groups)


def _axes(standard: Array) -> tuple[Array, Array]:
    centred = standard - standard.mean(axis=0)
    variances, vectors = np.linalg.eigh(centred.T @ centred / len(centred))
    order = np.argsort(-variances)[:COMPONENTS]
    return vectors[:, order].astype(np.float32), np.sqrt(np.maximum(variances[order], 1e-6)).astype(np.float32)


def _thresholded(gate: Gate, known: Array, groups: Sequence[Group]) -> Gate:
    """Limits and threshold that leave all but :data:`MISSED` of the validation cases' slices accepted."""
    distances = gate.distances(known)
    limits = LIMIT_SLACK * np.quantile(distances, LIMIT_QUANTILE, axis=0)
    gate = gate.with_settings(limits=(float(limits[0]), float(limits[1])))
    plain = np.concatenate([g.facts.values for g in groups if g.role == "validation" and g.cases is not None])
    lowest = float(np.quantile(gate.scores(plain)[0], MISSED))
    return gate.with_settings(threshold=round(float(np.clip(0.7 * lowest, LOWEST, HIGHEST)), 4))
