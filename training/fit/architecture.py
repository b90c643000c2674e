"""What a recipe says of its network, in the handler's terms; without Lightning, which only training needs."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from handler.card import Architecture, InputSpec
from handler.depth import view_of
from handler.network import build
from settings.mapping import SettingsError
from training.fit.recipe import Recipe

if TYPE_CHECKING:
    import torch


def input_spec(recipe: Recipe) -> InputSpec:
    """The handler's input specification of a recipe's model."""
    model = recipe.model
    return InputSpec(model.height, model.width, model.mean, model.std, model.sequences, model.depth)


def architecture_of(recipe: Recipe) -> Architecture:
    """The handler's description of a recipe's network."""
    model, labelling = recipe.model, recipe.labelling
    return Architecture(
        decoder=model.decoder,
        encoder=model.encoder,
        decoder_channels=model.decoder_channels,
        in_channels=len(model.sequences) * view_of(model.depth).planes,
        logits_at=model.logits_at,
        classes=labelling.channels if labelling else 1,
    )


def network_of(recipe: Recipe) -> torch.nn.Module:
    """A recipe's network with random weights. Raises SettingsError where no such network can be built."""
    model = recipe.model
    try:
        return build(architecture_of(recipe))
    except (KeyError, RuntimeError, ValueError) as error:  # a name unknown to it or to timm, a depth the encoder lacks
        import segmentation_models_pytorch as smp

        alike = difflib.get_close_matches(model.encoder, smp.encoders.get_encoder_names())
        reason = str(error.args[0]).split(", supported")[0]  # what follows is some sixty names
        raise SettingsError(
            f"recipe {recipe.name}: no {model.decoder} with encoder {model.encoder!r} and decoder_channels "
            f"{list(model.decoder_channels)}: {reason}. Expected an encoder of segmentation_models_pytorch "
            f"({', '.join(alike) or 'resnet34, vgg16, …'}), or tu- and the name of one of timm's"
        ) from error
