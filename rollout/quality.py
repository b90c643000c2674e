"""Quality on labelled scans: Dice and calibration of two versions, as a client gets their answers, by the metric
policy of :mod:`training.judge.metrics`."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rollout.check import Check, above, joined
from rollout.errors import GateError, UsageError
from rollout.limits import QualityLimits
from rollout.server import TorchServe
from training.data.cases import DataError, find_pairs
from training.data.slices import LabelledSlice, load_slices
from training.judge.metrics import expected_calibration_error
from training.judge.scores import SliceScore, score_slice


@dataclass(frozen=True)
class Quality:
    """Mean Dice over tumour slices and expected calibration error, 0..1; the error is NaN without an unsure pixel."""

    dice: float
    calibration: float


def labelled(folder: Path, most: int) -> list[LabelledSlice]:
    """At most ``most`` slices of ``folder`` (kaggle_3m layout), evenly spread; read before anything is deployed, so
    that a broken folder costs nothing. Raises :class:`UsageError`."""
    try:
        pairs = find_pairs(folder).pairs
        chosen = [pairs[i] for i in sorted(set(np.linspace(0, len(pairs) - 1, min(most, len(pairs))).astype(int)))]
        slices = load_slices(chosen)
    except DataError as error:
        raise UsageError(f"--scans {folder}: {error}") from error
    if not any(item.tumour_pixels for item in slices):
        raise UsageError(f"--scans {folder}: none of {len(slices)} slices has tumour in its mask; Dice needs some")
    return slices


def _picture(encoded: str) -> NDArray[np.uint16]:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)))).astype(np.uint16)


def _score(server: TorchServe, version: str, item: LabelledSlice) -> SliceScore:
    reply = server.predict(item.pair.image.read_bytes(), version, "mask,probability")
    if not reply.ok:
        raise GateError(f"{item.pair.name}: version {version} answered {reply.status_code}: {reply.text[:200]}")
    images = reply.json()["slices"][0]["images"]
    if not images:  # the model refused to judge it: whoever sends it gets no mask
        nothing = np.zeros(item.mask.shape, np.uint16)
        return score_slice(item.pair.case, item.pair.number, nothing, nothing > 0, item.mask)
    steps, mask = _picture(images["probability"]), _picture(images["mask"]) > 0
    return score_slice(item.pair.case, item.pair.number, steps, mask, item.mask)


def summarise(scores: Sequence[SliceScore]) -> Quality:
    """The figures of one version."""
    dice = float(np.mean([score.dice for score in scores if score.has_tumour]))
    return Quality(dice, expected_calibration_error(np.sum([score.reliability for score in scores], axis=0)))


def check_quality(
    server: TorchServe,
    candidate: str,
    live: str,
    slices: Sequence[LabelledSlice],
    limits: QualityLimits,
    advance: Callable[[], None],
) -> Check:
    """Scores both versions on ``slices``, one after the other on each. Raises :class:`GateError` when one fails."""
    ours, theirs = [], []
    for item in slices:
        ours.append(_score(server, candidate, item))
        theirs.append(_score(server, live, item))
        advance()
    own, other = summarise(ours), summarise(theirs)
    breach = joined(
        "" if own.dice >= limits.dice_floor else f"Dice {own.dice:.4f} is below the floor {limits.dice_floor:g}",
        above("Dice loss against the live version", other.dice - own.dice, limits.dice_drop),
        above("calibration error", own.calibration, limits.calibration_ceiling),
        above("rise of the calibration error", own.calibration - other.calibration, limits.calibration_rise),
    )
    if np.isnan(own.calibration) or np.isnan(other.calibration):
        # No pixel between 0.05 and 0.95: nothing is unsure, so nothing can be miscalibrated. Only Dice is judged then.
        breach = joined(*(part for part in breach.split("; ") if "calibration" not in part))
    said = f"Dice {own.dice:.4f} (live {other.dice:.4f}), calibration {own.calibration:.4f} ({other.calibration:.4f})"
    figures = {"dice": own.dice, "live_dice": other.dice, "calibration_error": _known(own.calibration)}
    figures |= {"live_calibration_error": _known(other.calibration), "slices": float(len(slices))}
    return Check("quality", f"{said} on {len(slices)} slices", breach, figures)


def _known(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return None if np.isnan(value) else value
