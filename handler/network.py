"""The network, built from what the model card says; weights only ever come from a safetensors file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from handler.card import OVER_VOLUMES, Architecture, InputSpec, ModelCard
from handler.classifier import Classifier
from handler.volumetric import VolumeUnet

LEFT_OUT = {1: 0, 2: 1, 4: 2}  # logits_at -> decoder blocks that are left out


@dataclass(frozen=True)
class Decoder:
    """``model``: the class of segmentation_models_pytorch. ``widths``: whether the card's ``decoder_channels`` are
    those of its blocks; else it is made as the library makes it, and the card's are empty."""

    model: str
    widths: bool = False


DECODERS = {
    "unet": Decoder("Unet", widths=True),
    "unetplusplus": Decoder("UnetPlusPlus", widths=True),
    "manet": Decoder("MAnet", widths=True),
    "linknet": Decoder("Linknet"),
    "fpn": Decoder("FPN"),
    "pspnet": Decoder("PSPNet"),
    "deeplabv3": Decoder("DeepLabV3"),
    "deeplabv3plus": Decoder("DeepLabV3Plus"),
    "pan": Decoder("PAN"),
    "upernet": Decoder("UPerNet"),
    "segformer": Decoder("Segformer"),
}


def usual(decoder: str, encoder: str, in_channels: int = 3) -> Architecture:
    """The architecture as segmentation_models_pytorch makes it where nothing else is said. ``decoder``: a key of
    :data:`DECODERS`."""
    widths = Architecture.decoder_channels if DECODERS[decoder].widths else ()
    return Architecture(decoder, encoder, widths, in_channels)


def build(architecture: Architecture) -> torch.nn.Module:
    """A network of random weights: float32 (n, in_channels, h, w) -> logits (n, classes, h, w), of a classifier
    (n, 1, 1, classes), of one over volumes (n, in_channels, slices, h, w) -> (n, classes, slices, h, w); h and w
    divisible by 32. Nothing is downloaded. Raises ``ValueError`` for a decoder that is not
    known here, or widths that it has not."""
    import segmentation_models_pytorch as smp  # costs two seconds: not for those who only read cards

    _check(architecture)
    if architecture.classifies:
        return Classifier(architecture)
    if architecture.decoder == OVER_VOLUMES:
        return VolumeUnet(architecture)
    channels, left_out = architecture.decoder_channels, LEFT_OUT[architecture.logits_at]
    decoder = DECODERS[architecture.decoder]
    chosen = {"encoder_depth": len(channels) + left_out, "decoder_channels": (*channels, *[1] * left_out)}
    network: Any = getattr(smp, decoder.model)(
        encoder_name=architecture.encoder,
        encoder_weights=None,
        in_channels=architecture.in_channels,
        classes=architecture.classes,
        **(chosen if decoder.widths else {}),
    )
    if left_out:
        network.decoder.blocks = network.decoder.blocks[:-left_out]
        network.segmentation_head = torch.nn.Sequential(
            torch.nn.Conv2d(channels[-1], architecture.classes, 3, padding=1),
            # smp's own head would align corners, which shifts a mask by up to half a pixel.
            torch.nn.Upsample(scale_factor=float(architecture.logits_at), mode="bilinear", align_corners=False),
        )
    built: torch.nn.Module = network
    return built


def _check(architecture: Architecture) -> None:
    name, channels = architecture.decoder, list(architecture.decoder_channels)
    if architecture.classifies or name == OVER_VOLUMES:
        return
    if name not in DECODERS:
        raise ValueError(f"decoder {name!r}: expected one of {', '.join((*DECODERS, OVER_VOLUMES))}")
    if bool(channels) != DECODERS[name].widths:
        wanted = "a number a block, such as [256, 128, 64, 32, 16]" if DECODERS[name].widths else "[]: it has its own"
        raise ValueError(f"decoder_channels {channels} of a {name}: expected {wanted}")
    if architecture.logits_at not in LEFT_OUT:
        raise ValueError(f"logits_at {architecture.logits_at}: expected one of {', '.join(map(str, LEFT_OUT))}")
    if architecture.logits_at != 1 and name != "unet":
        raise ValueError(f"logits_at {architecture.logits_at} of a {name}: expected 1; only a unet can end before")


def layout_of(spec: InputSpec) -> torch.memory_format:
    """How the tensors of a network that sees ``spec`` best lie in memory: over volumes channels last takes up to 2.6
    times as long (bfloat16, a step of recipe volume-3d)."""
    return torch.contiguous_format if spec.view.slab else torch.channels_last


def load(card: ModelCard, folder: Path) -> torch.nn.Module:
    """The card's network with the weights beside it (``folder``), float32, in eval mode.

    Raises ``ValueError`` when the file's digest or its tensors are not those of the card, ``FileNotFoundError`` when
    it is missing."""
    card.weights.verify(folder)
    network = build(card.architecture)
    try:
        state = {name: tensor.float() for name, tensor in load_file(folder / card.weights.file).items()}
    except SafetensorError as error:
        raise ValueError(f"{card.weights.file} is not a safetensors file: {error}") from error
    expected = network.state_dict()
    # BatchNorm's int64 step counter plays no part in inference and is not shipped.
    lacking = sorted(n for n in expected.keys() - state.keys() if not n.endswith("num_batches_tracked"))
    surplus = sorted(state.keys() - expected.keys())
    if lacking or surplus:
        raise ValueError(
            f"{card.weights.file} does not hold a {card.architecture.label}: "
            f"{len(lacking)} tensors missing {lacking[:3]}, {len(surplus)} unknown {surplus[:3]}"
        )
    reshaped = sorted(name for name, tensor in state.items() if tensor.shape != expected[name].shape)
    if reshaped:
        raise ValueError(
            f"{card.weights.file} does not hold this {card.architecture.label}: {len(reshaped)} tensors have another "
            f"shape, such as {reshaped[0]} {tuple(state[reshaped[0]].shape)}"
        )
    network.load_state_dict(state, strict=False)
    return network.eval()
