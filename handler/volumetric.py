"""The network over volumes: MONAI's DynUNet as plain PyTorch, so that what is served does without MONAI.

Slices are 3 to 7 mm apart and their pixels about 1 mm: kernels and strides leave the depth alone until pixels are as
coarse (Isensee et al., nnU-Net, Nature Methods 2021). Names of the layers are MONAI's, and so is what they compute:
a state of either loads into the other (``tests/handler/test_volumetric.py``)."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from handler.card import Architecture

LABEL = "dynunet"  # what a card calls the encoder
FLAT_LEVELS = 2  # that do not look beyond a slice
FLAT_STEPS = 2  # halvings of rows and columns alone, before the slices are halved too
LEVELS = (3, 4, 5, 6)
SLOPE = 0.01  # of the leaky ReLU, as MONAI and nnU-Net have it
Triple = tuple[int, int, int]


def kernel_of(level: int) -> Triple:
    """Slices, rows, columns of the kernels of ``level``, 0 on the full grid."""
    return (1, 3, 3) if level < FLAT_LEVELS else (3, 3, 3)


def stride_of(level: int) -> Triple:
    """By how much ``level`` is coarser than the one before."""
    if level == 0:
        return (1, 1, 1)
    return (1, 2, 2) if level <= FLAT_STEPS else (2, 2, 2)


class _Named(nn.Module):
    """A convolution under MONAI's name for it."""

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv

    def forward(self, features: Tensor) -> Tensor:
        found: Tensor = self.conv(features)
        return found


def _convolution(inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> _Named:
    around = (kernel[0] // 2, kernel[1] // 2, kernel[2] // 2)
    return _Named(nn.Conv3d(inputs, outputs, kernel, stride, around, bias=False))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Triple, stride: Triple = (1, 1, 1)) -> None:
        super().__init__()
        self.conv1 = _convolution(inputs, outputs, kernel, stride)
        self.conv2 = _convolution(outputs, outputs, kernel)
        self.norm1 = nn.InstanceNorm3d(outputs, affine=True)
        self.norm2 = nn.InstanceNorm3d(outputs, affine=True)

    def forward(self, features: Tensor) -> Tensor:
        features = nn.functional.leaky_relu(self.norm1(self.conv1(features)), SLOPE)
        return nn.functional.leaky_relu(self.norm2(self.conv2(features)), SLOPE)


class _Up(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: Triple, step: Triple) -> None:
        super().__init__()
        self.transp_conv = _Named(nn.ConvTranspose3d(inputs, outputs, step, step, bias=False))
        self.conv_block = _Block(2 * outputs, outputs, kernel)

    def forward(self, features: Tensor, beside: Tensor) -> Tensor:
        found: Tensor = self.conv_block(torch.cat((self.transp_conv(features), beside), dim=1))
        return found


class VolumeUnet(nn.Module):
    """Float32 (n, in_channels, slices, h, w) -> logits (n, classes, slices, h, w); slices divisible by 8, h and w by
    32. ``architecture.decoder_channels``: the widths of its levels, from the full grid down. Raises ``ValueError`` for
    more or fewer of them than :data:`LEVELS`, and another encoder than :data:`LABEL`."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        widths = architecture.decoder_channels
        if architecture.encoder != LABEL or len(widths) not in LEVELS or architecture.logits_at != 1:
            raise ValueError(
                f"encoder {architecture.encoder!r}, decoder_channels {list(widths)}, logits_at "
                f"{architecture.logits_at} of a {architecture.decoder}: expected {LABEL!r}, the widths of "
                f"{LEVELS[0]} to {LEVELS[-1]} levels, and 1"
            )
        last = len(widths) - 1
        pairs = list(itertools.pairwise(widths))
        down = [
            _Block(before, after, kernel_of(level), stride_of(level)) for level, (before, after) in enumerate(pairs, 1)
        ]
        self.input_block = _Block(architecture.in_channels, widths[0], kernel_of(0))
        self.downsamples = nn.ModuleList(down[:-1])
        self.bottleneck = down[-1]
        self.upsamples = nn.ModuleList(
            _Up(widths[level], widths[level - 1], kernel_of(level), stride_of(level)) for level in range(last, 0, -1)
        )
        self.output_block = _Named(_Named(nn.Conv3d(widths[0], architecture.classes, 1)))
        self.apply(_initialised)

    def forward(self, volume: Tensor) -> Tensor:
        beside = [self.input_block(volume)]
        for block in self.downsamples:
            beside.append(block(beside[-1]))
        features: Tensor = self.bottleneck(beside[-1])
        for block in self.upsamples:
            features = block(features, beside.pop())
        logits: Tensor = self.output_block(features)
        return logits


def _initialised(module: nn.Module) -> None:
    """As MONAI does it (He et al. 2015)."""
    if isinstance(module, nn.Conv3d | nn.ConvTranspose3d):
        nn.init.kaiming_normal_(module.weight, a=SLOPE)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
