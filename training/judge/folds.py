"""Cross-validation judged: each case by the one network that has not seen it, all parts together."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from handler.card import Calibration
from handler.compose import calibrated
from handler.measure import mask_of, restore, to_steps
from settings.mapping import from_mapping
from training.data.cases import DataError, Listing
from training.data.seen import SPLIT_FILE, cases_seen_by
from training.data.slices import LabelledSlice, load_slices
from training.data.split import LeakError, Split, read_split
from training.fit.recipe import Recipe
from training.fit.run import LAST, RECIPE_FILE
from training.judge.calibrate import Choice, choose, fit_calibration
from training.judge.predictor import SourceError, open_checkpoint
from training.judge.scores import SliceScore, score_slice
from training.release.card import read_checkpoint

Begin = Callable[[str, int], Callable[[], None]]  # a title and a total -> what counts one
PUBLISHED_THRESHOLD = 0.5


@dataclass(frozen=True)
class Run:
    """One of the networks: its folder, its split, of which the test side judges it, and its recipe."""

    folder: Path
    split: Split
    recipe: Recipe


@dataclass(frozen=True)
class Part:
    """What a network said of the slices that were held out from it: logits, float32 (h, w) on its own grid."""

    run: str
    slices: tuple[LabelledSlice, ...]
    logits: tuple[NDArray[np.float32], ...]


@dataclass(frozen=True)
class Settings:
    """How a part's logits become a mask; chosen on the other parts."""

    calibration: Calibration
    choice: Choice


def read_runs(folders: Sequence[Path], listing: Listing, partial: bool = False) -> list[Run]:
    """The runs in the order given. Raises SourceError where a folder holds none or they are not of one recipe,
    LeakError where a split is by slice, DataError where their test sides are not all cases of the data, each once; with
    `partial` not all."""
    runs = []
    for folder in folders:
        if not (folder / LAST).is_file() or not (folder / RECIPE_FILE).is_file():
            raise SourceError(f"{folder}: expected the folder of a finished scripts/train --fold K/N --every-case")
        written = json.loads((folder / RECIPE_FILE).read_text("utf-8"))
        recipe = from_mapping(Recipe, written, RECIPE_FILE)  # a setting younger than the file counts as left out
        runs.append(Run(folder, read_split(folder / SPLIT_FILE), recipe))
        if runs[-1].split.leaks:
            raise LeakError(f"{folder}: its split is by slice; scores would measure memory")
    if other := [run for run in runs if run.recipe != runs[0].recipe]:
        raise SourceError(f"{other[0].folder} has another recipe than {runs[0].folder}; expected the parts of one")
    held = [case for run in runs for case in run.split.test]
    if twice := sorted({case for case in held if held.count(case) > 1}):
        raise DataError(f"{twice[0]} is held out in two runs; give each part once, all dealt from one seed")
    if missing := sorted(set(held) - set(listing.cases) if partial else set(listing.cases) ^ set(held)):
        raise DataError(
            f"{len(missing)} cases, {missing[0]} for one, are in the data or held out, and not both; give all parts, "
            "and the data that they were dealt from, or say --partial"
        )
    return runs


def judge_part(run: Run, listing: Listing, begin: Begin, threads: int | None = None) -> Part:
    """Runs the network over its own test side, with so many threads, or one for each core. Raises LeakError if it, or
    what it started from, has seen any of it, and SourceError where its training has not come to its end."""
    trained = read_checkpoint(run.folder / LAST)
    if trained.epochs < run.recipe.epochs:  # a part without validation cases never stops early
        raise SourceError(
            f"{run.folder} has trained {trained.epochs} of {run.recipe.epochs} epochs; go on with scripts/train first"
        )
    with ExitStack() as keep:
        predictor = open_checkpoint(run.folder / LAST, keep, "0", trained, threads)
        seen = cases_seen_by(predictor.released_card) or frozenset()
        if leaked := sorted(seen & set(run.split.test)):
            raise LeakError(f"{run.folder} was trained on {len(leaked)} cases that it is to be judged by, {leaked[0]}")
        pairs = run.split.select(listing.pairs, "test")
        slices = load_slices(pairs, begin(f"reading {run.folder.name}", len(pairs)))
        advance = begin(f"segmenting {run.folder.name}", len(pairs))
        logits = []
        for item in slices:
            logits.append(predictor.logits(item))
            advance()
    return Part(run.folder.name, tuple(slices), tuple(logits))


def settings_of(parts: Sequence[Part], which: int) -> Settings:
    """For part `which` what scripts/release would choose, on what the other networks said of the other parts."""
    slices = [item for index, part in enumerate(parts) if index != which for item in part.slices]
    logits = [one for index, part in enumerate(parts) if index != which for one in part.logits]
    masks = [_mask_like(item, one) for item, one in zip(slices, logits, strict=True)]
    calibration = fit_calibration(logits, masks)
    return Settings(calibration, choose(logits, slices, calibration)[0])


def _mask_like(item: LabelledSlice, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
    if item.mask.shape == logits.shape:
        return item.mask
    return restore(item.mask.astype(np.float32), *logits.shape) >= 0.5


def as_served(part: Part, settings: Settings) -> list[SliceScore]:
    """Slice by slice, as an answer is made."""
    scores = []
    for item, logits in zip(part.slices, part.logits, strict=True):
        steps = _steps(item, logits, settings.calibration)
        mask = mask_of(steps, settings.choice.threshold, settings.choice.min_lesion_pixels)
        scores.append(score_slice(item.pair.case, item.pair.number, steps, mask, item.mask))
    return scores


def as_published(part: Part) -> list[SliceScore]:
    """Uncalibrated probabilities above 0.5, and of each case's volume the largest component alone, as the published 22
    folds were scored (M. Buda et al., Computers in Biology and Medicine, 2019)."""
    scores = []
    for case in dict.fromkeys(item.pair.case for item in part.slices):
        own = [(item, one) for item, one in zip(part.slices, part.logits, strict=True) if item.pair.case == case]
        own.sort(key=lambda pair: pair[0].pair.number)
        steps = [_steps(item, one, Calibration()) for item, one in own]
        masks = [mask_of(one, PUBLISHED_THRESHOLD, 0) for one in steps]
        for (item, _), one, mask in zip(own, steps, largest_component(np.stack(masks)), strict=True):
            scores.append(score_slice(case, item.pair.number, one, mask, item.mask))
    return scores


def largest_component(volume: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest component of `volume` (slices, h, w), neighbours by a corner counted; the first of equals, none of
    none."""
    labels, count = ndimage.label(volume, structure=np.ones((3, 3, 3)))
    if count < 2:
        return volume
    return np.asarray(labels == 1 + np.bincount(labels.ravel())[1:].argmax())


def _steps(item: LabelledSlice, logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.uint16]:
    return to_steps(restore(calibrated(logits, calibration), item.scan.height, item.scan.width))
