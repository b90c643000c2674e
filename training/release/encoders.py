"""Which encoder a network has, told by the names and shapes of its tensors."""

from __future__ import annotations

import difflib
from collections.abc import Mapping

import torch

from handler.card import Architecture
from handler.network import build, usual

FIRST = ("vgg16", "vgg16_bn", "resnet18", "resnet34", "resnet50", "efficientnet-b0", "timm-tf_efficientnet_lite2")


def differing(state: Mapping[str, torch.Tensor], architecture: Architecture) -> list[str]:
    """The tensors in which ``state`` is not a network of ``architecture``, each with what was found and expected.
    Raises ``ValueError`` for an encoder that segmentation_models_pytorch does not know."""
    try:
        expected = {key: tuple(tensor.shape) for key, tensor in build(architecture).state_dict().items()}
    except (KeyError, RuntimeError) as error:  # a name unknown to it, or to timm
        name = architecture.encoder
        raise ValueError(
            f"encoder {name!r} is not known to segmentation_models_pytorch{_alike(name)}. Leave --encoder away to have "
            "it found by the tensors."
        ) from error
    found = {key: tuple(tensor.shape) for key, tensor in state.items()}
    return [
        f"{key}: found {found.get(key)}, expected {expected.get(key)}"
        for key in sorted(expected.keys() | found.keys())
        if expected.get(key) != found.get(key)
    ]


def _alike(encoder: str) -> str:
    import segmentation_models_pytorch as smp

    alike = difflib.get_close_matches(encoder, smp.encoders.get_encoder_names())
    return f"; names like it are {', '.join(alike)}" if alike else ""


def find_encoder(state: Mapping[str, torch.Tensor], decoder: str = "unet", in_channels: int = 3) -> str | None:
    """The encoder of segmentation_models_pytorch that has, before ``decoder``, exactly the encoder's tensors of
    ``state``; None: none has. Those often used are tried first; all of them take ten seconds or so."""
    import segmentation_models_pytorch as smp

    wanted = _encoder_shapes(state)
    for encoder in [*FIRST, *(name for name in smp.encoders.get_encoder_names() if name not in FIRST)]:
        architecture = usual(decoder, encoder, in_channels)
        try:
            with torch.device("meta"):  # shapes without the numbers
                network = build(architecture)
        except (RuntimeError, NotImplementedError):  # a few compute with their weights while they are made
            network = build(architecture)
        except (ValueError, KeyError):  # no encoder for this decoder
            continue
        if _encoder_shapes(network.state_dict()) == wanted:
            return encoder
    return None


def _encoder_shapes(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Size]:
    return {key: tensor.shape for key, tensor in state.items() if key.startswith("encoder.")}
