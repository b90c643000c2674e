"""The weights' gradient of 3x3 convolutions by matrix products: on CPUs without AVX-512 trainings are faster so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

ROWS = 4096
"""Pixels to a matrix product: of 256, 1,024 and 4,096 the fastest where it counts, on the widest slices."""

FEWEST_CHANNELS = 16
"""Of fewer input channels the products are too thin: 0.20 instead of 0.05 s for the first layer of VGG16."""


def weights_gradient_by_products(network: torch.nn.Module) -> None:
    """Makes dense 3x3 convolutions (stride 1, padding 1, zeros around) learn their weights' gradient by
    `weights_gradient` in float32 on CPUs that have AVX2 but not AVX-512, which oneDNN has the kernels for.

    There its own takes up to nine times as long as the forward pass, which has as much to calculate (64 to 64
    channels, channels last). No weight is added; under autocast, on GPUs and on other CPUs nothing changes.
    """
    if torch.backends.cpu.get_cpu_capability() != "AVX2":
        return
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d) and _dense_3x3(module):
            module._conv_forward = _Products(module._conv_forward)  # type: ignore[method-assign, assignment]


def weights_gradient(images: Tensor, gradient: Tensor) -> Tensor:
    """Gradient (out, in, 3, 3) of a 3x3 convolution's weights (stride 1, padding 1) from its float32 input
    (n, in, h, w) and the gradient of its output (n, out, h, w).

    With a border of zeros and pixels in a row, a weight's pixel lies the same number of rows ahead for all of them:
    nine products of the same two matrices, one of them moved, and the gaps between rows and images meet zeros.
    """
    count, channels, height, width = images.shape
    out, wide = gradient.shape[1], width + 2
    padded = images.new_empty(count, height + 2, wide, channels)
    padded[:, 1:-1, 1:-1] = images.permute(0, 2, 3, 1)
    for border in (padded[:, 0], padded[:, -1], padded[:, :, 0], padded[:, :, -1]):
        border.zero_()
    moved = gradient.new_empty(count, height + 2, wide, out)
    moved[:, :height, :width] = gradient.permute(0, 2, 3, 1)
    for gap in (moved[:, height:], moved[:, :height, width:]):
        gap.zero_()
    pixels, gradients = padded.view(-1, channels), moved.view(-1, out)
    total = images.new_zeros(9, out, channels)
    last = len(pixels) - 2 * wide - 2
    for start in range(0, last, ROWS):
        end = min(start + ROWS, last)
        block = gradients[start:end].t()
        for place in range(9):
            ahead = place // 3 * wide + place % 3
            total[place].addmm_(block, pixels[start + ahead : end + ahead])
    return total.view(3, 3, out, channels).permute(2, 3, 0, 1)


def _dense_3x3(layer: torch.nn.Conv2d) -> bool:
    return (
        layer.in_channels >= FEWEST_CHANNELS
        and layer.kernel_size == (3, 3)
        and layer.stride == layer.dilation == (1, 1)
        and layer.padding in ((1, 1), "same")
        and layer.padding_mode == "zeros"
        and layer.groups == 1
    )


class _Products:
    """A convolution's own `_conv_forward`, or the same with our gradient. No closure, as in depthwise.py."""

    def __init__(self, inner: Callable[[Tensor, Tensor, Tensor | None], Tensor]) -> None:
        self._inner = inner

    def __call__(self, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        plain = images.device.type != "cpu" or images.dtype != torch.float32 or torch.is_autocast_enabled("cpu")
        if plain or not torch.is_grad_enabled():
            return self._inner(images, weight, bias)
        return _Convolution.apply(images, weight, bias)


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(images, weight)
        return torch.nn.functional.conv2d(images, weight, bias, padding=1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        images, weight = ctx.saved_tensors
        to_images, to_weight, to_bias = ctx.needs_input_grad
        before = None
        if to_images:
            settings = ((1, 1), (1, 1), (1, 1), False, (0, 0), 1, (True, False, False))
            before = torch.ops.aten.convolution_backward(gradient, images, weight, None, *settings)[0]
            # A gradient in the other order makes the layers before it several times as slow.
            before = before.contiguous(memory_format=torch.channels_last)
        learnt = weights_gradient(images, gradient) if to_weight else None
        return before, learnt, gradient.sum(dim=(0, 2, 3)) if to_bias else None
