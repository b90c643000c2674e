"""One network from several: the mean of weights that were fine-tuned from the same start.

Such runs end in one basin of the loss, and the middle of it does better on new data than its rim, at the cost of one
network (model soups: Wortsman et al., ICML 2022). Weights of unrelated runs average to noise.
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from handler.files import sha256_of, write_atomic
from training.card import Trained, read_checkpoint
from training.run import LAST, RECIPE_FILE, RunError
from training.seen import SPLIT_FILE, START_FILE, cases_seen
from training.split import Split, case_of, read_split
from training.start import State


def average(checkpoints: Sequence[Path], folder: Path) -> Path:
    """Writes the mean of the released sides of `checkpoints` into `folder`, as a run that can be judged and released;
    returns its checkpoint. Recipe and split are the first one's; what went into it is in `start.json`.

    Raises RunError where there are fewer than two, where networks, splits or start weights differ, or where `folder`
    holds something; StartWeightsError for files that are no checkpoints.
    """
    if len(checkpoints) < 2:
        raise RunError(f"got {len(checkpoints)} checkpoint, expected at least two to average")
    if folder.exists() and any(folder.iterdir()):
        raise RunError(f"{folder} is not empty; take a new folder")
    trained = [read_checkpoint(path) for path in checkpoints]
    split = _common_split(checkpoints)
    first = trained[0]
    for path, other in zip(checkpoints, trained, strict=True):
        if other.recipe.model != first.recipe.model:
            raise RunError(f"{path} holds another network than {checkpoints[0]}; only like ones can be averaged")
    starts = [_start_of(path) for path in checkpoints]
    if any((start["name"], start["sha256"]) != (starts[0]["name"], starts[0]["sha256"]) for start in starts):
        raise RunError(
            f"{', '.join(map(str, checkpoints))} started from different weights ({START_FILE} names them); the mean of "
            "such networks is none"
        )
    folder.mkdir(parents=True, exist_ok=True)
    own = {case_of(member) for member in split.train}
    seen = {case for path in checkpoints for case in cases_seen(path) or ()} - own
    members = [_member(path, one, start) for path, one, start in zip(checkpoints, trained, starts, strict=True)]
    record = {"kind": "average", "members": members, **({"cases": sorted(seen)} if seen else {})}
    write_atomic(folder / START_FILE, json.dumps(record, indent=1).encode())
    for name in (SPLIT_FILE, RECIPE_FILE):
        shutil.copyfile(checkpoints[0].parent / name, folder / name)
    _write(checkpoints[0], mean_of([one.state for one in trained]), folder / LAST)
    return folder / LAST


def mean_of(states: Sequence[State]) -> State:
    """The mean of each tensor; what is counted, not measured (BatchNorm's steps), is the first one's."""
    return {
        name: torch.stack([state[name] for state in states]).mean(dim=0) if tensor.is_floating_point() else tensor
        for name, tensor in states[0].items()
    }


def _common_split(checkpoints: Sequence[Path]) -> Split:
    lacking = [path for path in checkpoints if not (path.parent / SPLIT_FILE).is_file()]
    if lacking:
        raise RunError(f"{lacking[0]}: no {SPLIT_FILE} beside it, so nothing tells what it was trained on")
    splits = [read_split(path.parent / SPLIT_FILE) for path in checkpoints]
    for path, split in zip(checkpoints, splits, strict=True):
        if split != splits[0]:
            raise RunError(f"{path} was trained on another split than {checkpoints[0]}: their mean could judge no case")
    return splits[0]


def _start_of(path: Path) -> dict[str, Any]:
    file = path.parent / START_FILE
    if not file.is_file():
        raise RunError(f"{path}: no {START_FILE} beside it, so nothing tells what it started from")
    start: dict[str, Any] = json.loads(file.read_text("utf-8"))
    return {"name": None, "sha256": None, **start}


def _member(path: Path, trained: Trained, start: dict[str, Any]) -> dict[str, Any]:
    return {
        "name": "/".join(path.parts[-2:]),
        "sha256": sha256_of(path),
        "recipe": trained.recipe.name,
        "seed": trained.recipe.seed,
        "start": {key: value for key, value in start.items() if key != "cases"},
    }


def _write(like: Path, state: State, target: Path) -> None:
    """A checkpoint as `like`, but with `state` to release and nothing to resume from."""
    content = torch.load(like, map_location="cpu", weights_only=True)
    kept = {key: content[key] for key in ("epoch", "global_step", "hyper_parameters", "pytorch-lightning_version")}
    averages = content["hyper_parameters"]["recipe"]["optimiser"]["ema"] > 0
    prefix = "averaged.module." if averages else "network."
    kept["state_dict"] = {prefix + name: tensor for name, tensor in state.items()}
    buffer = io.BytesIO()
    torch.save(kept, buffer)
    write_atomic(target, buffer.getvalue())
