"""The CPU engine: ncnn, whose Winograd convolutions take about half of PyTorch's time (docs/benchmark)."""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard

PARAM_FILE, WEIGHTS_FILE = "network.ncnn.param", "network.ncnn.bin"
INPUT, OUTPUT = "in0", "out0"
SIDE_STEP = 32  # a side that is no multiple of it would corrupt ncnn's heap


class NcnnEngine:
    """float32 throughout: nothing differs from PyTorch but the order of sums."""

    name = "ncnn"
    batch = 1

    def __init__(self, card: ModelCard, folder: Path, threads: int) -> None:
        records = card.engines.get(self.name, ())
        if {record.file for record in records} != {PARAM_FILE, WEIGHTS_FILE}:
            raise ValueError(f"the model card lists no {self.name} files; package the release again")
        for record in records:
            record.verify(folder)
        self.threads = threads
        self._network = ncnn.Net()
        options = self._network.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        if self._network.load_param(str(folder / PARAM_FILE)) or self._network.load_model(str(folder / WEIGHTS_FILE)):
            raise ValueError(f"ncnn cannot load {PARAM_FILE}; package the release again with this version of ncnn")

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :class:`handler.engines.Engine` has it; raises ``ValueError`` for a side not divisible by 32."""
        if images.shape[2] % SIDE_STEP or images.shape[3] % SIDE_STEP:
            raise ValueError(f"input {images.shape[2]} x {images.shape[3]}: each side must be divisible by {SIDE_STEP}")
        return np.stack([self._one(np.ascontiguousarray(image, np.float32)) for image in images])

    def _one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        extractor = self._network.create_extractor()
        extractor.input(INPUT, ncnn.Mat(image))  # shares the array's memory, which outlives the call
        code, output = extractor.extract(OUTPUT)
        if code:
            raise RuntimeError(f"ncnn ended with code {code}")
        return np.array(output, np.float32)[0]
