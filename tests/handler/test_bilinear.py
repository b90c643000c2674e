"""Resizing, held against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from handler.bilinear import bilinear


def reference(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    tensor = torch.from_numpy(plane.astype(np.float64))[None, None]
    sized = torch.nn.functional.interpolate(
        tensor, size=(height, width), mode="bilinear", align_corners=False, antialias=True
    )
    return sized[0, 0].numpy().astype(np.float32)


@settings(max_examples=40, deadline=None)
@given(*[st.integers(1, 90)] * 4, st.integers(0, 2**31))
def test_as_pytorch_does(height: int, width: int, tall: int, wide: int, seed: int) -> None:
    plane = np.random.default_rng(seed).random((height, width), np.float32)
    found = bilinear(plane, tall, wide)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((tall, wide), np.float32, True)
    np.testing.assert_allclose(found, reference(plane, tall, wide), atol=2e-6)


@pytest.mark.parametrize("size", [(32, 400), (400, 32), (33, 33)])
def test_a_plain_plane_stays_plain(size: tuple[int, int]) -> None:
    np.testing.assert_allclose(bilinear(np.full((64, 64), 0.7, np.float32), *size), 0.7, rtol=1e-6)
