"""The reference engine: PyTorch, on CUDA where there is one, there in half precision if that was proven; else on the
CPU in float32."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from handler.card import ModelCard
from handler.engines.files import squeezed
from handler.network import layout_of, load

HALF = "torch, half precision"  # its parity record in the model card


def has_gpu() -> bool:
    """Whether there is a CUDA device to run on."""
    return torch.cuda.is_available()


class TorchEngine:
    """Channels-last throughout. Calls made at the same time wait for each other. ``half``: weights and activations in
    float16; None takes it on CUDA, whose tensor cores want it, where packaging found it within a tolerance of its own,
    and never on a CPU, which emulates it."""

    name = "torch"
    at_once = 1  # PyTorch divides one call among its threads

    def __init__(self, card: ModelCard, folder: Path, threads: int, half: bool | None = None) -> None:
        torch.set_num_threads(threads)
        self.threads = threads
        self.device = torch.device("cuda" if has_gpu() else "cpu")
        # On a CPU a batch is no faster than its slices one by one, takes more memory and its last bits depend on it.
        self.batch = 8 if self.device.type == "cuda" else 1
        if half is None:
            half = self.device.type == "cuda" and card.parity.get(HALF, {}).get("within") is True
        self.dtype = torch.float16 if half else torch.float32
        network = load(card, folder).to(self.device, self.dtype)
        self._layout = layout_of(card.input)
        self._network = network.to(memory_format=self._layout)
        self._lock = threading.Lock()

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        with self._lock, torch.inference_mode():
            batch = torch.from_numpy(images).to(self.device, self.dtype, memory_format=self._layout)
            return squeezed(self._network(batch).float().cpu().numpy())
