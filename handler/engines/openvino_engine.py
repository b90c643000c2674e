"""OpenVINO on the CPU, an extra (``pip install brainseg[openvino]``): three times the size of ONNX Runtime."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.engines.files import INPUT, ONNX_FILE, check_sides, squeezed, verified

# Imported with openvino, it reports the use of some of its tools to Google Analytics. Nothing of ours calls these; kept
# from being imported, it cannot even begin to: openvino then takes a stand-in that does nothing.
TELEMETRY = "openvino_telemetry"
SETTINGS = {
    "NUM_STREAMS": 1,  # all threads work on one slice, and the weights are in memory once
    "INFERENCE_PRECISION_HINT": "f32",  # else bfloat16 where the CPU has it: other numbers from the same file
    "ENABLE_CPU_PINNING": False,  # it puts the workers of two versions on the same cores
    # OpenVINO keeps what it has built for each shape, and heads have many: 5 to 6 MiB each of release 2.1, without end
    # (github.com/openvinotoolkit/openvino/issues/23316, 2026.4.1 still). So many operations are those of some 25
    # shapes: 90 cases leave 346 MiB resident instead of 397 and take as long. A third of them takes a tenth longer.
    "CPU_RUNTIME_CACHE_CAPACITY": 1536,
}


class OpenVinoEngine:
    """float32. Calls made at the same time wait for each other."""

    name = "openvino"
    batch = 1
    at_once = 1

    def __init__(self, card: ModelCard, folder: Path, threads: int) -> None:
        (path,) = verified(card, self.name, folder, (ONNX_FILE,))
        sys.modules.setdefault(TELEMETRY, None)  # type: ignore[arg-type]
        import openvino

        self.threads = threads
        try:
            network = openvino.Core().compile_model(path, "CPU", {**SETTINGS, "INFERENCE_NUM_THREADS": threads})
        except RuntimeError as error:
            raise ValueError(f"openvino cannot load {ONNX_FILE}; package the release again ({error})") from error
        self._request = network.create_infer_request()
        self._lock = threading.Lock()

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        check_sides(images)
        return squeezed(np.concatenate([self._one(images[at : at + 1]) for at in range(len(images))]))

    def _one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock:
            found = self._request.infer({INPUT: np.ascontiguousarray(image, np.float32)}, share_inputs=True)
            return np.array(found[0], np.float32)
