"""Pools of pictures -> a gate: a small network that names the kind, a distance, and the threshold that validation cases
choose."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from handler.trust.gate import Gate, look_of
from training.trust.augment import class_of, other_pictures, own_slices
from training.trust.collect import Group, Pool, Progress
from training.trust.network import GateNetwork, onnx_of

OWN, OTHER = 96, 48  # pictures a step
RATE = 4e-3
# Of the other pictures, how often which reason is drawn; of one reason each pool is drawn equally often.
SHARES = {"not_a_brain": 0.4, "other_plane": 0.24, "other_contrast": 0.22, None: 0.14}
MEASURED = 20  # batches that the distance is measured on
MISSED = 0.004  # share of the validation cases' slices that the threshold may refuse
SLACK = 0.7  # for cases that differ more than those nine
LOWEST, HIGHEST = 0.02, 0.5  # bounds of the threshold
LIMIT_QUANTILE, LIMIT_SLACK = 0.998, 1.5
SHARE = 0.5


@dataclass(frozen=True, eq=False)
class Fitted:
    """``content``: of the gate's file."""

    gate: Gate
    content: bytes


class Batches:
    """Draws batches from pools: float32 (n, 3, 64, 64) and classes (n,)."""

    def __init__(self, pools: Sequence[Pool], seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._own = np.concatenate([pool.pictures for pool in pools if pool.own])
        self._others = {reason: [p for p in pools if not p.own and p.reason == reason] for reason in SHARES}
        self._reasons = [reason for reason in SHARES if self._others[reason]]
        shares = np.array([SHARES[reason] for reason in self._reasons])
        self._shares = shares / shares.sum()

    def own(self) -> tuple[torch.Tensor, torch.Tensor]:
        return own_slices(self._own[self._random.integers(len(self._own), size=OWN)], self._random)

    def other(self) -> tuple[torch.Tensor, torch.Tensor]:
        pictures, classes = [], []
        for k in self._random.choice(len(self._reasons), OTHER, p=self._shares):
            several = self._others[self._reasons[k]]
            pool = several[int(self._random.integers(len(several)))]
            pictures.append(pool.pictures[int(self._random.integers(len(pool.pictures)))])
            classes.append(class_of(pool.reason))
        return other_pictures(np.stack(pictures), np.array(classes), self._random)

    def next(self) -> tuple[torch.Tensor, torch.Tensor]:
        own, other = self.own(), self.other()
        return torch.cat([own[0], other[0]]), torch.cat([own[1], other[1]])


def fit(pools: Sequence[Pool], validation: Sequence[Group], seed: int, steps: int, progress: Progress) -> Fitted:
    """Fits on ``pools`` for ``steps`` steps; ``validation`` chooses limit and threshold. Raises ``ValueError`` where no
    slice of a known case chooses."""
    plain = [group.thumbs for group in validation if group.cases is not None]
    if not sum(map(len, plain)):
        raise ValueError("no slices of validation cases: the release's card names no such cases in the data folder")
    batches = Batches(pools, seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _trained(GateNetwork(), batches, steps, progress)
    network.eval()
    with torch.no_grad():
        known = []
        for _ in range(MEASURED):
            for pictures, classes in (batches.own(), batches.other()):
                known.append(network.features(pictures[classes == class_of(None)]))
        network.measure(torch.cat(known))
    content = onnx_of(network)
    return Fitted(_thresholded(Gate(look_of(content), 1.0, LOWEST, SHARE), validation), content)


def _trained(network: GateNetwork, batches: Batches, steps: int, progress: Progress) -> GateNetwork:
    network = network.to(memory_format=torch.channels_last)
    network.train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=0.02)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
    advance = progress("fitting the gate", steps)
    for _ in range(steps):
        pictures, classes = batches.next()
        pictures = pictures.contiguous(memory_format=torch.channels_last)
        loss = cross_entropy(network.logits(network.features(pictures)), classes)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
        advance()
    return network


def _thresholded(gate: Gate, validation: Sequence[Group]) -> Gate:
    """Limit and threshold that leave all but :data:`MISSED` of the validation cases' slices accepted. Slices that show
    nothing have no say."""
    plain = [g.thumbs for g in validation if g.cases is not None]
    own = np.concatenate([one.pictures[~one.blank] for one in plain])
    changed = [g.thumbs.pictures[~g.thumbs.blank] for g in validation if g.reason is None]
    distances = gate.look(np.concatenate(changed))[1]
    gate = gate.with_settings(limit=round(float(LIMIT_SLACK * np.quantile(distances, LIMIT_QUANTILE)), 4))
    lowest = float(np.quantile(gate.scores(own)[0], MISSED))
    return gate.with_settings(threshold=round(float(np.clip(SLACK * lowest, LOWEST, HIGHEST)), 4))
