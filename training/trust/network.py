"""The gate's network: a thumbnail -> the probabilities of its kind, and how far its features lie from known ones."""

from __future__ import annotations

import itertools
import tempfile
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from handler.trust.gate import CLASSES, INPUT, OUTPUTS
from handler.trust.thumbs import SIDE

WIDTHS = (16, 24, 48, 64, 64)
SQUEEZED = 32
FEATURES = 64
OPSET = 17


def _block(into: int, out: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(into, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)]


class GateNetwork(nn.Module):
    """Convolutions down to 4 x 4 and, so that it knows where things lie, a dense layer over those. 0.12 million
    weights, 0.17 ms a picture on one core. ``mean`` (features,) and ``whiten`` (features, features): of known slices'
    features, set by :meth:`measure`."""

    def __init__(self) -> None:
        super().__init__()
        layers = _block(3, WIDTHS[0], 1)
        for into, out in itertools.pairwise(WIDTHS):
            layers += _block(into, out, 2)
        layers += [nn.Conv2d(WIDTHS[-1], SQUEEZED, 1, bias=False), nn.BatchNorm2d(SQUEEZED), nn.ReLU(), nn.Flatten()]
        self.body = nn.Sequential(*layers)
        self.dense = nn.Sequential(nn.Dropout(0.15), nn.Linear(SQUEEZED * (SIDE // 16) ** 2, FEATURES))
        self.out = nn.Linear(FEATURES, len(CLASSES))
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("whiten", torch.eye(FEATURES))

    def features(self, planes: Tensor) -> Tensor:
        """float32 (n, 3, 64, 64), 0..1 -> (n, features)."""
        found: Tensor = self.dense(self.body(planes * 2 - 1))
        return found

    def logits(self, features: Tensor) -> Tensor:
        """(n, features) -> (n, classes)."""
        found: Tensor = self.out(torch.relu(features))
        return found

    def forward(self, thumbs: Tensor) -> tuple[Tensor, Tensor]:
        """uint8 (n, 64, 64, 3) -> probabilities (n, classes), distances (n,): mean squares in units of the variation of
        known slices."""
        features = self.features(thumbs.permute(0, 3, 1, 2).to(torch.float32) / 255)
        apart = (features - self.mean) @ self.whiten
        return self.logits(features).softmax(dim=1), (apart * apart).mean(dim=1)

    def measure(self, features: Tensor) -> None:
        """Sets what the distance is measured by, from the features (n, features) of known slices."""
        self.mean = features.mean(dim=0)
        centred = (features - self.mean).double()
        variances, axes = torch.linalg.eigh(centred.T @ centred / len(features))
        floor = 0.01 * float(variances.mean())  # directions in which known slices hardly differ would rule alone
        self.whiten = (axes / (variances + floor).sqrt()).float()


def onnx_of(network: nn.Module) -> bytes:
    """``network``, from thumbnails to classes and distance, as the handler reads it: of any number of pictures."""
    free = {0: "slices"}
    with tempfile.TemporaryDirectory(prefix="brainseg-gate-") as name, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = Path(name) / "gate.onnx"
        torch.onnx.export(
            network.eval(),
            (torch.zeros(2, SIDE, SIDE, 3, dtype=torch.uint8),),
            str(path),
            dynamo=False,  # the newer exporter wants onnxscript beside onnx
            input_names=[INPUT],
            output_names=list(OUTPUTS),
            dynamic_axes={INPUT: free, **dict.fromkeys(OUTPUTS, free)},
            opset_version=OPSET,
        )
        return path.read_bytes()
