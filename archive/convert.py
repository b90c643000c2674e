"""A release's weights -> the files of the ncnn engine, and the proof that it computes the same."""

from __future__ import annotations

import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pnnx
import torch
from numpy.typing import NDArray
from timm.layers.conv2d_same import Conv2dSame

from archive.known import HALF_PROBABILITY_TOLERANCE
from handler.card import FileRecord, ModelCard
from handler.engines import Engine, open_engine
from handler.engines.ncnn_engine import PARAM_FILE, SIDE_STEP, WEIGHTS_FILE, NcnnEngine
from handler.engines.torch_engine import HALF, TorchEngine
from handler.files import write_atomic
from handler.network import load
from handler.predict import calibrated
from handler.preprocess import normalise
from handler.resources import plan
from samples.phantom import draw

# The bar for an engine: farther from the reference in a probability, or a pixel that changes sides although the
# reference is this far from the threshold, and there is no archive.
TOLERANCE = 1e-3
# The same for half precision, the torch engine's on CUDA: what known answers are compared with there.
HALF_TOLERANCE = HALF_PROBABILITY_TOLERANCE
# A CPU without float16 arithmetic takes seconds a slice for it, so only the first phantom is compared, at both sizes.
HALF_INPUTS = 2


class ParityError(Exception):
    """An engine does not compute what the reference computes."""


def _static(convolution: Conv2dSame) -> torch.nn.Module:
    """TensorFlow's "same" padding depends on the input's size, which ncnn cannot express. For sizes divisible by the
    stride, and the network's always are, it is a constant: d (k - 1) + 1 - s in all, the smaller half first."""
    pads = []
    for kernel, stride, dilation in zip(
        reversed(convolution.kernel_size), reversed(convolution.stride), reversed(convolution.dilation), strict=True
    ):
        total = max(dilation * (kernel - 1) + 1 - stride, 0)
        pads += [total // 2, total - total // 2]
    plain = torch.nn.Conv2d(
        convolution.in_channels,
        convolution.out_channels,
        (convolution.kernel_size[0], convolution.kernel_size[1]),
        (convolution.stride[0], convolution.stride[1]),
        0,
        (convolution.dilation[0], convolution.dilation[1]),
        convolution.groups,
        convolution.bias is not None,
    )
    plain.load_state_dict(convolution.state_dict())
    return torch.nn.Sequential(torch.nn.ZeroPad2d((pads[0], pads[1], pads[2], pads[3])), plain)


def with_static_padding(network: torch.nn.Module) -> torch.nn.Module:
    """``network``, its size-dependent paddings replaced by constant ones, in place."""
    for name, child in network.named_children():
        if isinstance(child, Conv2dSame):
            setattr(network, name, _static(child))
        else:
            with_static_padding(child)
    return network


def _pnnx(traced: Path, shapes: Sequence[tuple[int, int]]) -> None:
    """Runs pnnx beside ``traced``. Two shapes: with one, pnnx bakes it in, and other sizes give wrong pixels."""
    named = [f"inputshape{i or ''}=[1,3,{h},{w}]f32" for i, (h, w) in zip((0, 2), shapes, strict=True)]
    program = Path(pnnx.__file__).parent / "pnnx"
    command = [str(program), traced.name, *named, "fp16=0"]
    command += [f"ncnnparam={PARAM_FILE}", f"ncnnbin={WEIGHTS_FILE}"]
    done = subprocess.run(command, cwd=traced.parent, capture_output=True, text=True, check=False)
    text = done.stdout + done.stderr
    if done.returncode or "ignore " in text:
        raise ParityError(f"pnnx could not convert the network for ncnn: {text.strip()[-1000:]}")


def convert(card: ModelCard, folder: Path, output: Path) -> tuple[FileRecord, ...]:
    """Writes the ncnn files of the release in ``folder`` to ``output`` ; their records. In float32: pnnx
    folds BatchNorm into the convolutions, and rounding the products to fp16 again costs 4e-3 of probability."""
    network = with_static_padding(load(card, folder))
    height, width = card.input.height, card.input.width
    shapes = [(height, width), (height + SIDE_STEP, width + 2 * SIDE_STEP)]
    inside = tempfile.TemporaryDirectory(prefix="brainseg-pnnx-", dir=output.parent)
    with inside as workspace, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch.jit.trace is deprecated; pnnx reads nothing else
        traced = Path(workspace) / "network.pt"
        torch.jit.trace(network, torch.zeros(1, 3, height, width)).save(str(traced))  # type: ignore[no-untyped-call]
        _pnnx(traced, shapes)
        for name in (PARAM_FILE, WEIGHTS_FILE):
            write_atomic(output / name, (traced.parent / name).read_bytes())
    return tuple(FileRecord.of(output / name) for name in (PARAM_FILE, WEIGHTS_FILE))


def parity_inputs(card: ModelCard) -> list[NDArray[np.float32]]:
    """The fixed set: phantoms with and without lesion, noise, black, white; at the network's size and at others."""
    side = SIDE_STEP * 8
    images = [
        (draw(seed, radius, side).image / 255).astype(np.float32) for seed, radius in ((1, 0.09), (2, 0.0), (3, 0.04))
    ]
    images += [np.random.default_rng(4).random((side, side, 3), np.float32)]
    images += [np.zeros((side, side, 3), np.float32), np.ones((side, side, 3), np.float32)]
    cuts = [image[:h, :w] for image in images for h, w in ((side, side), (side - SIDE_STEP, side - 2 * SIDE_STEP))]
    return [normalise(cut[None].astype(np.float32), card.input.mean, card.input.std) for cut in cuts]


def difference(
    card: ModelCard, reference: Engine, engine: Engine, tolerance: float, count: int | None = None
) -> dict[str, Any]:
    """How far ``engine`` is from ``reference`` on the first ``count`` of :func:`parity_inputs` (None: all). ``within``:
    no probability differs by more than ``tolerance``, and no pixel that is farther than that from the threshold changes
    sides."""
    largest, flipped = 0.0, 0
    inputs = parity_inputs(card)[:count]
    for image in inputs:
        want = calibrated(reference.logits(image), card.calibration)
        got = calibrated(engine.logits(image), card.calibration)
        # max() would pass over NaN, and so would a comparison: it counts as a difference without bound.
        largest = max(largest, float(np.nan_to_num(np.abs(want - got), nan=np.inf).max()))
        clear = np.abs(want - card.threshold) > tolerance
        flipped += int(np.count_nonzero(clear & ((want > card.threshold) != (got > card.threshold))))
    return {
        "inputs": len(inputs),
        "max_probability_difference": round(largest, 8),
        "flipped_pixels": flipped,
        "tolerance": tolerance,
        "reference": reference.name,
        "within": bool(largest <= tolerance and not flipped),
    }


def compare(card: ModelCard, reference: Engine, engine: Engine) -> Mapping[str, Any]:
    """The record of :func:`difference`; raises :class:`ParityError` when it is not within :data:`TOLERANCE`."""
    record = difference(card, reference, engine, TOLERANCE)
    if not record["within"]:
        raise ParityError(f"engine {engine.name} differs from {reference.name}: {record}")
    return record


def add_engines(card: ModelCard, folder: Path) -> ModelCard:
    """Converts the release in ``folder`` (card and weights; the files are written beside them), proves parity, and
    returns the card with the engine's files and the record. Raises :class:`ParityError`."""
    records = convert(card, folder, folder)
    converted = card.with_changes(engines={NcnnEngine.name: records})
    threads = plan().threads
    reference = open_engine("torch", converted, folder, threads)
    engine = open_engine(NcnnEngine.name, converted, folder, threads)
    half = TorchEngine(converted, folder, threads, half=True)
    proven = {
        NcnnEngine.name: compare(card, reference, engine),
        # Not within: no reason to refuse the archive, for CUDA then computes in float32.
        HALF: difference(card, reference, half, HALF_TOLERANCE, HALF_INPUTS),
    }
    return converted.with_changes(parity=proven)
