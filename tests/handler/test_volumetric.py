"""The network over volumes against MONAI, who wrote it."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DynUNet

from handler.card import Architecture
from handler.network import build
from handler.volumetric import LEVELS, kernel_of, stride_of

WIDTHS = (4, 6, 8, 10, 12, 14)


def monais(widths: tuple[int, ...], classes: int) -> DynUNet:
    levels = range(len(widths))
    kernels, strides = [kernel_of(level) for level in levels], [stride_of(level) for level in levels]
    return DynUNet(3, 3, classes, kernels, strides, strides[1:], filters=widths)


@pytest.mark.parametrize("levels", LEVELS)
def test_it_is_monais_dynunet_to_the_last_bit(levels: int) -> None:
    torch.manual_seed(levels)
    widths = WIDTHS[:levels]
    own = build(Architecture("unet3d", "dynunet", widths, classes=2)).eval()
    theirs = monais(widths, 2).eval()
    state = {name: one for name, one in theirs.state_dict().items() if not name.startswith("skip_layers.")}
    own.load_state_dict(state)  # strictly: the same names, the same shapes
    volume = torch.randn(1, 3, 16, 64, 96)
    with torch.inference_mode():
        assert torch.equal(own(volume), theirs(volume))


@pytest.mark.parametrize(
    "wrong",
    [
        Architecture("unet3d", "vgg16", (4, 4, 8)),
        Architecture("unet3d", "dynunet", (4, 4)),
        Architecture("unet3d", "dynunet", (4, 4, 8), logits_at=2),
    ],
)
def test_others_are_refused(wrong: Architecture) -> None:
    with pytest.raises(ValueError, match="of a unet3d: expected 'dynunet', the widths of 3 to 6 levels, and 1"):
        build(wrong)
