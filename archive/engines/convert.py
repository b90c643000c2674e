"""A release's weights -> the files of an engine. A new engine is a function here, and a line in ``CONVERTERS``."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from archive.engines.doubling import with_cheap_doubling
from archive.engines.norm import with_stepwise_norms
from archive.engines.padding import with_static_padding
from handler.card import FileRecord, ModelCard
from handler.engines.files import INPUT, ONNX_FILE, OUTPUT, SIDE_STEP
from handler.engines.ncnn_engine import PARAM_FILE, WEIGHTS_FILE
from handler.files import write_atomic
from handler.network import load

# What both runtimes have read for years, and holds all that the released networks do.
OPSET = 17


class ConversionError(Exception):
    """A converter does not know something of the network; the message says what."""


def to_onnx(card: ModelCard, folder: Path) -> tuple[FileRecord, ...]:
    """Writes the ONNX file of the release in ``folder`` there; its record. Of any number of slices of any size."""
    slab = card.input.view.slab
    depth = (card.input.view.seen,) if slab else ()  # of a slab, which always has as many slices
    image = torch.zeros(1, card.architecture.in_channels, *depth, card.input.height, card.input.width)
    network = load(card, folder)
    network = with_stepwise_norms(network) if slab else with_cheap_doubling(with_static_padding(network), image)
    free = {0: "slices", image.ndim - 2: "height", image.ndim - 1: "width"}
    with tempfile.TemporaryDirectory(prefix="brainseg-onnx-", dir=folder.parent) as name:
        path = Path(name) / ONNX_FILE
        try:
            _export(network, image, path, {INPUT: free, OUTPUT: free})
        except Exception as error:  # of many kinds: whatever PyTorch's exporter stumbles over
            raise ConversionError(f"PyTorch could not export the network as ONNX: {_last_line(error)}") from error
        write_atomic(folder / ONNX_FILE, path.read_bytes())
    return (FileRecord.of(folder / ONNX_FILE),)


def _export(network: torch.nn.Module, image: torch.Tensor, path: Path, free: dict[str, dict[int, str]]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # By tracing: PyTorch's newer exporter wants onnxscript beside onnx, and takes ten times as long.
        torch.onnx.export(
            network,
            (image,),
            str(path),
            dynamo=False,
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=free,
            opset_version=OPSET,
        )


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]


def to_ncnn(card: ModelCard, folder: Path) -> tuple[FileRecord, ...]:
    """Writes the ncnn files of the release in ``folder`` there; their records. In float32: pnnx folds BatchNorm into
    the convolutions, and rounding the products to fp16 again costs 4e-3 of probability."""
    network = with_static_padding(load(card, folder))
    height, width = card.input.height, card.input.width
    shapes = [(height, width), (height + SIDE_STEP, width + 2 * SIDE_STEP)]
    channels = card.architecture.in_channels
    inside = tempfile.TemporaryDirectory(prefix="brainseg-pnnx-", dir=folder.parent)
    with inside as workspace, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated; pnnx reads nothing else
        traced = Path(workspace) / "network.pt"
        torch.jit.trace(network, torch.zeros(1, channels, height, width)).save(str(traced))  # type: ignore[no-untyped-call]
        _pnnx(traced, shapes, channels)
        for name in (PARAM_FILE, WEIGHTS_FILE):
            write_atomic(folder / name, (traced.parent / name).read_bytes())
    return tuple(FileRecord.of(folder / name) for name in (PARAM_FILE, WEIGHTS_FILE))


def _pnnx(traced: Path, shapes: Sequence[tuple[int, int]], channels: int) -> None:
    """Runs pnnx beside ``traced``. Two shapes: with one, pnnx bakes it in, and other sizes give wrong pixels."""
    import pnnx

    named = [f"inputshape{i or ''}=[1,{channels},{h},{w}]f32" for i, (h, w) in zip((0, 2), shapes, strict=True)]
    program = Path(pnnx.__file__).parent / "pnnx"
    command = [str(program), traced.name, *named, "fp16=0"]
    command += [f"ncnnparam={PARAM_FILE}", f"ncnnbin={WEIGHTS_FILE}"]
    done = subprocess.run(command, cwd=traced.parent, capture_output=True, text=True, check=False)
    unknown = [line.strip() for line in (done.stdout + done.stderr).splitlines() if "ignore " in line]
    if unknown:
        raise ConversionError(f"pnnx does not know for ncnn: {'; '.join(unknown)[:300]}")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"code {done.returncode}"])[-1]
        raise ConversionError(f"pnnx could not convert the network for ncnn: {last[:300]}")


CONVERTERS: dict[str, Callable[[ModelCard, Path], tuple[FileRecord, ...]]] = {
    "onnxruntime": to_onnx,
    "ncnn": to_ncnn,
    "openvino": to_onnx,
}
# Networks over volumes: ncnn's converter was not tried; with OpenVINO 2026.4 a drawn network's probabilities were off
# by 0.017, also where the file has its norms in steps (:mod:`archive.engines.norm`).
WITHOUT_VOLUMES = ("ncnn", "openvino")
