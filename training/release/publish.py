"""From a checkpoint to a released folder: calibrate and choose on validation cases, judge, write card and reports."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handler.card import ModelCard
from handler.files import write_atomic
from training.data.cases import Pair, find_pairs
from training.data.seen import SPLIT_FILE
from training.data.slices import LabelledSlice, load_slices
from training.data.split import Split, read_split
from training.fit.refit import read_twin
from training.fit.start import weights_file
from training.judge.calibrate import Choice, choose, fit_calibration
from training.judge.cropping import CANDIDATES, choose_crop
from training.judge.evaluation import Report, evaluate, to_json
from training.judge.page import report_page
from training.judge.predictor import LocalPredictor, open_checkpoint
from training.release.card import metrics_entry, read_checkpoint
from training.release.folder import write_release

NOTES = {
    "validation": "these cases chose calibration, threshold and smallest lesion, so the figures flatter a little",
    "test": "these cases chose nothing",
}
_LICENCE = """The weights in this folder are licensed under the Creative Commons Attribution-NonCommercial-ShareAlike
4.0 International licence (CC BY-NC-SA 4.0, https://creativecommons.org/licenses/by-nc-sa/4.0/legalcode), which they
inherit from the data they were trained on. The code of this repository is under another licence.

Data: brain MR slices of lower-grade glioma with FLAIR-abnormality masks, from The Cancer Imaging Archive's TCGA-LGG
collection, published as "mateuszbuda/lgg-mri-segmentation" under CC BY-NC-SA 4.0. Changed: a network was trained on it.
Please cite
  M. Buda, A. Saha, M. A. Mazurowski. Association of genomic subtypes of lower-grade gliomas with shape features
  automatically extracted by a deep learning algorithm. Computers in Biology and Medicine, 2019.
  M. A. Mazurowski et al. Radiogenomics of lower-grade glioma: algorithmically-assessed tumor shape is associated with
  tumor genomic subtypes and patient outcomes in a multi-institutional study with The Cancer Genome Atlas data.
  Journal of Neuro-Oncology, 2017.

Research use only. Not a medical device.
"""

Progress = Callable[[str, int], Callable[[], None]]


@dataclass(frozen=True)
class Order:
    """What to release: a checkpoint as `version` into `folder`. `attribution` credits the start weights; without
    `judge_test` the test cases are left untouched, for releases that are not final. `twin` is the released folder that
    a refit takes its settings from; see `training.fit.refit`."""

    checkpoint: Path
    version: str
    folder: Path
    attribution: str = ""
    judge_test: bool = True
    twin: Path | None = None


def publish(order: Order, data: Path, progress: Progress) -> ModelCard:
    """Writes weights, card, LICENSE, report.json and report.html (plots only) into the order's folder; no page where a
    refit is not judged, for it has no figures of its own.

    `progress(title, total)` starts a bar and returns what counts one step on it. Returns the card. Raises as
    `read_checkpoint`, `read_split`, `find_pairs` and `read_twin` do, and ValueError when a side of the split has no
    slice there or a run with validation cases of its own is given a twin.
    """
    split = _split_beside(order.checkpoint)
    pairs = find_pairs(data).pairs
    if split.validation and order.twin:
        raise ValueError("this run has validation cases of its own to choose by; --twin is for runs with --refit")
    reports = []
    with ExitStack() as keep:
        # Read once: the run may still go on, and what is written must be what was judged.
        trained = read_checkpoint(order.checkpoint)
        predictor = open_checkpoint(order.checkpoint, keep, order.version, trained).remembering()
        if split.validation:
            tuned, content = _chosen(predictor, split, pairs, progress)
        else:
            twin = read_twin(order.twin, predictor.released_card, split)
            tuned = predictor.with_card(twin.lend(predictor.released_card))
            content = {name: twin.report[name] for name in ("validation", "choices")}
        judged = [*(["validation"] if split.validation else []), *(["test"] if order.judge_test else [])]
        for side in judged:
            slices = _load(split.select(pairs, side), progress)
            advance = progress(f"judging {side}", len(slices))
            reports.append(evaluate(tuned, slices, side, split.leaks, advance))
    _write_reports(order, reports, content)
    card = _finished(tuned.released_card, order, reports)
    return write_release(order.folder, trained.state, card)


def _split_beside(checkpoint: Path) -> Split:
    file = weights_file(str(checkpoint)).parent / SPLIT_FILE
    if not file.is_file():
        raise ValueError(f"{checkpoint} lies in no run's folder: {SPLIT_FILE}, which says who judges, is not beside it")
    return read_split(file)


def _chosen(
    predictor: LocalPredictor, split: Split, pairs: Sequence[Pair], progress: Progress
) -> tuple[LocalPredictor, dict[str, Any]]:
    """The predictor with all settings chosen on the validation cases, its card saying how, and the choices made."""
    validation = _load(split.select(pairs, "validation"), progress)
    tuned, choices = _tune(predictor, validation, progress)
    tuned, crop = choose_crop(
        tuned, validation, progress("cropping to the head", (1 + len(CANDIDATES)) * len(validation))
    )
    threshold = {"chosen_on": "validation", "score": choices[0].score, "at_0.5": _plain(choices)}
    card = tuned.released_card.with_changes(metrics={"threshold": threshold, "crop": crop})
    return tuned.with_card(card), {"choices": [asdict(choice) for choice in choices[:10]]}


def _load(pairs: Sequence[Pair], progress: Progress) -> list[LabelledSlice]:
    if not pairs:
        raise ValueError("a side of the split has no slice in the data folder; release from the data it was made of")
    return load_slices(pairs, progress("reading slices", len(pairs)))


def _tune(
    predictor: LocalPredictor, slices: list[LabelledSlice], progress: Progress
) -> tuple[LocalPredictor, tuple[Choice, ...]]:
    """The predictor with calibration, threshold and smallest lesion chosen on `slices`, and all choices, best first."""
    advance = progress("calibrating", len(slices))
    predictor = predictor.among(slices)
    card, logits = predictor.released_card, []
    for item in slices:
        logits.append(predictor.logits(item))
        advance()
    calibration = fit_calibration(logits, [item.mask_on(card.input) for item in slices])
    choices = choose(logits, slices, calibration)
    best = choices[0]
    changed = card.with_changes(
        calibration=calibration, threshold=best.threshold, min_lesion_pixels=best.min_lesion_pixels
    )
    return predictor.with_card(changed), choices


def _finished(card: ModelCard, order: Order, reports: Sequence[Report]) -> ModelCard:
    metrics = {report.side: metrics_entry(report.side, report.figures, NOTES[report.side]) for report in reports}
    licences = {**card.licences, **({"start weights": order.attribution} if order.attribution else {})}
    return card.with_changes(metrics={**card.metrics, **metrics}, licences=licences)


def _plain(choices: Sequence[Choice]) -> float:
    """The score of threshold 0.5 with every component kept: what choosing gained is the difference."""
    return next(c.score for c in choices if c.threshold == 0.5 and c.min_lesion_pixels == 0)


def _write_reports(order: Order, reports: Sequence[Report], more: Mapping[str, Any]) -> None:
    credit = f"\nStart weights: {order.attribution}\n" if order.attribution else ""
    content = {**{report.side: to_json(report) for report in reports}, **more}
    write_atomic(order.folder / "LICENSE", (_LICENCE + credit).encode())
    write_atomic(order.folder / "report.json", (json.dumps(content, indent=1) + "\n").encode())
    if reports:
        html = report_page(reports[-1], order.checkpoint.parent / "logs" / "metrics.csv")
        write_atomic(order.folder / "report.html", html.encode(errors="backslashreplace"))
    else:
        (order.folder / "report.html").unlink(missing_ok=True)  # of an earlier release into the same folder
