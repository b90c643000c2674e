"""Start weights: of an encoder (ImageNet, a file, none) or of a whole network (released or checkpointed weights)."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

State = dict[str, Tensor]


class StartWeightsError(ValueError):
    """The weights to start from do not fit the network; the message says which tensors differ."""


def encoder_state(network: torch.nn.Module, source: str, name: str) -> State:
    """`network`'s state with its encoder's tensors from `source`: "none", "imagenet" (downloaded by
    segmentation_models_pytorch from its hub) or a safetensors file.

    A file's tensors carry the encoder's own names, or timm's (without smp's `model.`), in any float type.
    """
    state = network.state_dict()
    if source == "none":
        return state
    if source == "imagenet":
        import segmentation_models_pytorch as smp

        given: State = smp.encoders.get_encoder(name, weights="imagenet").state_dict()
    else:
        given = load_file(_existing(source))
    wanted = {key.removeprefix("encoder.") for key in state if key.startswith("encoder.")}
    prefix = "model." if not (given.keys() & wanted) else ""
    return _replace(state, {f"encoder.{prefix}{key}": value for key, value in given.items()}, "encoder.", source)


def network_state(network: torch.nn.Module, source: str) -> State:
    """`network`'s state wholly from `source`: a released folder, a safetensors file or a training checkpoint."""
    path = _existing(source)
    path = path / "weights.safetensors" if path.is_dir() else path
    given = checkpoint_state(path) if path.suffix in (".ckpt", ".pt", ".pth") else load_file(path)
    return _replace(network.state_dict(), given, "", source)


def checkpoint_state(path: Path) -> State:
    """The released side of a training checkpoint: averaged weights where the recipe averages, else the plain ones.

    Checkpoints are data: they are read with `weights_only`, which runs no code from the file.
    """
    content = torch.load(path, map_location="cpu", weights_only=True)
    if "state_dict" not in content or "hyper_parameters" not in content:
        raise StartWeightsError(f"{path}: not a checkpoint of scripts/train (convert others with import-checkpoint)")
    averages = content["hyper_parameters"]["recipe"]["optimiser"]["ema"] > 0
    prefix = "averaged.module." if averages else "network."
    return {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}


def _existing(source: str) -> Path:
    path = Path(source)
    if not path.exists():
        raise StartWeightsError(
            f"start weights {source} do not exist; give a file, a released folder, or for an encoder imagenet or none"
        )
    return path


def _replace(state: State, given: State, prefix: str, source: str) -> State:
    """`state` with everything below `prefix` from `given`; counters of BatchNorm may be absent, nothing else."""
    wanted = {key for key in state if key.startswith(prefix) and not key.endswith("num_batches_tracked")}
    missing = sorted(wanted - given.keys())
    unknown = sorted(key for key in given.keys() - state.keys())
    differ = sorted(key for key in wanted & given.keys() if state[key].shape != given[key].shape)
    if missing or unknown or differ:
        raise StartWeightsError(
            f"{source} does not fit: {len(missing)} tensors missing {missing[:3]}, {len(unknown)} unknown "
            f"{unknown[:3]}, {len(differ)} of another shape {differ[:3]}; start with weights of the same architecture"
        )
    return {**state, **{key: value.to(state[key].dtype) for key, value in given.items()}}
