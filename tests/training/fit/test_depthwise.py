"""Depthwise convolutions keep float32 where the rest of a network is trained in bfloat16 on the CPU."""

from __future__ import annotations

import copy

import torch

from training.fit.depthwise import depthwise_in_full_precision


def network() -> torch.nn.Sequential:
    torch.manual_seed(1)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 1), torch.nn.Conv2d(8, 8, 5, padding=2, groups=8), torch.nn.Conv2d(8, 1, 1)
    )


def test_result_is_that_of_float32_cast_back() -> None:
    changed, images = network(), torch.rand(2, 8, 9, 9)
    expected = changed[1](images)
    depthwise_in_full_precision(changed)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(changed[1](images), expected)
        assert torch.equal(changed[1](images.bfloat16()), changed[1](images.bfloat16().float()).bfloat16())
        assert changed[2](images).dtype == torch.bfloat16  # dense ones keep to autocast


def test_the_next_layer_gets_the_type_that_autocast_made() -> None:
    changed = network()
    depthwise_in_full_precision(changed)
    images, types = torch.rand(2, 3, 9, 9), []
    with torch.autocast("cpu", torch.bfloat16):
        for layer in changed:
            images = layer(images)
            types.append(images.dtype)
    assert types == [torch.bfloat16] * 3


def test_nothing_changes_without_autocast_and_no_weight_is_added() -> None:
    plain, changed, images = network(), network(), torch.rand(2, 3, 9, 9)
    depthwise_in_full_precision(changed)
    assert torch.equal(plain(images), changed(images))
    assert plain.state_dict().keys() == changed.state_dict().keys()


def test_a_copy_computes_with_its_own_weights() -> None:
    changed, images = network(), torch.rand(2, 3, 9, 9)
    depthwise_in_full_precision(changed)
    other = copy.deepcopy(changed)
    with torch.no_grad():
        other[1].weight.zero_()
        other[1].bias.zero_()
        assert not torch.equal(changed(images), other(images))
        assert torch.equal(other(images), other[2].bias[None, :, None, None].expand(2, 1, 9, 9))
