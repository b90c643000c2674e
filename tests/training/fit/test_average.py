"""The averaged weights: PyTorch's own average to the bit, also after a resume, with the counters left alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.fit.average import AveragedNetwork


def small() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1), torch.nn.BatchNorm2d(2))


def train_a_step(network: torch.nn.Module, seed: int) -> None:
    """Changes weights, statistics and counters, in place as an optimiser does."""
    torch.manual_seed(seed)
    network(torch.randn(2, 1, 4, 4))
    with torch.no_grad():
        for weight in network.parameters():
            weight.add_(torch.randn(weight.shape))


def floating(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: value for name, value in state.items() if value.is_floating_point()}


def assert_same(own: AveragedModel, reference: AveragedModel) -> None:
    assert own.state_dict().keys() == reference.state_dict().keys()  # checkpoints of before can be gone on with
    assert own.n_averaged == reference.n_averaged
    for name, value in floating(reference.state_dict()).items():
        assert torch.equal(own.state_dict()[name], value), name


@pytest.mark.parametrize("resumed_after", [None, 1, 3])
def test_it_is_pytorchs_average(resumed_after: int | None) -> None:
    network = small()
    average = get_ema_multi_avg_fn(0.7)  # type: ignore[no-untyped-call]
    reference = AveragedModel(network, multi_avg_fn=average, use_buffers=True)
    own = AveragedNetwork(network, 0.7)
    for step in range(5):
        if step == resumed_after:
            network, state = copy.deepcopy(network), own.state_dict()
            own = AveragedNetwork(network, 0.7)
            own.load_state_dict(state)
        train_a_step(network, step)
        reference.update_parameters(network)
        own.update_parameters(network)
        assert_same(own, reference)
    assert int(network[1].num_batches_tracked) == 5
    assert not any(weight.requires_grad for weight in own.parameters())


def test_tensors_that_were_replaced_are_found_by_looking_again() -> None:
    network = small()
    own = AveragedNetwork(network, 0.5)
    own.update_parameters(network)
    for module in (network, own):  # as moving to another device and back does with statistics
        module.double().float()
    own.look_up_again()
    before = own.module[1].running_mean.clone()
    train_a_step(network, 1)
    own.update_parameters(network)
    torch.testing.assert_close(own.module[1].running_mean, (before + network[1].running_mean) / 2)
