"""The block ``trust.quality`` of a card, from what witnesses say of cases that they have not seen."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

from handler.trust.levels import Levels, together
from handler.trust.quality import KIND, facts_empty, facts_found, tail_bounds
from training.trust.witness import Slices

LEVEL = 0.9
GOOD = 0.7  # a Dice that is worth having
SPARED = 0.9  # share of the good ones that the floor leaves alone
_SHRINK = 0.02  # of the weights, not of the constant: a few cases cannot tell a slope of 10 from one of 20
# Halves of the tail, from the mask that splits evens down to what bins of 1/256 can still tell.
TAILS = np.exp(np.linspace(math.log(0.5), math.log(1 / 256), 400))


class TooFewError(ValueError):
    """There are not enough cases for the level, or probabilities do not hold what is asked of them."""


def fractional(facts: NDArray[np.float64], dice: NDArray[np.float64], mass: NDArray[np.float64]) -> tuple[float, ...]:
    """Constant and weights of a logit that is most like ``dice`` (n,), 0..1, in cross-entropy (Papke and Wooldridge,
    1996); ``facts`` (n, k), ``mass`` (n,) what each row counts."""
    columns = np.column_stack([np.ones(len(facts)), facts])

    def loss(weights: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        logit = columns @ weights
        value = (mass * (np.logaddexp(0, logit) - dice * logit)).sum() + _SHRINK / 2 * (weights[1:] ** 2).sum()
        slope = columns.T @ (mass * (expit(logit) - dice))
        slope[1:] += _SHRINK * weights[1:]
        return float(value), slope

    return tuple(float(w) for w in minimize(loss, np.zeros(columns.shape[1]), jac=True).x)


def widest_tail(levels: Levels, truth: int) -> float:
    """The largest of :data:`TAILS` whose bounds hold ``truth`` pixels; 0 where none does."""
    for tail in TAILS:
        low, high = tail_bounds(levels, float(tail))
        if math.floor(low) <= truth <= math.ceil(high):
            return float(tail)
    return 0.0


def conformal(tails: NDArray[np.float64], case: Sequence[str], level: float) -> float:
    """The tail that holds the truth of a new case, or of any one slice of it, with probability ``level`` or more, where
    cases are exchangeable. Each of n cases has the mass 1 / (n + 1), shared by its rows (Dunn, Wasserman and Ramdas,
    2023), and the new one the rest. Raises TooFewError for too few cases, or where no tail holds so many."""
    names, counts = np.unique(np.asarray(case), return_counts=True)
    if len(names) / (len(names) + 1) < level - 1e-9:
        raise TooFewError(f"{len(names)} cases cannot promise {level:.0%}; {math.ceil(level / (1 - level))} can")
    share = dict(zip(names, 1 / counts / (len(names) + 1), strict=True))
    order = np.argsort(-tails, kind="stable")
    mass = np.cumsum([share[case[row]] for row in order])
    tail = float(tails[order][int(np.searchsorted(mass, level - 1e-9))])
    if tail <= 0:
        raise TooFewError("too many tumours where the network sees nothing, or none where it is sure: no interval")
    return tail


def _masses(case: Sequence[str]) -> NDArray[np.float64]:
    """One a case, shared by its rows."""
    _, which, counts = np.unique(np.asarray(case), return_inverse=True, return_counts=True)
    return np.asarray(1 / counts[which])


class Rows:
    """Slices of all witnesses as columns, and their scans: one a witness and case."""

    def __init__(self, witnesses: Sequence[Slices]) -> None:
        self.case = [case for witness in witnesses for case in witness.case]
        self.levels = [levels for witness in witnesses for levels in witness.each()]
        self.truth = np.concatenate([witness.truth for witness in witnesses])
        self.dice = np.concatenate([witness.dice for witness in witnesses])
        self.largest = np.concatenate([witness.largest for witness in witnesses])
        self.scans = [scan for witness in witnesses for scan in scans_of(witness)]


class Scan:
    """All slices of a case by one witness."""

    def __init__(self, case: str, slices: Sequence[Levels], truth: int, both: int) -> None:
        self.case, self.slices, self.truth = case, tuple(slices), truth
        self.whole = together(slices)
        size = self.whole.area + truth
        self.dice = 2.0 * both / size if size else 1.0


def scans_of(witness: Slices) -> list[Scan]:
    """In the order of the cases' names."""
    each = witness.each()
    found = []
    for case in witness.cases:
        rows = witness.rows_of(case)
        truth, both = int(witness.truth[rows].sum()), int(witness.both[rows].sum())
        found.append(Scan(case, [each[row] for row in rows], truth, both))
    return found


def scans_to_fit(witnesses: Sequence[Slices], level: float) -> list[Scan]:
    """Those that intervals of whole scans are fitted on: what releases said where they have witnessed enough cases.
    Short runs on a fold miss whole tumours that no release misses, which would make intervals much wider."""
    released = [scan for witness in witnesses if witness.released for scan in scans_of(witness)]
    if len({scan.case for scan in released}) >= math.ceil(level / (1 - level) - 1e-9):
        return released
    return [scan for witness in witnesses for scan in scans_of(witness)]


def fit(witnesses: Sequence[Slices], level: float = LEVEL) -> dict[str, Any]:
    """The block but for figures. Raises TooFewError."""
    rows = Rows(witnesses)
    scans = scans_to_fit(witnesses, level)
    tails = np.array([widest_tail(scan.whole, scan.truth) for scan in scans])
    slice_tails = np.array([widest_tail(*pair) for pair in zip(rows.levels, rows.truth, strict=True)])
    return {
        "kind": KIND,
        "weights": {name: list(found) for name, found in fit_weights(rows).items()},
        "floor": floors(rows),
        "interval": {
            "level": level,
            "scan_tail": conformal(tails, [scan.case for scan in scans], level),
            "scan_cases": len({scan.case for scan in scans}),
            "slice_tail": conformal(slice_tails, rows.case, level),
            "slice_cases": len(set(rows.case)),
        },
        "fitted_on": [
            {
                "witness": witness.witness,
                "weights": witness.weights,
                "released": witness.released,
                "cases": list(witness.cases),
                "slices": len(witness.case),
            }
            for witness in witnesses
        ],
    }


def fit_weights(rows: Rows, without: str | None = None) -> dict[str, tuple[float, ...]]:
    """``found``, ``empty`` and ``scan`` as in :class:`handler.trust.quality.Estimator`, from the cases but ``without``.

    Raises TooFewError where there is no mask with, or none without a pixel."""
    kept = [row for row, case in enumerate(rows.case) if case != without]
    found = [row for row in kept if rows.levels[row].area]
    empty = [row for row in kept if not rows.levels[row].area]
    scans = [scan for scan in rows.scans if scan.case != without and scan.whole.area]
    if not (found and empty and scans):
        raise TooFewError("expected slices with and without a mask; there is only one kind")

    def fitted(facts: list[tuple[float, ...]], dice: NDArray[np.float64], case: list[str]) -> tuple[float, ...]:
        return fractional(np.array(facts), dice, _masses(case))

    return {
        "found": fitted([facts_found(rows.levels[r]) for r in found], rows.dice[found], [rows.case[r] for r in found]),
        "empty": fitted([facts_empty(rows.levels[r]) for r in empty], rows.dice[empty], [rows.case[r] for r in empty]),
        "scan": fitted(
            [facts_found(s.whole) for s in scans], np.array([s.dice for s in scans]), [s.case for s in scans]
        ),
    }


def crossed(rows: Rows) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Expected Dice of each slice and of each scan with a mask, by weights fitted on the other cases."""
    slices, scans = np.zeros(len(rows.case)), np.full(len(rows.scans), np.nan)
    for case in sorted(set(rows.case)):
        weights = fit_weights(rows, case)
        for row in (row for row, name in enumerate(rows.case) if name == case):
            slices[row] = expected(weights, rows.levels[row])
        for at, scan in enumerate(rows.scans):
            if scan.case == case and scan.whole.area:
                scans[at] = _value(weights["scan"], facts_found(scan.whole))
    return slices, scans


def expected(weights: Mapping[str, Sequence[float]], levels: Levels) -> float:
    """Of one slice, as :meth:`handler.trust.quality.Estimator.slice_dice`."""
    if levels.area:
        return _value(weights["found"], facts_found(levels))
    return _value(weights["empty"], facts_empty(levels))


def _value(weights: Sequence[float], facts: Sequence[float]) -> float:
    return float(expit(weights[0] + np.dot(weights[1:], facts)))


def floors(rows: Rows) -> dict[str, Any]:
    """Below which expected Dice a slice's and a scan's mask is uncertain: the floor leaves alone :data:`SPARED` of
    those whose Dice is :data:`GOOD` or better, cases counting alike; and the share of the worse ones that it finds."""
    slices, scans = crossed(rows)
    told: dict[str, Any] = {"good_dice": GOOD, "spared": SPARED}
    for name, guess, dice, case in (
        ("slice", slices, rows.dice, rows.case),
        ("scan", scans, np.array([scan.dice for scan in rows.scans]), [scan.case for scan in rows.scans]),
    ):
        known = ~np.isnan(guess)
        mass = np.zeros(len(guess))
        mass[known] = _masses([c for c, k in zip(case, known, strict=True) if k])
        good, bad = known & (dice >= GOOD), known & (dice < GOOD)
        if not good.any():
            raise TooFewError(f"no {name} with a Dice of {GOOD} or more")
        order = np.flatnonzero(good)[np.argsort(guess[good])]
        share = np.cumsum(mass[order]) / mass[order].sum()
        told[name] = round(float(guess[order][int(np.searchsorted(share, 1 - SPARED))]), 3)
        told[f"{name}_found"] = (
            float((mass * bad * (guess < told[name])).sum() / mass[bad].sum()) if bad.any() else None
        )
    return told
