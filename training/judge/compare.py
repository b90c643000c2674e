"""Two trainings on the same cases: what their reports say of each slice, side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from training.judge.figures import Difference, case_dice, differences, tabulate
from training.judge.metrics import RELIABILITY_BINS
from training.judge.scores import CURVE_BINS, SliceScore

REPORT_FILE = "report.json"
LOG = Path("logs", "metrics.csv")
SIDES = ("test", "validation", "all", "train")  # the one that is taken where both reports have several


class CompareError(ValueError):
    """There is nothing to compare; the message says what is missing."""


@dataclass(frozen=True)
class Judged:
    """One side of a report. ``scores``: by case and number; what no report holds, the sums for calibration, is NaN.
    ``log``: of the run, None where it is not at hand."""

    name: str
    side: str
    origin: Mapping[str, Any]
    scores: Mapping[tuple[str, int], SliceScore]
    log: Path | None = None


@dataclass(frozen=True)
class Comparison:
    """``cases``: a row for each case that both judged, case, slices and both Dice. ``only``: what one of them alone
    judged, cases and, of cases that both did, slices."""

    first: Judged
    second: Judged
    figures: tuple[Difference, ...]
    cases: tuple[tuple[str, int, float, float], ...]
    pairs: tuple[tuple[SliceScore, SliceScore], ...]
    only: tuple[tuple[str, ...], tuple[str, ...]]


def find_report(source: Path) -> Path:
    """The report that ``source`` stands for: itself, or that in the folder, in ``report`` in it, or in the one folder
    in it that has one. Raises CompareError."""
    usual = (source, source / REPORT_FILE, source / "report" / REPORT_FILE)
    if found := next((path for path in usual if path.is_file()), None):
        return found
    inside = sorted(source.glob(f"*/{REPORT_FILE}"))
    if len(inside) == 1:
        return inside[0]
    if inside:
        raise CompareError(f"{source} has {len(inside)} reports; name one: {', '.join(map(str, inside))}")
    raise CompareError(
        f"{source} has no {REPORT_FILE}; make one: ./scripts/evaluate {source / 'last.ckpt'} --out {source / 'report'}"
    )


def _sides(path: Path) -> dict[str, Mapping[str, Any]]:
    """The reports in a file by side: of scripts/evaluate there is one, of scripts/release several."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        parts = [content] if "slices" in content else [part for part in content.values() if isinstance(part, dict)]
        sides = {part["side"]: part for part in parts if "slices" in part}
    except (OSError, ValueError, AttributeError, KeyError, TypeError) as error:
        raise CompareError(f"{path} is no report of scripts/evaluate or scripts/release: {error!r}") from error
    if not sides:
        raise CompareError(f"{path} has no slice judged; expected a report of scripts/evaluate or scripts/release")
    return sides


def _score(row: Mapping[str, Any]) -> SliceScore:
    return SliceScore(
        case=row["case"],
        number=row["number"],
        truth=row["truth_pixels"],
        found=row["found_pixels"],
        both=row["both_pixels"],
        pixels=0,
        max_probability=row["max_probability"],
        hd95=row["hd95_pixels"],
        squared_error=float("nan"),
        reliability=np.full((RELIABILITY_BINS, 3), np.nan),
        histogram=np.zeros((2, CURVE_BINS), np.int64),
    )


def _log_near(report: Path) -> Path | None:
    """The log of the run that the report lies in, or beside."""
    return next((folder / LOG for folder in list(report.parents)[:2] if (folder / LOG).is_file()), None)


def read_both(sources: Sequence[Path], side: str | None) -> list[Judged]:
    """The same side of both reports: ``side``, else the first of :data:`SIDES` that both have. Raises CompareError."""
    files = [find_report(source) for source in sources]
    reports = [_sides(file) for file in files]
    shared = [name for name in SIDES if all(name in report for report in reports)]
    chosen = side or next(iter(shared), None)
    if chosen not in shared:
        said = "; ".join(f"{file} has {', '.join(report)}" for file, report in zip(files, reports, strict=True))
        raise CompareError(f"no side {side + ' ' if side else ''}that both judged: {said}. Judge one of them again.")
    judged = []
    for file, report in zip(files, reports, strict=True):
        part = report[chosen]
        try:
            scores = {(row["case"], row["number"]): _score(row) for row in part["slices"]}
        except (KeyError, TypeError) as error:
            raise CompareError(f"{file}: a slice lacks {error}; judge it again with scripts/evaluate") from error
        origin = part.get("origin") or {}
        judged.append(Judged(part.get("model") or str(file), chosen, origin, scores, _log_near(file)))
    return judged


def compare(first: Judged, second: Judged) -> Comparison:
    """Raises CompareError where they share no slice, or judged one of them by another mask."""
    shared = sorted(first.scores.keys() & second.scores.keys())
    pairs = tuple((first.scores[key], second.scores[key]) for key in shared)
    if not pairs:
        raise CompareError(f"{first.name} and {second.name} were judged on no slice that both share")
    if other := [one.name for one, two in pairs if one.truth != two.truth]:
        raise CompareError(
            f"{len(other)} slices, {other[0]} for one, have another mask in the second report: the data differ. Judge "
            "both on the same folder."
        )
    one, two = [a for a, _ in pairs], [b for _, b in pairs]
    return Comparison(
        first, second, differences(one, two), _by_case(one, two), pairs, (_only(first, second), _only(second, first))
    )


def _by_case(one: Sequence[SliceScore], two: Sequence[SliceScore]) -> tuple[tuple[str, int, float, float], ...]:
    """Most changed first."""
    names = sorted({score.case for score in one})
    dice = [case_dice(table.case, table.counts) for table in (tabulate(one), tabulate(two))]
    counts = [sum(score.case == name for score in one) for name in names]
    rows = [(n, c, float(a), float(b)) for n, c, a, b in zip(names, counts, *dice, strict=True)]
    return tuple(sorted(rows, key=lambda row: -abs(row[3] - row[2])))


def _only(these: Judged, those: Judged) -> tuple[str, ...]:
    cases = {case for case, _ in those.scores}
    missing = sorted(these.scores.keys() - those.scores.keys())
    whole = sorted({case for case, _ in missing if case not in cases})
    return (*whole, *(f"{case}/{number}" for case, number in missing if case in cases))


def to_json(found: Comparison) -> dict[str, Any]:
    """The comparison as a JSON object: figures, a row a case, a row a slice; differences are the second less the
    first."""
    names = ("first", "second")
    return {
        **{
            name: {"model": part.name, "origin": dict(part.origin), "only_here": list(only)}
            for name, part, only in zip(names, (found.first, found.second), found.only, strict=True)
        },
        "side": found.first.side,
        "figures": [asdict(figure) for figure in found.figures],
        "cases": [
            {"case": case, "slices": slices, "first": a, "second": b, "difference": b - a}
            for case, slices, a, b in found.cases
        ],
        "slices": [
            {"case": a.case, "number": a.number, "truth_pixels": a.truth, **_dice(a, b)} for a, b in found.pairs
        ],
    }


def _dice(one: SliceScore, two: SliceScore) -> dict[str, float | int | None]:
    found = {"first_pixels": one.found, "second_pixels": two.found}
    if not one.has_tumour:
        return {**found, "first": None, "second": None, "difference": None}
    return {**found, "first": one.dice, "second": two.dice, "difference": two.dice - one.dice}
