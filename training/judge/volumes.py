"""Judges a network of several classes on whole volumes: each region and label of each case, on the FLAIR's grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from handler.card import ModelCard
from handler.compose import Rule
from handler.engines import Engine
from handler.labels import Labelling
from handler.pipeline import segment
from handler.volumes.subject import Scanned
from training.data.volumes import CaseVolume
from training.judge.evaluation import origin_of
from training.judge.metrics import dice_of
from training.release.folder import library_versions

Mask = NDArray[np.bool_]
POLICY = (
    "Dice over all voxels of a case on the FLAIR's own grid; truth empty: 1 if nothing was found, else 0. HD95 in mm: "
    "the larger of the two directions' 95th percentiles of distances between surface voxels' middles, over cases where "
    "both have it. A patient's cases count as one, by their mean; means are over patients"
)


@dataclass(frozen=True)
class PartScore:
    """A region or a label of a case; counts are voxels. ``hd95_mm``: None where truth or mask is empty."""

    name: str
    truth: int
    found: int
    both: int
    hd95_mm: float | None

    @property
    def dice(self) -> float:
        return dice_of(self.both, self.found, self.truth)


@dataclass(frozen=True)
class CaseScore:
    """``patient``: the first of the names that are one patient. ``parts``: regions, then labels."""

    case: str
    patient: str
    parts: tuple[PartScore, ...]


@dataclass(frozen=True)
class PartFigure:
    """Over patients: mean Dice, mean HD95 of the ``hd95_patients`` that have one; cases missed (there, not found) and
    false (found, not there)."""

    name: str
    kind: str
    dice: float
    hd95_mm: float | None
    patients: int
    hd95_patients: int
    cases: int
    missed: int
    false: int


def labelling_of(card: ModelCard) -> Labelling:
    """The card's. Raises ValueError for a card of tumour alone."""
    if card.labelling is None:
        raise ValueError(f"{card.name} {card.version} has no labels; it is judged on pictures")
    return card.labelling


def found_in(engine: Engine, card: ModelCard, volume: CaseVolume) -> NDArray[np.uint8]:
    """The mask as a client gets it: uint8 (slices, rows, columns), 0 and the labels' values."""
    steps = Scanned(volume.channels).steps(engine, card, float("inf"))
    return np.stack([found.marked for found in segment(steps, Rule.of(card))]).astype(np.uint8)


def parts_of(labelling: Labelling) -> list[tuple[str, str, tuple[int, ...]]]:
    """What is judged: kind, name and labels of each region, then of each label."""
    regions = [("region", region.name, region.labels) for region in labelling.regions]
    return regions + [("label", label.name, (label.value,)) for label in labelling.labels]


def score_volume(
    found: NDArray[np.uint8], volume: CaseVolume, labelling: Labelling, patients: Sequence[Sequence[str]] = ()
) -> CaseScore:
    """``found`` on the volume's grid against its truth. Raises ValueError if their shapes differ."""
    if found.shape != volume.truth.shape:
        raise ValueError(f"{volume.case}: mask {found.shape}, truth {volume.truth.shape}; expected equal shapes")
    column, row, through = volume.grid.spacing_mm
    scores = []
    for _, name, labels in parts_of(labelling):
        mine, true = np.isin(found, labels), np.isin(volume.truth, labels)
        counts = int(true.sum()), int(mine.sum()), int((mine & true).sum())
        scores.append(PartScore(name, *counts, surface_distance_95_mm(mine, true, (through, row, column))))
    patient = next((names[0] for names in patients if volume.case in names), volume.case)
    return CaseScore(volume.case, patient, tuple(scores))


def surface_distance_95_mm(found: Mask, truth: Mask, spacing_mm: tuple[float, float, float]) -> float | None:
    """HD95 as :data:`POLICY` has it, of masks (slices, rows, columns). None if one is empty."""
    if not found.any() or not truth.any():
        return None
    (box,) = ndimage.find_objects((found | truth).astype(np.uint8))
    surfaces = [_surface(mask[box]) for mask in (found, truth)]
    both = zip(surfaces, reversed(surfaces), strict=True)
    far = [ndimage.distance_transform_edt(~one, sampling=spacing_mm)[other] for one, other in both]
    return float(max(np.percentile(distances, 95) for distances in far))


def _surface(mask: Mask) -> Mask:
    """Voxels of ``mask`` with one of their six neighbours, or the edge, outside it."""
    return np.asarray(mask & ~ndimage.binary_erosion(mask))


def figures_of(scores: Sequence[CaseScore], labelling: Labelling) -> tuple[PartFigure, ...]:
    """Each part over patients, by :data:`POLICY`."""
    found = []
    for index, (kind, name, _) in enumerate(parts_of(labelling)):
        mine = {score.case: score.parts[index] for score in scores}
        dice = _by_patient(scores, {case: part.dice for case, part in mine.items()})
        far = _by_patient(scores, {case: part.hd95_mm for case, part in mine.items()})
        found.append(
            PartFigure(
                name, kind, float(np.mean(dice)), float(np.mean(far)) if far else None, len(dice), len(far), len(mine),
                sum(part.truth > 0 and not part.found for part in mine.values()),
                sum(part.found > 0 and not part.truth for part in mine.values()),
            )
        )  # fmt: skip
    return tuple(found)


def _by_patient(scores: Sequence[CaseScore], values: dict[str, Any]) -> list[float]:
    """The mean of each patient's ``values``, by case, None left out; patients with none are left out."""
    owned: dict[str, list[float]] = {}
    for score in scores:
        if values[score.case] is not None:
            owned.setdefault(score.patient, []).append(values[score.case])
    return [float(np.mean(own)) for own in owned.values()]


def judge_volumes(
    engine: Engine,
    card: ModelCard,
    volumes: Sequence[Callable[[], CaseVolume]],
    patients: Sequence[Sequence[str]],
    advance: Callable[[], None] = lambda: None,
) -> tuple[CaseScore, ...]:
    """Reads, segments and scores one case after the other; ``advance`` is called after each."""
    labelling = labelling_of(card)
    scores = []
    for load in volumes:
        volume = load()
        scores.append(score_volume(found_in(engine, card, volume), volume, labelling, patients))
        advance()
    return tuple(scores)


def volumes_json(source: str, card: ModelCard, side: str, scores: Sequence[CaseScore]) -> dict[str, Any]:
    """The report as a JSON object: figures over patients, a row per case."""
    labelling = labelling_of(card)
    return {
        "source": source,
        "model": f"{card.name} {card.version} ({card.architecture.label})",
        "side": side,
        "origin": origin_of(card),
        "judged": datetime.now(UTC).replace(microsecond=0).isoformat(),
        "policy": POLICY,
        "threshold": card.threshold,
        "min_lesion_pixels": card.min_lesion_pixels,
        "figures": [asdict(figure) for figure in figures_of(scores, labelling)],
        "cases": [
            {
                "case": score.case,
                "patient": score.patient,
                "parts": [{**asdict(part), "dice": part.dice} for part in score.parts],
            }
            for score in scores
        ],
        "libraries": library_versions(),
    }


def read_scores(report: dict[str, Any]) -> tuple[CaseScore, ...]:
    """The cases of a report as :func:`volumes_json` wrote it. Raises KeyError or TypeError for another."""
    return tuple(
        CaseScore(
            row["case"],
            row["patient"],
            tuple(PartScore(**{k: v for k, v in part.items() if k != "dice"}) for part in row["parts"]),
        )
        for row in report["cases"]
    )
