"""ONNX Runtime on the CPU. One session: a lone slice has all its threads, and several share them and the weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.engines.files import INPUT, ONNX_FILE, OUTPUT, check_sides, squeezed, verified

ERRORS_ONLY = 3


class OnnxRuntimeEngine:
    """float32. A call runs in the caller's thread, helped by the session's ``threads - 1`` while they are free: as many
    calls at once as threads cost no more of the CPU than one after the other (29.5 and 29.3 ms a slice of 2.0)."""

    name = "onnxruntime"
    batch = 1

    def __init__(self, card: ModelCard, folder: Path, threads: int) -> None:
        (path,) = verified(card, self.name, folder, (ONNX_FILE,))
        onnxruntime.disable_telemetry_events()  # Windows only has any
        self.threads = self.at_once = threads
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = ERRORS_ONLY
        # Threads that wait for others sleep: spinning took up to 1.7 times the CPU of the work itself, from whoever
        # else runs on these cores.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own classes, which are not exported
            raise ValueError(f"onnxruntime cannot load {ONNX_FILE}; package the release again ({error})") from error

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        check_sides(images)
        slices = [np.ascontiguousarray(images[at : at + 1], np.float32) for at in range(len(images))]
        return squeezed(np.concatenate([self._session.run([OUTPUT], {INPUT: one})[0] for one in slices]))
