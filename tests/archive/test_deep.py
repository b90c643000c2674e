"""Networks over several slices are packaged as others are: every engine that takes them computes what PyTorch does."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from archive import convert
from archive.convert import add_engines
from archive.engines.convert import ConversionError
from archive.rehearsal import rehearse
from handler.card import OVER_VOLUMES, Architecture, FileRecord, HeadCrop, InputSpec, ModelCard, read_card
from handler.depth import SLAB, VOLUME
from handler.engines import open_engine
from handler.network import build
from handler.predict import predict
from handler.resources import Plan
from handler.volumetric import LABEL
from tests.handler.test_depth import noise, scan_of
from tests.tiny import TINY
from training.release.folder import write_release

pytestmark = pytest.mark.slow
BESIDE = (replace(TINY, in_channels=9), InputSpec(64, 64, depth=3))
OVER = (Architecture(OVER_VOLUMES, LABEL, (4, 4, 8)), InputSpec(64, 64, depth=VOLUME))
CASES = [(BESIDE, "onnxruntime"), (BESIDE, "openvino"), (BESIDE, "ncnn"), (OVER, "onnxruntime")]


@pytest.fixture(autouse=True)
def on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "plan", lambda: Plan(1, 1))


def released(folder: Path, architecture: Architecture, spec: InputSpec) -> ModelCard:
    torch.manual_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    card = ModelCard("brainseg", "3.9", FileRecord("w", "", 0), architecture, spec, crop=HeadCrop(0.1, 0))
    return write_release(folder, build(architecture).state_dict(), card)


@pytest.mark.parametrize(
    ("network", "engine"), CASES, ids=lambda value: value if isinstance(value, str) else value[0].label
)
def test_engines_compute_what_pytorch_computes(
    network: tuple[Architecture, InputSpec], engine: str, tmp_path: Path
) -> None:
    add_engines(released(tmp_path, *network), tmp_path, engine).write(tmp_path)
    card = read_card(tmp_path)
    assert card.parity[engine]["within"]
    reference, converted = (open_engine(name, card, tmp_path, 2) for name in ("torch", engine))
    for slices in (1, 7, SLAB + 3):
        scan = scan_of(noise(slices))
        found = predict(converted, card, scan).probabilities
        np.testing.assert_allclose(found, predict(reference, card, scan).probabilities, atol=1e-4)
        with ThreadPoolExecutor(2) as beside:  # two clients at a time
            both = [beside.submit(predict, converted, card, scan) for _ in range(2)]
        for one in both:
            assert np.array_equal(one.result().probabilities, found)


@pytest.mark.parametrize("engine", ["ncnn", "openvino"])
def test_what_an_engine_does_not_take_is_said(engine: str, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=f"{engine} is not taken for networks over volumes"):
        add_engines(released(tmp_path, *OVER), tmp_path, engine)


@pytest.mark.parametrize(
    "network",
    # Half a minute, and packaged for real above.
    [pytest.param(BESIDE, id="neighbours"), pytest.param(OVER, id="volume", marks=pytest.mark.long)],
)
def test_they_are_rehearsed_before_they_are_trained(network: tuple[Architecture, InputSpec]) -> None:
    lines = rehearse(build(network[0]), *network)
    assert lines[-1] == f"rehearsed: {network[0].label} can be packaged; onnxruntime would serve it"
