"""What cannot be packaged is said before the training."""

from __future__ import annotations

import pytest
import torch

from archive import convert
from archive.engines.convert import CONVERTERS, ConversionError
from archive.rehearsal import rehearse
from handler.card import Architecture, FileRecord, InputSpec, ModelCard
from handler.network import build, usual
from tests.tiny import TINY

pytestmark = pytest.mark.slow
SPEC = InputSpec(64, 64)


def test_a_network_that_can_be_packaged() -> None:
    lines = rehearse(build(TINY), TINY, SPEC)
    assert lines == [f"rehearsed: {TINY.label} can be packaged; onnxruntime would serve it"]


def test_what_no_converter_takes_is_served_by_pytorch_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(card: ModelCard, folder: object) -> tuple[FileRecord, ...]:
        raise ConversionError("it does not know F.odd")

    for name in convert.CONVERTERS:
        monkeypatch.setitem(CONVERTERS, name, refuse)
    lines = rehearse(build(TINY), TINY, SPEC)
    assert lines[0] == "onnxruntime cannot serve this network: it does not know F.odd"
    assert lines[-1].endswith("torch would serve it")


def test_other_decoders_and_fewer_channels() -> None:
    flair = InputSpec(64, 64, (0.456,), (0.224,), ("flair",))
    architecture = usual("fpn", "resnet18", 1)
    said = rehearse(build(architecture), architecture, flair)
    assert said[-1] == "rehearsed: fpn-resnet18 can be packaged; onnxruntime would serve it"


def test_a_network_that_does_not_see_the_box_of_a_small_head(monkeypatch: pytest.MonkeyPatch) -> None:
    class Deep(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = torch.nn.Conv2d(3, 1, 49)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.nn.functional.pad(self.first(images), (24, 24, 24, 24))

    monkeypatch.setattr("handler.network.build", lambda architecture: Deep())
    with pytest.raises(ValueError, match=r"unet-vgg16 cannot see \(1, 3, 32, 32\)"):
        rehearse(Deep(), Architecture(), SPEC)


def test_a_network_that_nothing_can_serve(monkeypatch: pytest.MonkeyPatch) -> None:
    class Coarse(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 1, 2, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.convolution(images)

    monkeypatch.setattr("handler.network.build", lambda architecture: Coarse())
    with pytest.raises(ValueError, match="expected a logit a pixel"):
        rehearse(Coarse(), Architecture(), SPEC)
