"""What a network does that depends on its input's size, done so that converters can express it."""

from __future__ import annotations

import torch
from timm.layers.conv2d_same import Conv2dSame


def _static(convolution: Conv2dSame) -> torch.nn.Module:
    """TensorFlow's "same" padding depends on the input's size, which ncnn cannot express. For sizes divisible by the
    stride, and the network's always are, it is a constant: d (k - 1) + 1 - s in all, the smaller half first."""
    pads = []
    for kernel, stride, dilation in zip(
        reversed(convolution.kernel_size), reversed(convolution.stride), reversed(convolution.dilation), strict=True
    ):
        total = max(dilation * (kernel - 1) + 1 - stride, 0)
        pads += [total // 2, total - total // 2]
    plain = torch.nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (convolution.kernel_size[0], convolution.kernel_size[1]),
        (convolution.stride[0], convolution.stride[1]),
        0,
        (convolution.dilation[0], convolution.dilation[1]),
        convolution.groups,
        convolution.bias is not None,
    )
    plain.load_state_dict(convolution.state_dict())
    return torch.nn.Sequential(torch.nn.ZeroPad2d((pads[0], pads[1], pads[2], pads[3])), plain)


def with_static_padding(network: torch.nn.Module) -> torch.nn.Module:
    """``network``, its size-dependent paddings replaced by constant ones, in place."""
    for name, child in network.named_children():
        if isinstance(child, Conv2dSame):
            setattr(network, name, _static(child))
        else:
            with_static_padding(child)
    return network
