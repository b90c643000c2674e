"""ncnn: Winograd convolutions, in the smallest of the libraries."""

from __future__ import annotations

from pathlib import Path

import ncnn
import numpy as np
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.engines.files import INPUT, OUTPUT, check_sides, squeezed, verified

PARAM_FILE, WEIGHTS_FILE = "network.ncnn.param", "network.ncnn.bin"
NO_MEMORY = -100


class NcnnEngine:
    """float32 throughout: nothing differs from PyTorch but the order of sums. Calls share the network, each with an
    extractor of its own."""

    name = "ncnn"
    batch = 1

    def __init__(self, card: ModelCard, folder: Path, threads: int) -> None:
        param, weights = verified(card, self.name, folder, (PARAM_FILE, WEIGHTS_FILE))
        self.threads = threads
        # Two: while the threads of one slice wait for each other (they sleep), those of the other work. More would only
        # be more teams of threads on the same cores.
        self.at_once = min(2, threads)
        self._network = ncnn.Net()
        options = self._network.opt
        options.num_threads = threads
        options.use_vulkan_compute = False
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_storage = False
        if self._network.load_param(str(param)) or self._network.load_model(str(weights)):
            raise ValueError(f"ncnn cannot load {PARAM_FILE}; package the release again with this version of ncnn")

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """As :class:`handler.engines.Engine` has it; raises ``ValueError`` for a side not divisible by 32, which would
        corrupt ncnn's heap."""
        check_sides(images)
        return squeezed(np.stack([self._one(np.ascontiguousarray(image, np.float32)) for image in images]))

    def _one(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        extractor = self._network.create_extractor()
        extractor.input(INPUT, ncnn.Mat(image))  # shares the array's memory, which outlives the call
        code, output = extractor.extract(OUTPUT)
        if code == NO_MEMORY:
            raise MemoryError(f"ncnn ended with code {code}")
        if code:
            raise RuntimeError(f"ncnn ended with code {code}")
        return np.array(output, np.float32)
