"""What a checkpoint is that cannot be released, and what to do about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from handler.card import SEQUENCES
from handler.network import DECODERS as NAMED

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
BY_MODEL = {decoder.model: name for name, decoder in NAMED.items()}
CLASSES = 1
_ONE_CLASS = {
    2: "its two classes by softmax are one by sigmoid: give the head the difference, weight[1:2] - weight[0:1] and "
    "bias[1:2] - bias[0:1] of segmentation_head.0, save that and import it",
}
_TRAIN = "train one that has, with scripts/train"


def in_channels(state: Mapping[str, torch.Tensor]) -> tuple[str, int]:
    """The name of the encoder's first convolution and how many channels it takes; ``("", 3)`` where there is none."""
    first = next((key for key, tensor in state.items() if key.startswith("encoder.") and tensor.ndim == 4), "")
    return first, state[first].shape[1] if first else len(SEQUENCES)


def check_kind(state: Mapping[str, torch.Tensor], head: str, name: str, sequences: Sequence[str] | None) -> str:
    """Which decoder it is, a key of :data:`handler.network.DECODERS`. Raises ``ValueError`` for one that cannot be
    released, for more than one class, and for channels that are not those of ``sequences`` (None: all three), saying
    what it is.

    ``state``: tensors by the network's own names; ``head``: that of the last convolution's weights, (classes, channels,
    h, w); ``name``: of the file."""
    model = next((model for model, part in DECODERS.items() if any(key.startswith(part) for key in state)), "Unet")
    if model not in BY_MODEL:
        raise ValueError(
            f"{name} is a {model}, which cannot be released: it does not see the small pictures that a head is cut to. "
            f"Expected one of {', '.join(BY_MODEL)}; train one with scripts/train."
        )
    if (classes := state[head].shape[0]) != CLASSES:
        raise ValueError(
            f"{name} is a network of {classes} classes ({head}); expected {CLASSES}, the tumour. What to do: "
            f"{_ONE_CLASS.get(classes, _TRAIN)}."
        )
    first, channels = in_channels(state)
    if channels != len(sequences or SEQUENCES):
        given = f"{', '.join(sequences)} given" if sequences else "before contrast, FLAIR, after contrast"
        todo = f"name them, as in --sequence {SEQUENCES[1]}" if channels <= len(SEQUENCES) else _TRAIN
        raise ValueError(
            f"{name} is a network for {channels} channel{'s' * (channels != 1)} ({first}); expected "
            f"{len(sequences or SEQUENCES)}: {given}. What to do: {todo}."
        )
    return BY_MODEL[model]
