"""Networks and cards of several classes: three of a glioma, as BraTS has them, told apart by how bright a pixel is, and
phantoms drawn for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from handler.card import Architecture, InputSpec, ModelCard
from handler.labels import SIGMOID, SOFTMAX, Code, Label, Region
from handler.pipeline import Model
from tests.detector import passing_on
from tests.handler.models import SmallEngine, card
from tests.tiny import TINY
from training.release.folder import write_release

NECROSIS, OEDEMA, ENHANCING = 1, 2, 3
LABELS = (
    Label(NECROSIS, "necrosis and non-enhancing core", (255, 0, 0), Code("6574001", "SCT", "Necrosis")),
    Label(OEDEMA, "oedema", (0, 200, 0), Code("79654002", "SCT", "Edema")),
    Label(ENHANCING, "enhancing tumour", (255, 220, 0), Code("C113842", "NCIt", "Enhancing Lesion")),
)
REGIONS = {
    SOFTMAX: (
        Region("whole tumour", (1, 2, 3)),
        Region("tumour core", (1, 3)),
        Region("enhancing tumour", (3,)),
    ),
    SIGMOID: (
        Region("whole tumour", (1, 2, 3), writes=OEDEMA),
        Region("tumour core", (1, 3), writes=NECROSIS),
        Region("enhancing tumour", (3,), writes=ENHANCING),
    ),
}
BY_BRIGHTNESS = (OEDEMA, NECROSIS, ENHANCING)
CUTS = (0.3, 0.5, 0.7)  # of FLAIR: brighter is oedema, necrosis, enhancing
# Of 255, in the middle between cuts; the brightest is where a volume's are brought to.
GREY = {0: 51, OEDEMA: 102, NECROSIS: 153, ENHANCING: 208}
GAIN = 60.0


def labelled_card(activation: str = SOFTMAX, **changes: Any) -> ModelCard:
    known = {"labels": LABELS, "regions": REGIONS[activation], "activation": activation}
    classes = {SOFTMAX: 4, SIGMOID: 3}[activation]
    return card(**{"architecture": Architecture(classes=classes), **known, **changes})


def brightness_rule(activation: str) -> torch.nn.Conv2d:
    """1 x 1 over FLAIR x: a region's logit is GAIN (x - its cut). Of softmax each label in the order of brightness has
    that much more than the one before, so that the largest changes at the cuts."""
    spec = InputSpec()
    rule = torch.nn.Conv2d(3, 3 if activation == SIGMOID else 4, 1)
    with torch.no_grad():
        rule.weight.zero_()
        assert rule.bias is not None
        rule.bias.zero_()
        for channel, slope, cut in _lines(activation):
            rule.weight[channel, 1] = GAIN * slope * spec.std[1]
            rule.bias[channel] = GAIN * (slope * spec.mean[1] - cut)
    return rule.eval()


def _lines(activation: str) -> list[tuple[int, float, float]]:
    """(channel, slope, cut): its logit is GAIN (slope * FLAIR - cut)."""
    if activation == SIGMOID:
        return [(channel, 1.0, cut) for channel, cut in enumerate(CUTS)]
    return [(label, n, sum(CUTS[:n])) for n, label in enumerate(BY_BRIGHTNESS, 1)]


def write_labelled_detector(store: Path, name: str = "brainseg-regions", version: str = "0.1") -> Path:
    """``store``/NAME-VERSION: a real network of :data:`LABELS` by softmax that computes the same as
    :func:`brightness_rule`, on a grid of half the resolution."""
    architecture = replace(TINY, classes=4)
    state = passing_on(architecture)
    for channel, slope, cut in _lines(SOFTMAX):
        state["segmentation_head.0.weight"][channel, 0, 1, 1] = GAIN * slope
        state["segmentation_head.0.bias"][channel] = -GAIN * cut
    spec = InputSpec(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    card = labelled_card(name=name, version=version, architecture=architecture, input=spec)
    folder = store / f"{name}-{version}"
    write_release(folder, state, card)
    return folder


def labelled_model(activation: str = SOFTMAX, **changes: Any) -> Model:
    return Model(labelled_card(activation, **changes), SmallEngine(brightness_rule(activation)))


def truth(side: int = 256, core: bool = True) -> NDArray[np.uint8]:
    """(side, side): oedema, in it necrosis with a ring that enhances; without ``core`` a spot that enhances alone."""
    y, x = np.mgrid[:side, :side] / side
    far = np.hypot(y - 0.55, x - 0.4)
    if not core:
        return np.where(far < 0.08, ENHANCING, 0).astype(np.uint8)
    values = np.zeros((side, side), np.uint8)
    values[far < 0.2] = OEDEMA
    values[far < 0.12] = ENHANCING
    values[far < 0.07] = NECROSIS
    return values


def painted(values: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels (...) -> grey of three equal channels (..., 3), a head around them."""
    table = np.array([GREY[value] for value in range(4)], np.uint8)
    return np.repeat(table[values][..., None], 3, axis=-1)
