"""How often a classifier is right, and whether it knows: figures of held-out slices, with intervals over patients."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from training.data.cases import DataError

BINS = 15
DRAWS = 1000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Judged:
    """What networks said of slices that they were not trained on. `logits` (n, classes); `truth` and `part` (n,): index
    of the class, and of the part the slice was held out in; `owner` (n,): its patient, or itself where it has none."""

    classes: tuple[str, ...]
    names: tuple[str, ...]
    logits: Floats
    truth: Ints
    owner: tuple[str, ...]
    part: Ints

    def only(self, at: Ints) -> Judged:
        """The slices of the rows `at`, in their order."""
        return Judged(
            self.classes,
            tuple(self.names[i] for i in at),
            self.logits[at],
            self.truth[at],
            tuple(self.owner[i] for i in at),
            self.part[at],
        )


def read_judged(files: Sequence[Path]) -> Judged:
    """The predictions of several parts, in their order. Raises DataError for a file that is another, of other classes,
    or has a slice that another has too."""
    classes: tuple[str, ...] | None = None
    rows: list[tuple[str, str, str, list[float], int]] = []
    for part, path in enumerate(files):
        try:
            with path.open(newline="", encoding="utf-8") as file:
                reader = csv.reader(file)
                head = next(reader)
                found = tuple(name.removeprefix("logit_") for name in head[3:])
                rows += [(row[0], row[1], row[2], [float(value) for value in row[3:]], part) for row in reader]
        except (OSError, ValueError, IndexError, StopIteration) as error:
            raise DataError(f"{path}: no predictions of scripts/types-train ({error})") from error
        if classes not in (None, found):
            raise DataError(f"{path} is of the classes {', '.join(found)}, others are of {', '.join(classes or ())}")
        classes = found
    names = tuple(row[0] for row in rows)
    if not rows or classes is None:
        raise DataError("no predictions were given")
    if len(set(names)) < len(names):
        raise DataError("a slice was held out twice; give each part once, all of one split")
    return Judged(
        classes,
        names,
        np.array([row[3] for row in rows]),
        np.array([classes.index(row[1]) for row in rows]),
        tuple(row[2] or row[0] for row in rows),
        np.array([row[4] for row in rows]),
    )


def fit_temperature(logits: Floats, truth: Ints) -> float:
    """What the logits (n, classes) are divided by so that the truth (n,) is likeliest (Guo et al., ICML 2017), from
    0.05 to 20."""

    def surprise(log_temperature: float) -> float:
        told = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -float(told[np.arange(len(truth)), truth].mean())

    found = minimize_scalar(surprise, bounds=(np.log(0.05), np.log(20.0)), method="bounded")
    return float(np.exp(found.x))


def probabilities(judged: Judged) -> Floats:
    """Calibrated probabilities (n, classes): each part's by a temperature that the other parts' slices have fitted. A
    lone part is left as it is."""
    made = softmax(judged.logits, axis=1)
    parts = set(judged.part.tolist())
    if len(parts) < 2:
        return np.asarray(made, np.float64)
    for part in parts:
        inside = judged.part == part
        temperature = fit_temperature(judged.logits[~inside], judged.truth[~inside])
        made[inside] = softmax(judged.logits[inside] / temperature, axis=1)
    return np.asarray(made, np.float64)


def confusion(truth: Ints, found: Ints, classes: int) -> Ints:
    """Slices by class in truth (row) and as found (column)."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, found), 1)
    return counts


def accuracy(counts: Ints) -> float:
    """Share on the diagonal of a confusion matrix."""
    return float(np.trace(counts) / counts.sum())


def recalls(counts: Ints) -> Floats:
    """Of each class, the share that was found as it; NaN for a class without slices."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.diag(counts) / counts.sum(axis=1), np.float64)


def calibration_error(chances: Floats, truth: Ints) -> float:
    """Expected calibration error of the class that is named: the mean gap between its probability and how often it is
    right, over BINS equal bins of that probability (Naeini et al., AAAI 2015)."""
    named, right = chances.max(axis=1), chances.argmax(axis=1) == truth
    bins = np.minimum((named * BINS).astype(int), BINS - 1)
    gaps = [
        abs(named[bins == b].mean() - right[bins == b].mean()) * np.mean(bins == b)
        for b in range(BINS)
        if (bins == b).any()
    ]
    return float(sum(gaps))


@dataclass(frozen=True)
class Figure:
    """A figure with the ends of its 95 % interval."""

    name: str
    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f} to {self.high:.3f})"


def figures(judged: Judged, apart: Sequence[str] = (), seed: int = 0, draws: int = DRAWS) -> tuple[Figure, ...]:
    """Accuracy, macro recall, each class's recall, calibration error before and after the temperature; slices of the
    classes in `apart` count in their own recall alone. Intervals: 95 %, bootstrap over patients, drawn within each
    class so that no draw is without one. Raises DataError where `apart` names no class, or leaves none."""
    wanted = statistics(judged, apart)
    every = np.arange(len(judged.truth))
    drawn = patient_draws(judged, seed, draws)
    made = []
    for name, statistic in wanted.items():
        values = [statistic(rows) for rows in drawn]
        low, high = np.nanpercentile(values, [2.5, 97.5]) if values else (np.nan, np.nan)
        made.append(Figure(name, statistic(every), float(low), float(high)))
    return tuple(made)


def statistics(judged: Judged, apart: Sequence[str] = ()) -> dict[str, Callable[[Ints], float]]:
    """What is counted, by name: each takes the rows (n,) of the slices that it is to be counted over. Raises DataError
    where `apart` names no class, or leaves none."""
    if unknown := sorted(set(apart) - set(judged.classes)):
        raise DataError(f"{unknown[0]} is no class; expected some of {', '.join(judged.classes)}")
    chances, raw = probabilities(judged), np.asarray(softmax(judged.logits, axis=1))
    found, count = chances.argmax(axis=1), len(judged.classes)
    counted = ~np.isin(judged.truth, [judged.classes.index(kind) for kind in apart])
    if not counted.any():
        raise DataError(f"no slice is left to count without {', '.join(apart)}")

    def counts(rows: Ints) -> Ints:
        return confusion(judged.truth[rows], found[rows], count)

    def within(of: Callable[[Ints], float]) -> Callable[[Ints], float]:
        return lambda rows: of(rows[counted[rows]])

    also = f", {' and '.join(apart)} apart" if apart else ""
    wanted: dict[str, Callable[[Ints], float]] = {
        f"accuracy{also}": within(lambda rows: accuracy(counts(rows))),
        f"macro recall{also}": within(lambda rows: float(np.nanmean(recalls(counts(rows))))),
    }
    for index, kind in enumerate(judged.classes):
        wanted[f"recall of {kind}"] = lambda rows, index=index: float(recalls(counts(rows))[index])  # type: ignore[misc]
    wanted[f"calibration error{also}, uncalibrated"] = within(
        lambda rows: calibration_error(raw[rows], judged.truth[rows])
    )
    wanted[f"calibration error{also}"] = within(lambda rows: calibration_error(chances[rows], judged.truth[rows]))
    return wanted


def patient_draws(judged: Judged, seed: int, draws: int) -> list[Ints]:
    """Rows of the slices of patients drawn with replacement, class by class, `draws` times."""
    rows: dict[int, dict[str, list[int]]] = {}
    for index, (kind, owner) in enumerate(zip(judged.truth.tolist(), judged.owner, strict=True)):
        rows.setdefault(kind, {}).setdefault(owner, []).append(index)
    groups = [[np.array(indices) for indices in owners.values()] for owners in rows.values()]
    rng = np.random.default_rng(seed)
    return [
        np.concatenate([group[i] for group in groups for i in rng.integers(0, len(group), len(group))])
        for _ in range(draws)
    ]
