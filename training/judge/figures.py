"""The headline figures with their policy, counts and bootstrap intervals over cases."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.judge.metrics import brier_skill, expected_calibration_error, roc_auc
from training.judge.scores import SliceScore

BOOTSTRAPS = 1000
SMALL = 300  # tumour pixels of a slice, in its own grid, below which it counts as small
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Figure:
    """A figure and its 95 % interval (percentiles over resampled cases), with how many slices and cases it is of.

    Value and ends are None where undefined (no tumour slice, say)."""

    name: str
    policy: str
    value: float | None
    low: float | None
    high: float | None
    slices: int
    cases: int


@dataclass(frozen=True)
class Table:
    """Scores of n slices as columns, for fast resampling. `case` numbers the cases from 0; `hd95` is NaN where None."""

    case: NDArray[np.int64]
    counts: Array  # (n, 4): pixels in both, found, truth, all
    dice: Array
    iou: Array
    largest: Array
    hd95: Array
    squared_error: Array
    reliability: Array  # (n, bins, 3)

    @property
    def tumour(self) -> NDArray[np.bool_]:
        return self.counts[:, 2] > 0

    @property
    def found(self) -> NDArray[np.bool_]:
        return self.counts[:, 1] > 0

    def rows(self, index: NDArray[np.int64], case: NDArray[np.int64]) -> Table:
        """Rows `index`, any of them repeatedly, as belonging to the cases `case`."""
        columns = (self.counts, self.dice, self.iou, self.largest, self.hd95, self.squared_error, self.reliability)
        return Table(case, *(column[index] for column in columns))


def tabulate(scores: Sequence[SliceScore]) -> Table:
    """The columns of `scores`; cases are numbered in the order of their names."""
    names = {name: number for number, name in enumerate(sorted({s.case for s in scores}))}
    return Table(
        case=np.array([names[s.case] for s in scores], dtype=np.int64),
        counts=np.array([(s.both, s.found, s.truth, s.pixels) for s in scores], dtype=np.float64),
        dice=np.array([s.dice for s in scores]),
        iou=np.array([s.iou for s in scores]),
        largest=np.array([s.max_probability for s in scores]),
        hd95=np.array([np.nan if s.hd95 is None else s.hd95 for s in scores]),
        squared_error=np.array([s.squared_error for s in scores]),
        reliability=np.array([s.reliability for s in scores]),
    )


def case_dice(case: NDArray[np.int64], counts: Array | NDArray[np.int64]) -> Array:
    """Volumetric Dice of each case, in the order of case numbers: over the pixels of all its slices together.

    `case` (n,) numbers the case of each slice from 0, `counts` (n, 3 or more) are pixels in both, found and truth. A
    case without tumour scores 1 if nothing is found, else 0."""
    both, found, truth = (np.bincount(case, counts[:, column]) for column in range(3))
    sizes = found + truth
    return np.where(sizes > 0, 2 * both / np.maximum(sizes, 1), 1.0)


def _mean(values: NDArray[np.floating] | NDArray[np.bool_]) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _median(values: Array) -> float:
    return float(np.median(values)) if len(values) else float("nan")


def _brier(table: Table) -> float:
    return brier_skill(table.squared_error.sum(), table.counts[:, 2].sum(), table.counts[:, 3].sum())


Rows = Callable[[Table], NDArray[np.bool_]]
_TUMOUR: Rows = lambda table: table.tumour  # noqa: E731  # columns of the list below
_SMALL: Rows = lambda table: table.tumour & (table.counts[:, 2] < SMALL)  # noqa: E731
_CLEAN: Rows = lambda table: ~table.tumour  # noqa: E731
_ANY: Rows = lambda table: np.ones(len(table.case), dtype=bool)  # noqa: E731
_OUTLINED: Rows = lambda table: ~np.isnan(table.hd95)  # noqa: E731

# name, policy, which slices count, statistic of a table of those slices
DEFINITIONS: tuple[tuple[str, str, Rows, Callable[[Table], float]], ...] = (
    ("dice_slice_mean", "Dice of each slice with tumour in the truth, mean; nothing found scores 0",
     _TUMOUR, lambda t: _mean(t.dice)),
    ("dice_slice_median", "the same, median", _TUMOUR, lambda t: _median(t.dice)),
    ("iou_slice_mean", "IoU of each slice with tumour in the truth, mean; nothing found scores 0",
     _TUMOUR, lambda t: _mean(t.iou)),
    ("dice_small_mean", f"Dice of each slice with 1 to {SMALL - 1} tumour pixels in the truth, mean",
     _SMALL, lambda t: _mean(t.dice)),
    ("sensitivity_small", "share of those slices in whose mask a pixel of the tumour is left",
     _SMALL, lambda t: _mean(t.counts[:, 0] > 0)),
    ("dice_case_mean", "Dice over all slices of a case together, tumour or not, mean over cases",
     _ANY, lambda t: _mean(case_dice(t.case, t.counts))),
    ("dice_case_median", "the same, median over cases", _ANY, lambda t: _median(case_dice(t.case, t.counts))),
    ("sensitivity", "share of slices with tumour in the truth in whose mask a pixel is left",
     _TUMOUR, lambda t: _mean(t.found)),
    ("specificity", "share of slices without tumour in the truth whose mask is empty",
     _CLEAN, lambda t: _mean(~t.found)),
    ("roc_auc", "slice has tumour, scored by its largest probability", _ANY, lambda t: roc_auc(t.largest, t.tumour)),
    ("hd95_mean_pixels", "95th percentile of outline distances, mean over slices where both truth and mask have tumour",
     _OUTLINED, lambda t: _mean(t.hd95)),
    ("calibration_error", "expected calibration error over pixels with 0.05 < p < 0.95, 15 equal bins",
     _ANY, lambda t: expected_calibration_error(t.reliability.sum(axis=0))),
    ("brier_skill", "1 - Brier score / that of always saying the prevalence, over all pixels", _ANY, _brier),
)  # fmt: skip


def figures(scores: Sequence[SliceScore], seed: int = 0, bootstraps: int = BOOTSTRAPS) -> tuple[Figure, ...]:
    """All figures of `DEFINITIONS`; the same scores and seed give the same intervals. ValueError without scores."""
    if not scores:
        raise ValueError("no slice to score")
    table = tabulate(scores)
    made = []
    for name, policy, rows, statistic in DEFINITIONS:
        counted = _renumbered(table, np.flatnonzero(rows(table)))
        cases = len(np.unique(counted.case))
        low, high = _interval(statistic, counted, seed, bootstraps) if cases > 1 else (None, None)
        value = _known(statistic(counted)) if len(counted.case) else None
        made.append(Figure(name, policy, value, low, high, len(counted.case), cases))
    return tuple(made)


@dataclass(frozen=True)
class Difference:
    """A figure of two, on the same slices: `difference` is the second less the first, its interval that of `Figure`,
    each draw of cases being the same for both."""

    name: str
    policy: str
    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    slices: int
    cases: int


def differences(
    first: Sequence[SliceScore], second: Sequence[SliceScore], seed: int = 0, bootstraps: int = BOOTSTRAPS
) -> tuple[Difference, ...]:
    """The figures of `DEFINITIONS` of two that judged the same slices, given in the same order; those that need what
    one of them does not say are left out. ValueError for none, or for others."""
    if not first or [(s.case, s.number, s.truth) for s in first] != [(s.case, s.number, s.truth) for s in second]:
        raise ValueError("expected the scores of the same slices against the same masks, one or more")
    tables = tabulate(first), tabulate(second)
    made = []
    for name, policy, rows, statistic in DEFINITIONS:
        index = np.flatnonzero(rows(tables[0]) & rows(tables[1]))
        one, other = (_renumbered(table, index) for table in tables)
        cases = len(np.unique(one.case))
        values = [statistic(table) if cases else float("nan") for table in (one, other)]
        if cases and np.isnan(values).any():
            continue
        low, high = None, None
        if cases > 1:
            draws = _draws(one.case, seed, bootstraps)
            low, high = _ends([statistic(other.rows(*draw)) - statistic(one.rows(*draw)) for draw in draws])
        a, b, apart = (_known(value) for value in (*values, values[1] - values[0]))
        made.append(Difference(name, policy, a, b, apart, low, high, len(index), cases))
    return tuple(made)


def _renumbered(table: Table, index: NDArray[np.int64]) -> Table:
    """Rows `index` with their cases numbered without gaps."""
    return table.rows(index, np.unique(table.case[index], return_inverse=True)[1].astype(np.int64))


def _interval(
    statistic: Callable[[Table], float], table: Table, seed: int, bootstraps: int
) -> tuple[float | None, float | None]:
    """2.5th and 97.5th percentile of `statistic` over cases drawn with replacement (Efron, 1979): slices of one head
    are alike, so drawing slices would make the interval too narrow. A case drawn twice counts as two."""
    return _ends([statistic(table.rows(*draw)) for draw in _draws(table.case, seed, bootstraps)])


def _draws(
    case: NDArray[np.int64], seed: int, bootstraps: int
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of the cases that were drawn, and the numbers of these cases in the draw."""
    rng = np.random.default_rng(seed)
    members = [np.flatnonzero(case == number) for number in range(int(case.max()) + 1)]
    for _ in range(bootstraps):
        drawn = [members[number] for number in rng.integers(0, len(members), len(members))]
        yield np.concatenate(drawn), np.repeat(np.arange(len(drawn)), [len(rows) for rows in drawn])


def _ends(values: Sequence[float]) -> tuple[float | None, float | None]:
    if np.isnan(values).all():
        return None, None
    low, high = np.nanpercentile(values, [2.5, 97.5])
    return float(low), float(high)


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
