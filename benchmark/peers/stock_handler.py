"""A stock TorchServe handler for the same job in PyTorch eager: mask and overlay as PNG in JSON."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

from PIL import Image

from benchmark.peers.eager import EagerPredictor


def _png(array: Any) -> str:
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


class StockHandler:
    """TorchServe calls initialize once and handle for each batch."""

    def initialize(self, context: Any) -> None:
        """Loads the release that lies in the archive."""
        self.predictor = EagerPredictor(Path(context.system_properties["model_dir"]))

    def handle(self, data: Any, _context: Any) -> list[str]:
        """One JSON text an item."""
        answers = []
        for item in data:
            image, _, mask = self.predictor(bytes(item.get("file") or item["body"]))
            overlay = image.copy()
            overlay[mask] = (255, 0, 0)
            mask_png = _png(mask.astype("uint8") * 255)
            answers.append(json.dumps({"tumor_pixels": int(mask.sum()), "mask": mask_png, "overlay": _png(overlay)}))
        return answers
