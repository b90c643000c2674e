"""A U-Net's decoder at half its arithmetic, for the ONNX file: what it computes stays the same, but for the order of
sums.

A decoder block doubles its input's sides by repeating each pixel and convolves that, three by three. Of the nine pixels
under the kernel only four differ, and which they are depends only on whether row and column are even. So four
convolutions, two by two, on the small picture give the four kinds of pixels of the large one: four products a channel
instead of nine, and no picture of repeated pixels. What comes over from the encoder is convolved as before and added.

The head convolves many channels to one, and runtimes reckon with channels in groups of eight or sixteen. One
convolution that looks at six by six pixels and answers for four by four of them fills a group."""

from __future__ import annotations

from typing import Any

import torch
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoderBlock
from torch import nn

BLOCK = 4  # pixels of the head's answer, each way, that one convolution gives
FEW_CLASSES = 8  # from here on a group is full enough


class _FromDepth(torch.autograd.Function):
    """(n, 4 c, h, w), all channels of one kind of pixel together -> (n, c, 2 h, 2 w). PyTorch has only the other order,
    which would take another copy."""

    @staticmethod
    def forward(_context: Any, kinds: torch.Tensor) -> torch.Tensor:
        n, channels, height, width = kinds.shape
        split = kinds.view(n, 2, 2, channels // 4, height, width)
        return split.permute(0, 3, 4, 1, 5, 2).reshape(n, channels // 4, 2 * height, 2 * width)

    @staticmethod
    def symbolic(graph: Any, kinds: Any) -> Any:
        return graph.op("DepthToSpace", kinds, blocksize_i=2, mode_s="DCR")


def _folded(convolution: nn.Conv2d, norm: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of ``convolution`` with the ``norm`` behind it."""
    if isinstance(norm, nn.BatchNorm2d):
        convolution = torch.nn.utils.fuse_conv_bn_eval(convolution, norm)
    weight = convolution.weight.detach()
    return weight, torch.zeros(len(weight)) if convolution.bias is None else convolution.bias.detach()


def _convolution(weight: torch.Tensor, bias: torch.Tensor | None, stride: int = 1, padding: int = 0) -> nn.Conv2d:
    outputs, inputs, height, width = weight.shape
    made = nn.Conv2d(inputs, outputs, (height, width), stride, padding, bias=bias is not None)
    made.load_state_dict({"weight": weight, **({} if bias is None else {"bias": bias})})
    return made


def _pair(weight: torch.Tensor, odd: int, axis: int) -> torch.Tensor:
    """Three taps along ``axis`` as two: those that fall on the same pixel, repeated, are summed."""
    first, middle, last = weight.unbind(axis)
    return torch.stack([first + middle, last] if odd else [first, middle + last], axis)


class _Doubling(nn.Module):
    """As the decoder block ``block``, whose first ``inputs`` channels are those that it doubles."""

    def __init__(self, block: UnetDecoderBlock, inputs: int) -> None:
        super().__init__()
        weight, bias = _folded(block.conv1[0], block.conv1[1])
        beside = weight.shape[1] > inputs
        self.kinds = nn.ModuleList()
        for row, column in ((0, 0), (0, 1), (1, 0), (1, 1)):
            taps = _pair(_pair(weight[:, :inputs], row, 2), column, 3)
            around = nn.ZeroPad2d((1 - column, column, 1 - row, row))
            self.kinds.append(nn.Sequential(around, _convolution(taps, None if beside else bias)))
        self.skip = _convolution(weight[:, inputs:], bias, padding=1) if beside else None
        self.conv2 = block.conv2

    def forward(
        self, features: torch.Tensor, _height: int, _width: int, skip_connection: torch.Tensor | None = None
    ) -> torch.Tensor:
        kinds = [kind(features) for kind in self.kinds]
        if self.skip is None:
            doubled = _FromDepth.apply(torch.cat([torch.relu(kind) for kind in kinds], 1))
        else:
            doubled = torch.relu(self.skip(skip_connection) + _FromDepth.apply(torch.cat(kinds, 1)))
        found: torch.Tensor = self.conv2(doubled)
        return found


def _in_blocks(convolution: nn.Conv2d) -> nn.Module:
    """The same logits, :data:`BLOCK` x :data:`BLOCK` of them by each step of one convolution."""
    weight = convolution.weight.detach()
    outputs, inputs = weight.shape[:2]
    wide = torch.zeros(outputs, BLOCK, BLOCK, inputs, BLOCK + 2, BLOCK + 2)
    for row in range(BLOCK):
        for column in range(BLOCK):
            wide[:, row, column, :, row : row + 3, column : column + 3] = weight
    bias = None if convolution.bias is None else convolution.bias.detach().repeat_interleave(BLOCK**2)
    steps = _convolution(wide.flatten(0, 2), bias, stride=BLOCK, padding=1)
    return nn.Sequential(steps, nn.PixelShuffle(BLOCK))


def _is_plain(convolution: nn.Module) -> bool:
    """Three by three, step by step, zeros around, every input to every output."""
    return isinstance(convolution, nn.Conv2d) and (
        convolution.kernel_size, convolution.stride, convolution.padding, convolution.dilation, convolution.groups,
        convolution.padding_mode,
    ) == ((3, 3), (1, 1), (1, 1), (1, 1), 1, "zeros")  # fmt: skip


def _doubled_channels(network: nn.Module, image: torch.Tensor) -> dict[nn.Module, int]:
    """The decoder blocks of ``network`` that can be replaced, and how many channels each doubles, seen on ``image``."""
    found: dict[nn.Module, int] = {}

    def see(block: nn.Module, given: tuple[Any, ...]) -> None:
        features, height, width = given[:3]
        if (height, width) == (2 * features.shape[2], 2 * features.shape[3]):
            found[block] = features.shape[1]

    blocks = [
        one
        for one in network.modules()
        if isinstance(one, UnetDecoderBlock)
        and one.interpolation_mode == "nearest"
        and _is_plain(one.conv1[0])
        and isinstance(one.conv1[1], nn.BatchNorm2d | nn.Identity)
        and isinstance(one.conv1[2], nn.ReLU)
        and all(isinstance(part.attention, nn.Identity) for part in (one.attention1, one.attention2))
    ]
    hooks = [block.register_forward_pre_hook(see) for block in blocks]
    with torch.inference_mode():
        network(image)
    for hook in hooks:
        hook.remove()
    return found


def with_cheap_doubling(network: nn.Module, image: torch.Tensor) -> nn.Module:
    """``network``, in eval mode, its decoder blocks and head replaced where they are of the kind described above, in
    place. ``image``: one that it takes."""
    doubled = _doubled_channels(network, image)
    for parent in list(network.modules()):
        for name, child in list(parent.named_children()):
            if child in doubled:
                setattr(parent, name, _Doubling(child, doubled[child]))
    head = getattr(network, "segmentation_head", None)
    if isinstance(head, nn.Sequential) and isinstance(first := head[0], nn.Conv2d):
        head[0] = _in_blocks(first) if _is_plain(first) and first.out_channels < FEW_CLASSES else first
    return network.eval()
