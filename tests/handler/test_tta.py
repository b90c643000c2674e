"""tta=flip: each slice is looked at in the mirror too, of stacks and volumes as of pictures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from handler.card import HeadCrop
from handler.decode import decode
from handler.engines.mirrored import Mirrored, looking
from handler.pipeline import Model
from prove.drawn.pictures import png, tiff
from prove.drawn.volumes import nifti
from samples.phantom import draw, draw_stack
from tests.contract import picture
from tests.handler.models import FLAIR_CHANNEL, SmallEngine, model
from tests.handler.test_pipeline import mask_of, refused, told
from tests.handler.volumes import test_way

LESION = draw(7, 0.09)
FLIP = {"X_BrainSeg_Tta": "flip"}
AWAY = 6


def lopsided() -> torch.nn.Conv2d:
    """The logit is 20 * (FLAIR - 0.6) of the pixel :data:`AWAY` columns to the left."""
    rule = torch.nn.Conv2d(3, 1, (1, 2 * AWAY + 1), padding=(0, AWAY))
    with torch.no_grad():
        rule.weight.zero_()
        rule.weight[0, FLAIR_CHANNEL, 0, 0] = 20.0
        rule.bias.fill_(-12.0)
    return rule.eval()


@pytest.fixture
def leaning() -> Model:
    return model(lopsided(), crop=HeadCrop(0.05, 0), min_lesion_pixels=5)


def steps(answer: dict[str, Any]) -> np.ndarray:
    return decode(picture(answer, "probability")).pixels[0, ..., 0].astype(int)


def test_the_mean_of_both_looks() -> None:
    images = np.random.default_rng(0).normal(size=(3, 3, 32, 64)).astype(np.float32)
    engine = SmallEngine(lopsided(), 3)
    mirrored = engine.logits(np.ascontiguousarray(images[:, :, :, ::-1]))[:, :, ::-1]
    np.testing.assert_allclose(Mirrored(engine).logits(images), (engine.logits(images) + mirrored) / 2, atol=1e-5)
    assert looking(engine, "none") is engine
    assert looking(engine, "flip").batch == engine.batch


def test_a_mirrored_picture_gets_the_mirrored_answer(leaning: Model) -> None:
    """Which one look alone does not give: the network that is asked here leans to one side."""
    sent = png(LESION.image), png(np.ascontiguousarray(LESION.image[:, ::-1]))
    found = {
        tta: [steps(told(leaning, one, X_BrainSeg_Outputs="probability", X_BrainSeg_Tta=tta)) for one in sent]
        for tta in ("none", "flip")
    }
    assert np.abs(found["none"][0][:, ::-1] - found["none"][1]).max() > 30000
    inner = slice(2 * AWAY, -2 * AWAY)  # the two boxes around the head may lie a pixel apart
    assert np.abs(found["flip"][0][:, ::-1] - found["flip"][1])[:, inner].max() <= 1


def test_the_answer_says_how_was_looked(leaning: Model) -> None:
    assert told(leaning, png(LESION.image))["tta"] == "none"
    assert told(leaning, png(LESION.image), **FLIP)["tta"] == "flip"
    assert "flip" in refused(leaning, png(LESION.image), "invalid_parameter", X_BrainSeg_Tta="rotate")


@pytest.mark.parametrize("batch", [1, 4])
def test_a_slice_has_the_same_mask_in_a_stack_as_alone(batch: int) -> None:
    phantoms = draw_stack(3, 5, 192)
    file = tiff([phantom.image for phantom in phantoms], photometric="rgb", compression="zlib")
    stacked = told(model(lopsided(), batch=batch), file, **FLIP)
    assert stacked["tumor_pixels"] > 0
    for index, phantom in enumerate(phantoms):
        alone = told(model(lopsided()), png(phantom.image), **FLIP)
        np.testing.assert_array_equal(mask_of(stacked, index), mask_of(alone))


def test_of_a_volume_too() -> None:
    """A lesion at a head's edge is seen from both sides: half of what leans over to the left, half to the right."""
    scan, _ = test_way.head()
    found = {
        tta: test_way.told(model(lopsided()), nifti(scan), X_BrainSeg_Tta=tta)["lesions"] for tta in ("none", "flip")
    }
    assert found["none"]
    assert found["none"] != found["flip"]
