"""What is fitted on: the named reason fits what was done, and nothing is called spoiled that stayed as it was."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch

from handler.trust.gate import CLASSES
from training.trust import augment
from training.trust.augment import PICTURE, class_of, other_pictures, own_slices


def head(t1: int, flair: int, t1c: int) -> np.ndarray:
    """A head whose front, at the top, is bright; three sequences."""
    rows, columns = np.mgrid[:PICTURE, :PICTURE] / PICTURE - 0.5
    inside = (rows / 0.4) ** 2 + (columns / 0.3) ** 2 < 1
    image = np.zeros((PICTURE, PICTURE, 3), np.uint8)
    image[inside] = (t1, flair, t1c)
    image[inside & (rows < -0.15)] = 250
    return image


def drawn_as(
    name: str, picture: np.ndarray, count: int, patch: pytest.MonkeyPatch
) -> tuple[torch.Tensor, Counter[str]]:
    patch.setattr(augment, "OWN", {name: 1.0})
    pictures, classes = own_slices(np.stack([picture] * count), np.random.default_rng(3))
    assert pictures.shape == (count, 3, 64, 64)
    assert 0 <= float(pictures.min()) <= float(pictures.max()) <= 1
    return pictures, Counter(CLASSES[i] for i in classes.tolist())


@pytest.mark.parametrize("name", ["order", "reversed", "grey T1", "grey T1c", "no FLAIR"])
def test_sequences_that_are_copies_cannot_be_swapped(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, told = drawn_as(name, head(120, 120, 120), 8, monkeypatch)
    assert told == {"accepted": 8}
    _, told = drawn_as(name, head(60, 120, 200), 8, monkeypatch)
    assert told == {"other_contrast": 8}


def test_flair_alone_is_accepted_and_t1_alone_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, told = drawn_as("as it is", head(60, 120, 200), 40, monkeypatch)
    assert told == {"accepted": 40}
    grey = [bool((one[0] - one[2]).abs().max() < 0.25) for one in pictures]
    assert 2 <= sum(grey) <= 20
    pictures, told = drawn_as("grey T1", head(60, 120, 200), 8, monkeypatch)
    assert told == {"other_contrast": 8}


def test_what_is_upside_down_has_its_front_at_the_bottom(monkeypatch: pytest.MonkeyPatch) -> None:
    up, told = drawn_as("as it is", head(60, 120, 100), 8, monkeypatch)
    down, turned = drawn_as("upside down", head(60, 120, 100), 8, monkeypatch)
    assert (told, turned) == ({"accepted": 8}, {"upside_down": 8})
    for pictures, sign in ((up, 1), (down, -1)):
        halves = pictures[:, :, :32].mean(dim=(1, 2, 3)) - pictures[:, :, 32:].mean(dim=(1, 2, 3))
        assert (sign * halves > 0).all()


def test_other_pictures_keep_their_reason_and_every_draw_is_another() -> None:
    pictures = np.stack([head(60, 120, 200)] * 6)
    classes = np.array([class_of(reason) for reason in ("not_a_brain", "other_plane", None) * 2])
    random = np.random.default_rng(1)
    first, told = other_pictures(pictures, classes, random)
    second, _ = other_pictures(pictures, classes, random)
    assert told.tolist() == classes.tolist()
    assert not torch.equal(first, second)
