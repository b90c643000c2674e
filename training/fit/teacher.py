"""Networks that are already trained, asked together what they think of a training sample (Hinton et al., 2015)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from handler.card import CARD_FILE, Calibration, InputSpec, read_card
from handler.network import build
from training.fit.architecture import architecture_of, input_spec
from training.fit.start import StartWeightsError, name_of, network_state, weights_file
from training.release.card import read_checkpoint


@dataclass(frozen=True)
class Teacher:
    """A network in evaluation mode, what its input looks like, what it is called, and what makes its logits comparable
    with those of others: a released folder brings the calibration of its card, a checkpoint has none."""

    network: torch.nn.Module
    input: InputSpec
    name: str
    calibration: Calibration = field(default_factory=Calibration)


class Teachers:
    """Several of them as one: `probabilities` of samples that were normalised by the pupil's `own` input. Raises
    StartWeightsError for a member whose input has another size, as it would be shown everything at the wrong scale, or
    other sequences.

    `temperature` divides the mean of their calibrated logits. Above 1 it shows the pupil more of what teachers make of
    pixels that they are all but sure of (Hinton et al.). For checkpoints it also stands in for a calibration: networks
    trained with soft Dice are two to three times too sure of themselves.
    """

    def __init__(self, members: Sequence[Teacher], own: InputSpec, temperature: float) -> None:
        for member in members:
            if (member.input.height, member.input.width) != (own.height, own.width):
                raise StartWeightsError(
                    f"teacher {member.name} takes slices of {member.input.height}x{member.input.width} pixels and this "
                    f"recipe's are {own.height}x{own.width}; take a teacher or a recipe of the same size"
                )
            if member.input.sequences != own.sequences:
                raise StartWeightsError(
                    f"teacher {member.name} sees {', '.join(member.input.sequences)} and this recipe's network "
                    f"{', '.join(own.sequences)}; take a teacher or a recipe of the same sequences"
                )
        self._members, self._own, self._temperature = tuple(members), own, temperature

    @torch.no_grad()
    def probabilities(self, images: Tensor) -> Tensor:
        """Images float32 (n, c, h, w) -> probabilities float32 (n, 1, h, w): of the mean logit over the temperature."""
        unit = images * _of(self._own.std, images) + _of(self._own.mean, images)
        total = torch.zeros_like(images[:, :1])
        for member in self._members:
            pixels = (unit - _of(member.input.mean, images)) / _of(member.input.std, images)
            logits = _moved(member.network, images.device)(pixels.contiguous(memory_format=torch.channels_last)).float()
            scale, offset = member.calibration.platt
            total += scale * logits + offset
        return (total / (len(self._members) * self._temperature)).sigmoid()


def _moved(network: torch.nn.Module, device: torch.device) -> torch.nn.Module:
    """`network` on `device`. Its first weight is asked where it is: asking all, at every step, takes milliseconds."""
    first = next(network.parameters(), None)
    return network if first is not None and first.device == device else network.to(device)


def _of(values: Sequence[float], images: Tensor) -> Tensor:
    return torch.tensor(values, device=images.device, dtype=images.dtype)[:, None, None]


def teacher_file(source: str) -> Path:
    """The weights of the released folder or the checkpoint `source`. Raises StartWeightsError for what is no teacher or
    not there."""
    path = Path(source)
    if (path / CARD_FILE).is_file() or path.suffix == ".ckpt":
        return weights_file(source)
    raise StartWeightsError(f"teacher {source}: expected a released folder or a checkpoint (.ckpt)")


def open_teacher(source: str) -> Teacher:
    """A released folder or a checkpoint of scripts/train as a teacher. Raises StartWeightsError for anything else."""
    path, file = Path(source), teacher_file(source)
    if path.is_dir():
        card = read_card(path)
        architecture, spec, calibration = card.architecture, card.input, card.calibration
    else:
        recipe = read_checkpoint(path).recipe
        architecture, spec, calibration = architecture_of(recipe), input_spec(recipe), Calibration()
    network = build(architecture)
    network.load_state_dict(network_state(network, source))
    network.eval().requires_grad_(False).to(memory_format=torch.channels_last)
    return Teacher(network, spec, name_of(file), calibration)
