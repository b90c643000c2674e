"""What a gate's word costs and spares, on slices whose gate and network are known."""

from __future__ import annotations

import numpy as np
import pytest

from handler.trust.thumbs import thumbs
from tests.gates import by_t1
from tests.handler.models import FLAIR_RULE, SmallEngine, card
from training.trust.collect import Group
from training.trust.consequence import consequences, segmenting

PASSES, REFUSED = 60, 200  # of the first channel


def heads(*first: int) -> np.ndarray:
    """Heads with a bright square in the second channel."""
    images = np.zeros((len(first), 64, 64, 3), np.uint8)
    for image, value in zip(images, first, strict=True):
        image[8:56, 8:56] = (value, 60, 60)
        image[20:30, 20:30, 1] = 255
    return images


def test_tumour_in_healthy_heads_counts_where_they_pass_and_dice_where_slices_are_refused() -> None:
    images = heads(PASSES, PASSES, REFUSED)
    images[1, ..., 1] = np.minimum(images[1, ..., 1], 60)
    seen = thumbs(images.astype(np.float32) / 255)
    truths = np.zeros((3, 64, 64), np.bool_)
    truths[:, 20:30, 20:25] = True
    groups = [
        Group("healthy", "other_contrast", True, seen, images=images),
        Group("own", None, True, seen, ("a", "a", "b"), images, truths),
        Group("not asked", None, True, seen),
    ]
    healthy, own = consequences(by_t1(), groups, segmenting(SmallEngine(FLAIR_RULE), card()))
    assert healthy == {"kind": "healthy", "slices": 3, "passed": 2, "called_tumour": 1}
    assert (own["refused"], own["refused_with_tumour"]) == (1, 1)
    assert own["refused_dice"] == pytest.approx(2 / 3, abs=1e-3)
