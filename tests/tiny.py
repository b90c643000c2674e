"""A release small enough to run in milliseconds: a real network and a real card, random weights of a fixed seed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from archive import convert, mar
from handler.card import Architecture, Calibration, FileRecord, InputSpec, ModelCard
from handler.network import build
from handler.resources import Plan
from training.release.folder import write_release

TINY = Architecture(encoder="tu-tf_mobilenetv3_small_minimal_100", decoder_channels=(16, 8, 8, 8, 8))


def package_quietly(release: Path, output: Path) -> ModelCard:
    """``archive.mar.package`` on one thread: so small a network gains nothing by two, which on a busy machine wait for
    each other for minutes. By ncnn, whatever would be fastest: tests change what its module does."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (mar, convert):
            patch.setattr(module, "plan", lambda: Plan(1, 1))
        return mar.package(release, output, engine="ncnn")


TYPES = Architecture("classifier", TINY.encoder, (), classes=3)
LABELS = ("glioma", "meningioma", "pituitary")


def write_tiny_types(store: Path, version: str = "0.1", seed: int = 0) -> Path:
    """``store``/brainseg-types-<version>, its input 64 x 64."""
    torch.manual_seed(seed)
    card = ModelCard(
        name="brainseg-types",
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),
        architecture=TYPES,
        input=InputSpec(64, 64),
        labels=LABELS,
        calibration=Calibration(scale=0.5),
    )
    folder = store / f"brainseg-types-{version}"
    write_release(folder, build(TYPES).state_dict(), card)
    return folder


def write_tiny_release(store: Path, version: str = "1.0", seed: int = 0, threshold: float = 0.5) -> Path:
    """``store``/brainseg-<version>, its input 64 x 64."""
    torch.manual_seed(seed)
    card = ModelCard(
        name="brainseg",
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),
        architecture=TINY,
        input=InputSpec(64, 64),
        threshold=threshold,
    )
    folder = store / f"brainseg-{version}"
    write_release(folder, build(TINY).state_dict(), card)
    return folder
