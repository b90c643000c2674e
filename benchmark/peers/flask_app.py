"""A plain Flask app that does what the published one does: a three-panel figure and a heatmap by matplotlib.

python -m benchmark.peers.flask_app RELEASE PORT
"""

from __future__ import annotations

import base64
import io
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from flask import Flask, jsonify, request
from matplotlib import pyplot as plt

from benchmark.peers.eager import EagerPredictor

mpl.use("Agg")


def _figure_png() -> str:
    buffer = io.BytesIO()
    plt.savefig(buffer, format="png", bbox_inches="tight")
    plt.close()
    return base64.b64encode(buffer.getvalue()).decode()


def panels(image: Any, mask: Any) -> str:
    """Scan, mask and overlay side by side."""
    overlay = image.copy()
    overlay[mask] = (255, 0, 0)
    figure, axes = plt.subplots(1, 3, figsize=(15, 5))
    for axis, picture, title in zip(axes, (image, mask, overlay), ("MRI", "Mask", "Overlay"), strict=True):
        axis.imshow(picture, cmap="gray")
        axis.set_title(title)
        axis.axis("off")
    figure.tight_layout()
    return _figure_png()


def heatmap(probability: Any) -> str:
    """The probability with a colour bar."""
    plt.figure(figsize=(6, 5))
    plt.imshow(probability, cmap="jet", vmin=0, vmax=1)
    plt.colorbar()
    plt.axis("off")
    return _figure_png()


def create_app(release: Path) -> Flask:
    """The app around the release in ``release``."""
    app = Flask(__name__)
    predictor = EagerPredictor(release)

    @app.post("/predict")
    def predict() -> Any:
        image, probability, mask = predictor(request.files["file"].read())
        pixels = int(np.count_nonzero(mask))
        return jsonify(
            tumor_pixels=pixels,
            coverage=100.0 * pixels / mask.size,
            panel=panels(image, mask),
            heatmap=heatmap(probability),
        )

    return app


if __name__ == "__main__":
    create_app(Path(sys.argv[1])).run("127.0.0.1", int(sys.argv[2]), threaded=True)
