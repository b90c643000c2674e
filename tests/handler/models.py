"""Tiny networks whose weights are set by hand, behind the protocol of :mod:`handler.engines`."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from handler.card import FileRecord, InputSpec, ModelCard
from handler.engines.files import squeezed
from handler.limits import DEFAULT_LIMITS, Limits
from handler.pipeline import Model

FLAIR_CHANNEL = 1
DIGEST = "sha256:" + 64 * "0"


def channel_rule(channel: int, gain: float, cut: float, spec: InputSpec | None = None) -> torch.nn.Conv2d:
    """A 1 x 1 convolution that undoes the normalisation: logit = gain * (channel - cut), channel in 0..1."""
    spec = spec or InputSpec()
    rule = torch.nn.Conv2d(3, 1, 1)
    with torch.no_grad():
        rule.weight.zero_()
        rule.weight[0, channel] = gain * spec.std[channel]
        rule.bias.fill_(gain * (spec.mean[channel] - cut))
    return rule.eval()


FLAIR_RULE = channel_rule(FLAIR_CHANNEL, 20.0, 0.6)


class SmallEngine:
    """Runs any torch module that maps (n, 3, h, w) to (n, classes, h, w)."""

    name = "small"
    threads = at_once = 1

    def __init__(self, network: torch.nn.Module, batch: int = 1) -> None:
        self.network = network
        self.batch = batch

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.inference_mode():
            return squeezed(self.network(torch.from_numpy(images)).numpy())


class ForbiddenEngine:
    """Fails the test when it is called: what is refused must be refused before."""

    name = "forbidden"
    threads = at_once = 1
    batch = 1

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        raise AssertionError(f"the network ran on {images.shape}")


class ConstantEngine:
    """The same logit everywhere."""

    name = "constant"
    threads = at_once = 1
    batch = 3

    def __init__(self, value: float, height: int = 256, width: int = 256) -> None:
        self.value = value
        self.shape = (height, width)

    def logits(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.full((len(images), *self.shape), self.value, np.float32)


def card(**changes: object) -> ModelCard:
    plain = ModelCard("brainseg", "1.0", FileRecord("weights.safetensors", DIGEST, 1))
    return plain.with_changes(**changes)


def model(network: torch.nn.Module, limits: Limits = DEFAULT_LIMITS, batch: int = 1, **changes: object) -> Model:
    return Model(card(**changes), SmallEngine(network, batch), limits)


def forbidden(limits: Limits = DEFAULT_LIMITS, **changes: object) -> Model:
    return Model(card(**changes), ForbiddenEngine(), limits)


def dice(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return 2.0 * np.count_nonzero(first & second) / (np.count_nonzero(first) + np.count_nonzero(second))
