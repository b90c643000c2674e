"""Scan -> tumour probabilities on the network's grid, a few slices at a time."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from handler.card import Calibration, ModelCard
from handler.engines import Engine
from handler.errors import RequestError
from handler.preprocess import preprocess
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
    """Logits of any shape -> probabilities. Raises ``FloatingPointError`` for NaN, which no threshold would ever find:
    a broken network must not say that there is no tumour."""
    if np.isnan(logits).any():
        raise FloatingPointError("the network's output is not a number: its weights or its engine are broken")
    return expit(np.float32(calibration.scale) * logits + np.float32(calibration.offset)).astype(np.float32)


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
    preparing = running = 0.0
    for start in range(0, scan.slices, engine.batch):
        begin = time.perf_counter()
        if time.monotonic() > deadline:
            raise RequestError("timeout", f"{start} of {scan.slices} slices were done in time. Send fewer slices.")
        images = preprocess(scan, card.input, start, start + engine.batch, intensity_range)
        between = time.perf_counter()
        result[start : start + engine.batch] = calibrated(engine.logits(images), card.calibration)
        preparing += between - begin
        running += time.perf_counter() - between
        if start and start % PROGRESS_EVERY == 0:
            logger.info("stack: %d of %d slices", start, scan.slices)
    return Prediction(result, preparing, running)
