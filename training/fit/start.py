"""Start weights: of an encoder (ImageNet, a file, none) or of a whole network (released or checkpointed weights)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from handler.card import SEQUENCES

State = dict[str, Tensor]
HUBS = ("none", "imagenet")  # sources of an encoder that are no files
# What a classifier has behind the encoder, by the names that torchvision, timm and efficientnet-pytorch give it.
CLASSIFIER = ("fc.", "_fc.", "classifier.", "conv_head.", "bn2.")

# What the readers of weights raise for files that are something else.
UNREADABLE = (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError)


class StartWeightsError(ValueError):
    """Weights that are not there, cannot be read, or do not fit the network; the message says which tensors differ."""


def encoder_state(
    network: torch.nn.Module, source: str, name: str, sequences: Sequence[str] = SEQUENCES, slices: int = 1
) -> State:
    """`network`'s state with its encoder's tensors from `source`: "none", "imagenet" (downloaded by
    segmentation_models_pytorch from its hub) or a safetensors file. Raises StartWeightsError for what cannot be had.

    A file's tensors carry the encoder's own names, or timm's (without smp's `model.`), in any float type; those of the
    classifier that the encoder was trained in are passed over where they have a name of CLASSIFIER. For a network
    that sees fewer `sequences` than the three that a file's first convolution takes, that convolution's are those of
    their places among red, green and blue, larger by as much as there are fewer. `slices`: see `widened`.
    """
    state = network.state_dict()
    if source == "none":
        return state
    given = _downloaded(name) if source == "imagenet" else _read(weights_file(source), load_file)
    wanted = {key.removeprefix("encoder.") for key in state if key.startswith("encoder.")}
    prefix = "model." if not (given.keys() & wanted) else ""
    given = {
        f"encoder.{prefix}{key}": value
        for key, value in given.items()
        if prefix + key in wanted or not key.startswith(CLASSIFIER)
    }
    return _replace(state, widened(_of_sequences(given, state, sequences, slices), state, slices), "encoder.", source)


def _of_sequences(given: State, state: State, sequences: Sequence[str], slices: int) -> State:
    """`given` with its first convolution, of three channels, cut to those of `sequences` where `state` has so many for
    each of `slices`."""
    count, whole = len(sequences), len(SEQUENCES)
    places = [SEQUENCES.index(name) for name in sequences]
    return {
        key: value[:, places] * (whole / count)
        if count < whole and key in state and value.ndim == 4 and value.shape[1] == whole
        and state[key].shape == (value.shape[0], slices * count, *value.shape[2:])
        else value
        for key, value in given.items()
    }  # fmt: skip


def _downloaded(name: str) -> State:
    import segmentation_models_pytorch as smp

    try:
        state: State = smp.encoders.get_encoder(name, weights="imagenet").state_dict()
    except (OSError, KeyError, RuntimeError, ValueError) as error:  # no way to the hub, or it has none for this encoder
        raise StartWeightsError(
            f"ImageNet's weights of {name} cannot be fetched ({str(error.args[0]).split('. ')[0]}); "
            "give --encoder-weights a safetensors file of them, or none"
        ) from error
    return state


def network_state(network: torch.nn.Module, source: str, slices: int = 1) -> State:
    """`network`'s state wholly from `source`: a released folder, a safetensors file or a training checkpoint. `slices`:
    see `widened`."""
    path = weights_file(source)
    is_checkpoint = path.suffix in (".ckpt", ".pt", ".pth")
    given = released_state(load_checkpoint(path)) if is_checkpoint else _read(path, load_file)
    state = network.state_dict()
    return _replace(state, widened(given, state, slices), "", source)


def widened(given: State, wanted: State, slices: int) -> State:
    """`given` for a network that sees `slices` slices in its channels: the first convolution of one that sees a single
    slice, (out, c, h, w), becomes (out, slices * c, h, w), the slice in the middle with the weights that were there and
    its neighbours with zeros. So the network begins as what it was, and learns what neighbours are good for."""
    for key, tensor in given.items():
        shape = wanted[key].shape if key in wanted else tensor.shape
        if slices > 1 and tensor.ndim == 4 and shape == (len(tensor), slices * tensor.shape[1], *tensor.shape[2:]):
            wide = torch.zeros(shape, dtype=tensor.dtype)
            middle = slices // 2 * tensor.shape[1]
            wide[:, middle : middle + tensor.shape[1]] = tensor
            return {**given, key: wide}
    return given


def load_checkpoint(path: Path, data: bytes | None = None) -> dict[str, Any]:
    """What a checkpoint of scripts/train holds; `data` is the file's content, where that has been read. Checkpoints are
    data: they are read with `weights_only`, which runs no code from the file. Raises StartWeightsError for a file that
    is not there or another one."""

    def read(file: Path) -> Any:
        return torch.load(file if data is None else io.BytesIO(data), map_location="cpu", weights_only=True)

    content = _read(weights_file(str(path)), read)
    if not isinstance(content, dict) or "state_dict" not in content or "hyper_parameters" not in content:
        raise StartWeightsError(f"{path}: not a checkpoint of scripts/train (convert others with import-checkpoint)")
    return content


def released_state(content: dict[str, Any]) -> State:
    """The released side of a checkpoint: averaged weights where the recipe averages, else the plain ones."""
    averages = content["hyper_parameters"]["recipe"]["optimiser"]["ema"] > 0
    prefix = "averaged.module." if averages else "network."
    return {k.removeprefix(prefix): v for k, v in content["state_dict"].items() if k.startswith(prefix)}


def file_of(source: str) -> Path:
    """The file that `source`, a file or a released folder, stands for, be it there or not."""
    path = Path(source)
    return path / "weights.safetensors" if path.is_dir() else path


def weights_file(source: str) -> Path:
    """As `file_of`. Raises StartWeightsError if it is not there."""
    file = file_of(source)
    if not file.is_file():
        raise StartWeightsError(
            f"there are no weights {file}; give a file, a released folder, or for an encoder {' or '.join(HUBS)}"
        )
    return file


def name_of(file: Path) -> str:
    """What a weight file is called in records, which travel: with its folder, not where on whose machine that lay."""
    return "/".join(file.parts[-2:])


def pretender(path: Path) -> str | None:
    """What ``path`` is, with what to do, if it only stands where a file of weights should: downloads often end so. None
    for other files, and for one that is not there."""
    try:
        with path.open("rb") as file:
            begin = file.read(512).lstrip().lower()
    except OSError:
        return None
    if begin.startswith(b"version https://git-lfs.github.com/spec/"):
        return "a Git LFS pointer to one: fetch the file itself (git lfs pull)"
    if begin.startswith((b"<!doctype html", b"<html")):
        return "an HTML page, perhaps a site's sign-in or error page: download the file itself"
    return None


def _read(path: Path, reader: Callable[[Path], Any]) -> Any:
    try:
        return reader(path)
    except UNREADABLE as error:
        if what := pretender(path):
            raise StartWeightsError(f"{path} holds no weights; it is {what}") from error
        # torch's own message advises to read the file in a way that may run code from it.
        raise StartWeightsError(
            f"{path} cannot be read ({type(error).__name__}); expected a safetensors file, or a checkpoint of "
            "scripts/train that ends in .ckpt"
        ) from error


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
