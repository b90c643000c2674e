"""A classifier cut in two: the first stages of its encoder, which may be left as they are, and all that follows."""

from __future__ import annotations

import torch
from torch import Tensor

from handler.classifier import Classifier
from settings.mapping import SettingsError


def stages_of(network: Classifier) -> list[torch.nn.Module]:
    """The encoder in the order in which a picture goes through it: timm's stem and blocks, or the layers of a VGG.
    Raises SettingsError for another encoder, whose order is not known here."""
    encoder = network.encoder
    model = getattr(encoder, "model", None)  # timm's, inside segmentation_models_pytorch's
    if isinstance(model, torch.nn.Module) and isinstance(getattr(model, "conv_stem", None), torch.nn.Module):
        parts = dict(model.named_children())
        blocks = parts.pop("blocks")
        return [torch.nn.Sequential(*parts.values()), *blocks.children()]
    layers = getattr(encoder, "features", None)
    if isinstance(layers, torch.nn.Sequential):
        return list(layers)
    raise SettingsError(
        f"{type(encoder).__name__}: its stages are not known, so none can be frozen; set network.frozen to 0"
    )


class Rest(torch.nn.Module):
    """What follows the frozen stages: their maps (n, channels, h, w) -> logits (n, classes)."""

    def __init__(self, stages: list[torch.nn.Module], network: Classifier) -> None:
        super().__init__()
        self.stages = torch.nn.Sequential(*stages)
        self.head = network.head
        self._judge = network.judge

    def forward(self, maps: Tensor) -> Tensor:
        return self._judge(self.stages(maps))


class Whole(torch.nn.Module):
    """The whole network where nothing is frozen: pictures -> logits (n, classes)."""

    def __init__(self, network: Classifier) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        return self.network.judge(self.network.features(pictures))


def cut(network: Classifier, frozen: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The first `frozen` stages, in eval mode and without gradients, and the rest with the head; both share their
    weights with `network`. One after the other they give its logits, (n, classes).

    Raises SettingsError for more stages than the encoder has."""
    if not frozen:
        return torch.nn.Identity(), Whole(network)
    stages = stages_of(network)
    if frozen > len(stages):
        raise SettingsError(f"network.frozen is {frozen}: this encoder has {len(stages)} stages")
    first = torch.nn.Sequential(*stages[:frozen]).eval().requires_grad_(False)
    return first, Rest(stages[frozen:], network)
