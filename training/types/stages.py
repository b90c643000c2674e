"""A classifier cut in two: the first stages of its encoder, which may be left as they are, and all that follows."""

from __future__ import annotations

import torch

from handler.classifier import Classifier
from settings.mapping import SettingsError


def stages_of(network: Classifier) -> list[torch.nn.Module]:
    """The encoder in the order in which a picture goes through it: timm's stem and blocks, or the layers of a VGG.
    Raises SettingsError for another encoder, whose order is not known here."""
    encoder = network.encoder
    model = getattr(encoder, "model", None)  # timm's, inside segmentation_models_pytorch's
    if model is not None and hasattr(model, "conv_stem") and hasattr(model, "blocks"):
        return [torch.nn.Sequential(model.conv_stem, model.bn1), *model.blocks]
    if isinstance(getattr(encoder, "features", None), torch.nn.Sequential):
        return list(encoder.features)
    raise SettingsError(
        f"{type(encoder).__name__}: its stages are not known, so none can be frozen; set network.frozen to 0"
    )


def cut(network: Classifier, frozen: int) -> tuple[torch.nn.Module, torch.nn.Module]:
    """The first `frozen` stages, in eval mode and without gradients, and the rest with the head; both share their
    weights with `network`. One after the other they give its logits."""
    if not frozen:
        return torch.nn.Identity(), network
    stages = stages_of(network)
    if frozen > len(stages):
        raise SettingsError(f"network.frozen is {frozen}: this encoder has {len(stages)} stages")
    first = torch.nn.Sequential(*stages[:frozen]).eval().requires_grad_(False)
    return first, torch.nn.Sequential(*stages[frozen:], torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), network.head)
