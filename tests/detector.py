"""A release whose answers are known from the picture alone: it marks what is bright in FLAIR.

A real U-Net with a real card, its weights set by hand: every second pixel of the FLAIR channel goes through the first
skip connection to the head, all else is zero. So logit = GAIN * (FLAIR - level), on a grid of half the resolution."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from archive.store import archive_path, release_folder
from handler.card import Architecture, FileRecord, InputSpec, ModelCard
from handler.network import build
from tests.tiny import TINY, package_quietly
from training.release.folder import write_release
from web.health.drift import FORMAT, QUANTITIES

GAIN = 20.0
LEVELS = {"1.0": 0.6, "2.0": 0.68}  # brightness, 0..1, at which the probability is one half
FLAIR = 1
THRESHOLD, SMALLEST = 0.5, 6
DRIFT = {"format": FORMAT, "counts": {name: [10] * bins for name, bins in QUANTITIES.items()}}  # to be held against


def passing_on(architecture: Architecture) -> dict[str, torch.Tensor]:
    """Weights of :data:`TINY`, with however many classes: its head's first channel is every second pixel of FLAIR; the
    head itself is zero."""
    network = build(architecture)
    state = {name: torch.zeros_like(tensor) for name, tensor in network.state_dict().items()}
    for name in state:
        if name.endswith("running_var"):
            state[name].fill_(1.0)
    stem = "encoder.model"
    state[f"{stem}.conv_stem.weight"][0, FLAIR, 0, 0] = 1.0
    state[f"{stem}.bn1.weight"][0] = 1.0
    state[f"{stem}.bn1.running_var"] -= network.encoder.model.bn1.eps  # 0.001: a hundredth of a logit
    # The skip's channels come after these.
    deepest = network.decoder.blocks[3].conv1[0].weight.shape[1] - network.encoder.out_channels[1]
    for block, channel in ((3, deepest), (4, 0)):
        for conv, source in (("conv1", channel), ("conv2", 0)):
            state[f"decoder.blocks.{block}.{conv}.0.weight"][0, source, 1, 1] = 1.0
            state[f"decoder.blocks.{block}.{conv}.1.weight"][0] = 1.0
    return state


def _weights(level: float) -> dict[str, torch.Tensor]:
    state = passing_on(TINY)
    state["segmentation_head.0.weight"][0, 0, 1, 1] = GAIN
    state["segmentation_head.0.bias"][0] = -GAIN * level
    return state


def write_detector(store: Path, version: str) -> None:
    """``store``/brainseg-<version>, its input 256 x 256."""
    card = ModelCard(
        name="brainseg",
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),
        architecture=TINY,
        input=InputSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
        threshold=THRESHOLD,
        min_lesion_pixels=SMALLEST,
        trust={"drift": DRIFT},
    )
    write_release(store / f"brainseg-{version}", _weights(LEVELS[version]), card)


def expected_probability(image: NDArray[np.uint8], version: str = "1.0") -> NDArray[np.float64]:
    """For ``image`` (256, 256, 3): what the network says, (256, 256) in 0..1."""
    flair = image[::2, ::2, FLAIR].repeat(2, 0).repeat(2, 1) / 255.0
    return np.asarray(1 / (1 + np.exp(-GAIN * (flair - LEVELS[version]))))


def write_detector_store(store: Path) -> None:
    """A model store with versions 1.0 (the default) and 2.0, packaged."""
    for version in LEVELS:
        write_detector(store, version)
        package_quietly(release_folder(version, store), archive_path(version, store))
    (store / "default-version").write_text("1.0\n")
