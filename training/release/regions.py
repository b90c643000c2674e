"""From a checkpoint of several classes to a released folder: calibration and thresholds where there is validation, the
figures of networks that left somebody out, card and licence."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from handler.card import Calibration, ModelCard
from handler.files import write_atomic
from training.data.cases import DataError, Pair
from training.data.seen import SPLIT_FILE
from training.data.split import Split, read_split
from training.data.volumes import find_volumes, load_planes, load_volume
from training.judge.predictor import LocalPredictor, open_checkpoint
from training.judge.region_choice import choose_regions, fit_scale
from training.judge.volumes import CaseScore, figures_of, judge_volumes, read_scores, volumes_json
from training.judge.volumes_page import volumes_page
from training.release.card import Trained
from training.release.folder import write_release

Progress = Callable[[str, int], Callable[[], None]]
FEW = 30  # patients below which a release says that it is a demonstration
USE = "Research use only. Not a medical device."
SIDES = ("validation", "test")


@dataclass(frozen=True)
class RegionsOrder:
    """What to release: a checkpoint as `version` into `folder`. `judged`: reports (report.json of scripts/evaluate) of
    runs of the same recipe on patients that those were not trained on. `data_set` and `licence`: what it was trained on
    and the licence that the weights inherit; `attribution` credits the start weights. Without `judge_test` the test
    cases are left untouched."""

    checkpoint: Path
    version: str
    folder: Path
    data_set: str
    licence: str
    judged: tuple[Path, ...] = ()
    attribution: str = ""
    judge_test: bool = True


def publish_regions(order: RegionsOrder, trained: Trained, data: Path, progress: Progress) -> ModelCard:
    """Writes weights, card, LICENSE, report.json and report.html into the order's folder; returns the card.

    Raises DataError where a report is of another recipe, or of patients that its network had seen, and as
    `find_volumes` and `read_split` do."""
    if not order.data_set or not order.licence:
        raise DataError("a release with labels says what it was trained on: give --data-set and --licence")
    split = read_split(order.checkpoint.parent / SPLIT_FILE)
    patients = trained.recipe.patients
    left_out = _read_judged(order.judged, trained)
    pairs = find_volumes(data).pairs
    reports: dict[str, Any] = {}
    with ExitStack() as keep:
        predictor = open_checkpoint(order.checkpoint, keep, order.version, trained)
        card, told = _chosen(predictor, split, pairs, trained, progress)
        for side in SIDES[: 2 if order.judge_test else 1]:
            chosen = split.select(pairs, side)
            if not chosen:
                continue
            folders = {pair.case: pair.image.parent for pair in chosen}
            loads = [partial(load_volume, case, folder, trained.recipe.table) for case, folder in folders.items()]
            scores = judge_volumes(predictor.engine, card, loads, patients, progress(f"judging {side}", len(loads)))
            reports[side] = volumes_json(predictor.name, card, side, scores)
    if left_out and card.labelling:
        shown = volumes_json("runs that left a patient out", card, "left out", left_out)
        reports["left out"] = {**shown, "runs": len(order.judged)}
    card = _finished(card, order, split, patients, told, reports, left_out)
    _write(order, reports)
    return write_release(order.folder, trained.state, card)


def _chosen(
    predictor: LocalPredictor, split: Split, pairs: Sequence[Pair], trained: Trained, progress: Progress
) -> tuple[ModelCard, dict[str, Any]]:
    """The card with calibration and the regions' thresholds chosen on validation cases, and what was chosen; where
    there are none, as the network gives it."""
    card, labelling = predictor.released_card, trained.recipe.labelling
    chosen = split.select(pairs, "validation")
    if not chosen or labelling is None:
        said = "no validation cases: nothing was calibrated and no threshold chosen"
        return card, {"chosen_on": None, "note": said}
    planes = load_planes(chosen, trained.recipe.table, progress("reading slices", len(chosen)))
    logits = [predictor.engine.logits(plane.tensor(card.input)[None])[0] for plane in planes]
    masks = [plane.mask_on(card.input) for plane in planes]
    scale = fit_scale(logits, masks, labelling)
    regions = choose_regions(logits, masks, labelling, scale)
    told = {"chosen_on": "validation", "scale": scale, "thresholds": {one.name: one.threshold for one in regions}}
    return card.with_changes(calibration=Calibration(scale=scale), regions=regions), told


def _read_judged(files: Sequence[Path], trained: Trained) -> tuple[CaseScore, ...]:
    scores: list[CaseScore] = []
    for file in files:
        try:
            report = json.loads(file.read_text("utf-8"))
            # Side "all" has the cases that were trained on among the others.
            if report["origin"]["recipe"] != trained.recipe.name or report["side"] not in SIDES:
                raise DataError(
                    f"{file} is of recipe {report['origin']['recipe']}, side {report['side']}; expected "
                    f"{trained.recipe.name}, side {' or '.join(SIDES)}"
                )
            scores += read_scores(report)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{file} cannot be used: {error}; expected report.json of scripts/evaluate") from error
    if len({score.case for score in scores}) != len(scores):
        raise DataError("a case is judged by two of the reports; give one a run that left it out")
    return tuple(scores)


def _finished(
    card: ModelCard,
    order: RegionsOrder,
    split: Split,
    patients: Sequence[Sequence[str]],
    told: dict[str, Any],
    reports: dict[str, Any],
    left_out: Sequence[CaseScore],
) -> ModelCard:
    count = len({next((names[0] for names in patients if case in names), case) for case in split.train})
    metrics: dict[str, Any] = {"choices": told}
    for side, report in reports.items():
        metrics[side] = {"side": side, "policy": report["policy"], "figures": report["figures"]}
    if left_out and card.labelling:
        names = sorted({score.patient for score in left_out})
        metrics["left out"] |= {
            "note": f"{len(order.judged)} other networks of this recipe, each on a patient that it was not trained on; "
            "these weights have seen all of them",
            "patients": names,
            "dice_of_each": {
                name: {figure.name: figure.dice for figure in figures_of(own, card.labelling)}
                for name in names
                if (own := [score for score in left_out if score.patient == name])
            },
        }
    licences = {"weights": order.licence, "data": f"{order.licence} ({order.data_set})", "code": "Apache-2.0"}
    if order.attribution:
        licences["start weights"] = order.attribution
    return card.with_changes(
        data={**card.data, "set": order.data_set, "patients": count},
        metrics=metrics,
        licences=licences,
        intended_use=USE,
        limits=_limits(count, card),
    )


def _limits(patients: int, card: ModelCard) -> tuple[str, ...]:
    few = (
        f"Trained on {patients} patients: a demonstration of several classes, not a product. What it does to other "
        "patients, scanners and tumours nobody knows.",
    )
    sequences = " and ".join({"flair": "FLAIR", "t1": "T1", "t1c": "T1 with contrast"}[s] for s in card.input.sequences)
    return (few if patients < FEW else ()) + (
        f"Sees {sequences}; volumes whose sequences lie over each other, without the skull as BraTS has them. With the "
        "skull, and for pictures, it was never tried.",
        "High-grade glioma before treatment; other tumours, children and treated brains are out of its experience. It "
        "has no gate that would say so.",
    )


def _write(order: RegionsOrder, reports: dict[str, Any]) -> None:
    credit = f"Start weights: {order.attribution}\n\n" if order.attribution else ""
    text = (
        f"The weights in this folder are licensed under {order.licence}, which they inherit from the data\n"
        "they were trained on. The code of this repository is under another licence.\n\n"
        f"Data: {order.data_set}.\nChanged: a network was trained on it.\n\n{credit}{USE}\n"
    )
    write_atomic(order.folder / "LICENSE", text.encode())
    write_atomic(order.folder / "report.json", (json.dumps(reports, indent=1) + "\n").encode())
    if reports:
        last = list(reports.values())[-1]
        write_atomic(order.folder / "report.html", volumes_page(last).encode(errors="backslashreplace"))
