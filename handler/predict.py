"""Scan -> tumour probabilities on the network's grid, a few slices at a time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from handler.card import Calibration, ModelCard
from handler.crop import Box, head_box
from handler.engines import Engine
from handler.errors import RequestError
from handler.preprocess import network_grid, normalise
from handler.scan import Scan

logger = logging.getLogger(__name__)
PROGRESS_EVERY = 20  # slices between two lines in the log


@dataclass(frozen=True)
class Prediction:
    """``probabilities``: float32 (slices, h, w), 0..1, on the network's grid; times in seconds."""

    probabilities: NDArray[np.float32]
    preprocess_seconds: float
    inference_seconds: float


def calibrated(logits: NDArray[np.float32], calibration: Calibration) -> NDArray[np.float32]:
    """Logits of any shape -> probabilities."""
    return expit(np.float32(calibration.scale) * logits + np.float32(calibration.offset)).astype(np.float32)


def _grouped(boxes: list[Box | None]) -> dict[tuple[int, int], list[int]]:
    """Indices of the boxes by shape: those of one shape go to the engine together. Blank slices are left out."""
    groups: dict[tuple[int, int], list[int]] = {}
    for index, box in enumerate(boxes):
        if box is not None:
            groups.setdefault(box.shape, []).append(index)
    return groups


def predict_slices(engine: Engine, card: ModelCard, images: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    """Probabilities (n, h, w) of ``images`` (n, h, w, 3), 0..1, on the network's grid, and the seconds the engine took.
    Outside the head's box the probability is 0. Raises ``ArithmeticError`` when the engine answers with NaN."""
    result = np.zeros(images.shape[:3], np.float32)
    boxes = [head_box(image, card.crop) for image in images]
    running = 0.0
    for indices in _grouped(boxes).values():
        windows = [images[i][box.slices] for i in indices if (box := boxes[i]) is not None]
        tensor = normalise(np.stack(windows), card.input.mean, card.input.std)
        begin = time.perf_counter()
        found = calibrated(engine.logits(tensor), card.calibration)
        running += time.perf_counter() - begin
        if np.isnan(found).any():
            raise ArithmeticError(f"engine {engine.name} answered with NaN")
        for i, probability in zip(indices, found, strict=True):
            if (box := boxes[i]) is not None:
                result[i][box.slices] = probability
    return result, running


def predict(
    engine: Engine,
    card: ModelCard,
    scan: Scan,
    intensity_range: tuple[float, float] | None = None,
    deadline: float = float("inf"),
) -> Prediction:
    """Runs ``engine`` over all slices; memory beyond the result is that of ``engine.batch`` slices.

    Raises ``timeout`` when ``deadline``, a :func:`time.monotonic` value, passes before the last slice is done, so that
    a long stack ends in an answer and not in a killed worker."""
    result = np.empty((scan.slices, card.input.height, card.input.width), np.float32)
    begin = time.perf_counter()
    running = 0.0
    for start in range(0, scan.slices, engine.batch):
        if time.monotonic() > deadline:
            raise RequestError("timeout", f"{start} of {scan.slices} slices were done in time. Send fewer slices.")
        images = network_grid(scan, card.input, start, start + engine.batch, intensity_range)
        result[start : start + engine.batch], spent = predict_slices(engine, card, images)
        running += spent
        if start and start % PROGRESS_EVERY == 0:
            logger.info("stack: %d of %d slices", start, scan.slices)
    return Prediction(result, time.perf_counter() - begin - running, running)
