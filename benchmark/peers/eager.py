"""The published way to a mask: Pillow, a resize, PyTorch eager in NCHW float32, a threshold. Both peers use it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from handler.card import read_card
from handler.network import load


class EagerPredictor:
    """The network of the release in ``folder``, as everybody would run it."""

    def __init__(self, folder: Path) -> None:
        self.card = read_card(folder)
        self.network = load(self.card, folder)

    def __call__(self, data: bytes) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.bool_]]:
        """Image (h, w, 3), probability (h, w) and mask (h, w) of an 8-bit picture, all in the network's size."""
        size = (self.card.input.width, self.card.input.height)
        image = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize(size), np.uint8)
        unit = (image / 255.0 - np.array(self.card.input.mean)) / np.array(self.card.input.std)
        tensor = torch.from_numpy(unit.transpose(2, 0, 1)[None].astype(np.float32))
        with torch.inference_mode():
            probability = torch.sigmoid(self.network(tensor))[0, 0].numpy()
        return image, probability, probability > 0.5
