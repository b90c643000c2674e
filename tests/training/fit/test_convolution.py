"""The weights' gradient by matrix products is the gradient that PyTorch calculates."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from training.fit.convolution import ROWS, weights_gradient, weights_gradient_by_products


@pytest.fixture
def avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")


def network() -> torch.nn.Sequential:
    torch.manual_seed(1)
    layers = (
        torch.nn.Conv2d(16, 17, 3, padding=1),
        torch.nn.ReLU(),
        torch.nn.Conv2d(17, 18, 3, padding="same", bias=False),
        torch.nn.Conv2d(18, 1, 3, padding=1),
    )
    return torch.nn.Sequential(*layers).to(memory_format=torch.channels_last)


def learnt(layers: torch.nn.Module, images: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of images and weights."""
    layers.zero_grad()
    images = images.clone().requires_grad_()
    layers(images).square().mean().backward()
    assert images.grad is not None
    return [images.grad, *(weight.grad for weight in layers.parameters() if weight.grad is not None)]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 12), st.integers(1, 12), st.booleans())
def test_gradient_is_pytorchs_for_every_shape(n: int, c: int, out: int, h: int, w: int, last: bool) -> None:
    layout = torch.channels_last if last else torch.contiguous_format
    images = torch.randn(n, c, h, w, dtype=torch.float64).contiguous(memory_format=layout)
    gradient = torch.randn(n, out, h, w, dtype=torch.float64).contiguous(memory_format=layout)
    expected = torch.nn.grad.conv2d_weight(images, (out, c, 3, 3), gradient, padding=1)
    torch.testing.assert_close(weights_gradient(images, gradient), expected)


def test_gradient_over_many_blocks_of_pixels() -> None:
    images, gradient = torch.randn(3, 4, 70, 50, dtype=torch.float64), torch.randn(3, 2, 70, 50, dtype=torch.float64)
    assert images[:, 0].numel() > 2 * ROWS
    expected = torch.nn.grad.conv2d_weight(images, (2, 4, 3, 3), gradient, padding=1)
    torch.testing.assert_close(weights_gradient(images, gradient), expected)


@pytest.mark.usefixtures("avx2")
def test_a_network_learns_what_it_would_have_learnt() -> None:
    plain, changed, images = network(), network(), torch.randn(2, 16, 20, 24)
    weights_gradient_by_products(changed)
    assert torch.equal(plain(images), changed(images))
    for expected, got in zip(learnt(plain, images), learnt(changed, images), strict=True):
        torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-6)
    assert plain.state_dict().keys() == changed.state_dict().keys()


@pytest.mark.usefixtures("avx2")
def test_frozen_weights_learn_nothing_and_pass_the_gradient_on() -> None:
    plain, changed, images = network(), network(), torch.randn(1, 16, 8, 8)
    weights_gradient_by_products(changed)
    for layers in (plain, changed):
        layers[2].requires_grad_(False)
    expected, got = learnt(plain, images), learnt(changed, images)
    assert len(got) == len(expected) == 5  # images, two weights, two biases
    for one, other in zip(expected, got, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-4, atol=1e-6)


@pytest.mark.usefixtures("avx2")
def test_a_copy_learns_for_itself() -> None:
    changed = network()
    weights_gradient_by_products(changed)
    other = copy.deepcopy(changed)
    learnt(other, torch.randn(1, 16, 8, 8))
    assert all(weight.grad is None for weight in changed.parameters())
    assert all(weight.grad is not None for weight in other.parameters())


@pytest.mark.usefixtures("avx2")
def test_autocast_keeps_to_bfloat16() -> None:
    changed = network()
    weights_gradient_by_products(changed)
    with torch.autocast("cpu", torch.bfloat16):
        assert changed(torch.randn(1, 16, 8, 8)).dtype == torch.bfloat16


@pytest.mark.parametrize(
    "layer",
    [
        torch.nn.Conv2d(15, 16, 3, padding=1),
        torch.nn.Conv2d(16, 16, 3),
        torch.nn.Conv2d(16, 16, 5, padding=2),
        torch.nn.Conv2d(16, 16, 3, padding=1, stride=2),
        torch.nn.Conv2d(16, 16, 3, padding=2, dilation=2),
        torch.nn.Conv2d(16, 16, 3, padding=1, groups=16),
        torch.nn.Conv2d(16, 16, 3, padding=1, padding_mode="reflect"),
    ],
)
@pytest.mark.usefixtures("avx2")
def test_other_convolutions_stay_as_they_are(layer: torch.nn.Conv2d) -> None:
    weights_gradient_by_products(layer)
    assert "_conv_forward" not in vars(layer)


def test_other_cpus_keep_to_onednn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX512")
    changed = network()
    weights_gradient_by_products(changed)
    assert not any("_conv_forward" in vars(layer) for layer in changed)
