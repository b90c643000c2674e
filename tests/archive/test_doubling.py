"""A decoder rewritten for its ONNX file computes what it did."""

from __future__ import annotations

import copy

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn

from archive.engines.doubling import _Doubling, with_cheap_doubling
from handler.card import Architecture
from handler.network import build

CHANNELS = (32, 16, 16, 16, 16)


def seasoned(network: nn.Module) -> nn.Module:
    """``network`` with statistics as training leaves them, not the zeros and ones of a new one."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(generator=generator)
            module.running_var.uniform_(0.5, 2, generator=generator)
            nn.init.uniform_(module.weight, 0.5, 1.5, generator=generator)
            nn.init.normal_(module.bias, generator=generator)
    return network.eval()


def doublings(network: nn.Module) -> int:
    return sum(isinstance(module, _Doubling) for module in network.modules())


@pytest.mark.parametrize(
    ("architecture", "blocks"),
    [
        (Architecture(encoder="resnet18", decoder_channels=CHANNELS), 5),
        (Architecture(encoder="vgg11", decoder_channels=CHANNELS), 5),
        (Architecture(encoder="resnet18", decoder_channels=CHANNELS, classes=3), 5),
        (Architecture(encoder="resnet18", decoder_channels=(32, 16, 8, 8), logits_at=2), 4),
        (Architecture(encoder="resnet18", decoder_channels=(32, 16, 8), logits_at=4), 3),
    ],
)
@torch.inference_mode()
def test_the_same_logits_at_every_size(architecture: Architecture, blocks: int) -> None:
    torch.manual_seed(2)
    network = seasoned(build(architecture))
    cheap = with_cheap_doubling(copy.deepcopy(network), torch.zeros(1, 3, 64, 64))
    assert doublings(cheap) == blocks
    for shape in ((1, 3, 64, 64), (2, 3, 32, 96)):
        image = torch.randn(shape)
        want, got = network(image), cheap(image)
        assert got.shape == want.shape
        assert float(want.std()) > 0.01
        assert float((got - want).abs().max()) < 1e-4 * float(want.abs().max())


def products(network: nn.Module, image: torch.Tensor) -> int:
    """Multiplications of the convolutions of the decoder."""
    counted = 0

    def count(module: nn.Module, _given: object, found: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(module, nn.Conv2d)
        counted += found.numel() * module.weight[0].numel()

    for module in network.decoder.modules():  # type: ignore[union-attr]
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    network(image)
    return counted


@torch.inference_mode()
def test_it_is_cheaper() -> None:
    image = torch.zeros(1, 3, 64, 64)
    network = build(Architecture(encoder="tu-tf_efficientnet_lite0", decoder_channels=(192, 96, 48, 32, 16))).eval()
    cheap = with_cheap_doubling(copy.deepcopy(network), image)
    assert products(cheap, image) < 0.7 * products(network, image)


@pytest.mark.parametrize("other", [{"decoder_attention_type": "scse"}, {"decoder_interpolation": "bilinear"}])
@torch.inference_mode()
def test_what_it_does_not_know_is_left_as_it_is(other: dict[str, str]) -> None:
    network = smp.Unet("resnet18", encoder_weights=None, decoder_channels=CHANNELS, **other).eval()
    image = torch.randn(1, 3, 64, 64)
    want = network(image)
    cheap = with_cheap_doubling(network, image)
    assert doublings(cheap) == 0
    torch.testing.assert_close(cheap(image), want, rtol=1e-4, atol=1e-5)
