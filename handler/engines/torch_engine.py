"""The reference engine: PyTorch, on CUDA where there is one, else on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.network import load


def has_gpu() -> bool:
    """Whether there is a CUDA device to run on."""
    return torch.cuda.is_available()


class TorchEngine:
    """float32 throughout, channels-last (1.2 times faster than NCHW on the CPU, by ``scripts/benchmark``)."""

    name = "torch"

    def __init__(self, card: ModelCard, folder: Path, threads: int) -> None:
        torch.set_num_threads(threads)
        self.threads = threads
        self.device = torch.device("cuda" if has_gpu() else "cpu")
        # On a CPU a batch is no faster than its slices one by one, takes more memory and its last bits depend on it.
        self.batch = 8 if self.device.type == "cuda" else 1
        self._network = load(card, folder).to(self.device).to(memory_format=torch.channels_last)

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            batch = torch.from_numpy(images).to(self.device, memory_format=torch.channels_last)
            return self._network(batch)[:, 0].float().cpu().numpy()
