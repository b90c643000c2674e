"""How far expected quality and intervals of size hold on cases that neither the network nor the fit has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from handler.trust.levels import Levels
from handler.trust.quality import Estimator, estimator_of
from training.judge.risk import aurc, ranked
from training.trust.expect import Rows, TooFewError, conformal, crossed, scans_of, scans_to_fit, widest_tail
from training.trust.witness import Slices

LARGEST, EXPECTED, PAIRWISE = "largest_probability", "expected_dice", "dice_between_networks"


def crossed_figures(witnesses: Sequence[Slices], level: float) -> dict[str, Any]:
    """Over the cases fitted on, each judged by what was fitted on the others. ``risk`` is AURC, mean over witnesses."""
    rows = Rows(witnesses)
    slices, scans = crossed(rows)
    found = np.array([levels.area > 0 for levels in rows.levels])
    scan_dice = np.array([scan.dice for scan in rows.scans])
    known = ~np.isnan(scans)
    ends = np.cumsum([len(witness.case) for witness in witnesses])[:-1]
    fitted = scans_to_fit(witnesses, level)
    parts = np.split(np.arange(len(rows.case)), ends)
    return {
        "policy": "each case by what was fitted on the others",
        "slices": len(slices),
        "cases": len(set(rows.case)),
        "slice_dice_error": float(np.abs(slices - rows.dice)[found].mean()),
        "slice_dice_correlation": float(np.corrcoef(slices[found], rows.dice[found])[0, 1]),
        "scan_dice_error": float(np.abs(scans - scan_dice)[known].mean()),
        "risk": {
            name: {
                "slices": float(np.mean([aurc(score[part], 1 - rows.dice[part]) for part in parts])),
                "slices_with_a_mask": float(
                    np.mean([aurc(score[p], 1 - rows.dice[p]) for p in (part[found[part]] for part in parts)])
                ),
            }
            for name, score in ((LARGEST, rows.largest), (EXPECTED, slices))
        },
        "cases_held": _held(
            np.array([widest_tail(scan.whole, scan.truth) for scan in fitted]),
            np.array([scan.case for scan in fitted]),
            level,
        ),
        "slices_held": _held(
            np.array([widest_tail(*pair) for pair in zip(rows.levels, rows.truth, strict=True)]),
            np.array(rows.case),
            level,
        ),
    }


def _held(tails: NDArray[np.float64], case: NDArray[np.str_], level: float) -> float | None:
    """Share of a case's rows whose truth lies in the interval fitted on the others, mean over cases; None where those
    are too few."""
    held = []
    try:
        for name in sorted(set(case)):
            tail = conformal(tails[case != name], [str(c) for c in case[case != name]], level)
            held.append(float((tails[case == name] >= tail).mean()))
    except TooFewError:
        return None
    return float(np.mean(held))


def judge(block: Mapping[str, Any], own: Slices, second: Slices | None) -> dict[str, Any]:
    """``own``: what the released network says of cases that chose nothing; ``second``: another network of the same
    slices, for the simple measure, the Dice between the two networks' masks. Raises ``ValueError`` where the slices
    are others."""
    estimator = estimator_of({"quality": block})
    if estimator is None:
        raise ValueError("no block to judge")
    if second is not None and second.case != own.case:
        raise ValueError("the second network was asked about other slices; give one that has not seen them either")
    each, dice = own.each(), own.dice
    slice_scores = {
        LARGEST: own.largest,
        EXPECTED: np.array([estimator.slice_dice(levels) for levels in each]),
    }
    scans = scans_of(own)
    scan_dice = np.array([scan.dice for scan in scans])
    scan_scores = {
        LARGEST: np.array([own.largest[own.rows_of(case)].max() for case in own.cases]),
        EXPECTED: np.array([estimator.scan_dice(scan.slices) for scan in scans]),
    }
    if second is not None:
        counts = _between(own, second)
        slice_scores[PAIRWISE] = _dice(counts)
        scan_scores[PAIRWISE] = np.array([_dice(counts[own.rows_of(c)].sum(axis=0)[None])[0] for c in own.cases])
    found = np.array([levels.area > 0 for levels in each])
    risks = {
        "slices": (slice_scores, dice, own.case),
        "slices_with_a_mask": (
            {name: score[found] for name, score in slice_scores.items()},
            dice[found],
            [case for case, has in zip(own.case, found, strict=True) if has],
        ),
        "cases": (scan_scores, scan_dice, own.cases),
    }
    return {
        "slices": len(dice),
        "cases": len(scans),
        "risk": {
            name: [asdict(row) for row in ranked(scores, 1 - loss, case, LARGEST)]
            for name, (scores, loss, case) in risks.items()
        },
        "expected": {
            "slice": _errors(slice_scores[EXPECTED][found], dice[found], estimator.slice_floor),
            "scan": _errors(scan_scores[EXPECTED], scan_dice, estimator.scan_floor),
        },
        "interval": _intervals(estimator, own, each),
    }


def _between(own: Slices, second: Slices) -> NDArray[np.int64]:
    """(n, 3): pixels in both masks, in one, in the other."""
    pairs = zip(own.mask, second.mask, strict=True)
    return np.array([((a & b).sum(), a.sum(), b.sum()) for a, b in pairs], np.int64)


def _dice(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    size = counts[:, 1] + counts[:, 2]
    return np.where(size > 0, 2.0 * counts[:, 0] / np.maximum(size, 1), 1.0)


def _errors(guess: NDArray[np.float64], dice: NDArray[np.float64], floor: float) -> dict[str, Any]:
    low = guess < floor
    return {
        "n": len(guess),
        "mean_expected": float(guess.mean()),
        "mean_dice": float(dice.mean()),
        "mean_error": float(np.abs(guess - dice).mean()),
        "uncertain": int(low.sum()),
        "dice_of_uncertain": float(dice[low].mean()) if low.any() else None,
        "dice_of_others": float(dice[~low].mean()) if (~low).any() else None,
    }


def _intervals(estimator: Estimator, own: Slices, each: Sequence[Levels]) -> dict[str, Any]:
    scans = scans_of(own)
    bounds = np.array([estimator.interval(scan.slices) for scan in scans], np.float64)
    truth = np.array([scan.truth for scan in scans], np.float64)
    held = (bounds[:, 0] <= truth) & (truth <= bounds[:, 1])
    alone = np.array([estimator.interval([levels]) for levels in each], np.float64)
    inside = (alone[:, 0] <= own.truth) & (own.truth <= alone[:, 1])
    width = bounds[:, 1] - bounds[:, 0]
    return {
        "level": estimator.level,
        "cases": len(scans),
        "cases_held": int(held.sum()),
        "mean_width_pixels": float(width.mean()),
        "mean_width_of_truth": float((width / np.maximum(truth, 1)).mean()),
        "median_width_of_truth": float(np.median(width / np.maximum(truth, 1))),
        "slices_alone": {
            "policy": "each slice as a scan of its own, share held within a case, mean over cases",
            "held": float(np.mean([inside[own.rows_of(case)].mean() for case in own.cases])),
            "mean_width_pixels": float((alone[:, 1] - alone[:, 0]).mean()),
        },
    }
