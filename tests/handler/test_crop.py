"""Crop and paste back: the head at the border, odd sizes, no head at all; and the same mask in a stack as alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from handler.card import HeadCrop
from handler.crop import STEP, head_box

CROP = HeadCrop(threshold=0.05, margin=8)


def image_with_head(size: tuple[int, int], top: int, left: int, height: int, width: int) -> np.ndarray:
    image = np.zeros((*size, 3), np.float32)
    image[top : top + height, left : left + width, 1] = 0.5
    return image


sides = st.integers(1, 8).map(lambda n: n * STEP)


@given(st.data(), sides, sides)
def test_the_box_holds_the_head_and_fits(data: st.DataObject, rows: int, columns: int) -> None:
    height, width = data.draw(st.integers(1, rows)), data.draw(st.integers(1, columns))
    top, left = data.draw(st.integers(0, rows - height)), data.draw(st.integers(0, columns - width))
    box = head_box(image_with_head((rows, columns), top, left, height, width), CROP)
    assert box is not None
    assert 0 <= box.top <= top
    assert top + height <= box.bottom <= rows
    assert 0 <= box.left <= left
    assert left + width <= box.right <= columns
    assert box.shape[0] % STEP == 0
    assert box.shape[1] % STEP == 0
    # The margin is kept wherever the image has room for it.
    assert box.top <= max(0, top - CROP.margin) or box.shape[0] == rows
    assert box.bottom >= min(rows, top + height + CROP.margin) or box.shape[0] == rows


def test_no_head_no_box() -> None:
    assert head_box(np.full((64, 96, 3), 0.05, np.float32), CROP) is None


def test_without_crop_the_whole_image() -> None:
    box = head_box(np.zeros((64, 96, 3), np.float32), None)
    assert box is not None
    assert box.shape == (64, 96)


@pytest.mark.parametrize("channel", [0, 1, 2])
def test_any_channel_counts(channel: int) -> None:
    image = np.zeros((64, 64, 3), np.float32)
    image[40, 20, channel] = 0.06
    assert head_box(image, CROP) is not None
