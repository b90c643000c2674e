"""What a checkpoint is that cannot be released, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping

import torch

# What only this network of segmentation_models_pytorch has among its tensors; a Unet has none of it.
DECODERS = {
    "UnetPlusPlus": "decoder.blocks.x_",
    "MAnet": "decoder.center.top_conv.",
    "FPN": "decoder.seg_blocks.",
    "PAN": "decoder.fpa.",
    "PSPNet": "decoder.psp.blocks.0.pool.",
    "DeepLabV3Plus": "decoder.aspp.0.",
    "DeepLabV3": "decoder.aspp.convs.",
    "Segformer": "decoder.mlp_stage.",
    "UPerNet": "decoder.fpn_lateral_blocks.",
    "Linknet": "decoder.blocks.0.block.0.",
}
CHANNELS, CLASSES = 3, 1
_ONE_CLASS = {
    2: "its two classes by softmax are one by sigmoid: give the head the difference, weight[1:2] - weight[0:1] and "
    "bias[1:2] - bias[0:1] of segmentation_head.0, save that and import it",
}
_THREE_CHANNELS = {
    1: "give its first convolution {first} three channels, its weights at the one of the sequence that it has seen "
    "(0 before contrast, 1 FLAIR, 2 after contrast) and zeros at the others, save that and import it",
}
_TRAIN = "train one that has, with scripts/train"


def first_convolution(state: Mapping[str, torch.Tensor]) -> tuple[str, int]:
    """The name of the encoder's first convolution and how many channels it takes; ``("", 3)`` where there is none."""
    first = next((key for key, tensor in state.items() if key.startswith("encoder.") and tensor.ndim == 4), "")
    return first, state[first].shape[1] if first else CHANNELS


def check_kind(state: Mapping[str, torch.Tensor], head: str, name: str) -> None:
    """Raises ``ValueError`` for a network that is no Unet of 3 channels and 1 class, saying what it is.

    ``state``: tensors by the network's own names; ``head``: that of the last convolution's weights, (classes, channels,
    h, w); ``name``: of the file."""
    for network, part in DECODERS.items():
        if any(key.startswith(part) for key in state):
            raise ValueError(
                f"{name} is a {network}; expected a Unet of segmentation_models_pytorch, with any of its encoders: no "
                "other can be released. Train one with scripts/train."
            )
    if (classes := state[head].shape[0]) != CLASSES:
        raise ValueError(
            f"{name} is a network of {classes} classes ({head}); expected {CLASSES}, the tumour. What to do: "
            f"{_ONE_CLASS.get(classes, _TRAIN)}."
        )
    first, channels = first_convolution(state)
    if channels != CHANNELS:
        raise ValueError(
            f"{name} is a network for {channels} channel{'s' * (channels != 1)} ({first}); expected {CHANNELS}: before "
            f"contrast, FLAIR, after contrast. What to do: "
            f"{_THREE_CHANNELS.get(channels, _TRAIN).format(first=first)}."
        )
