"""Planes of numbers to another size: what PyTorch's interpolation computes, but without PyTorch, which is half a
gigabyte of a worker that runs the network by something else."""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@functools.lru_cache(maxsize=64)  # of two sides there and two back, for some sizes of scans
def _weights(before: int, after: int) -> csr_array:
    """Float32 (after, before): row i says how much of each sample goes into sample i. A triangle around the sample's
    centre, as wide as two samples of the coarser grid, cut at the edges and scaled to 1: the filter of Pillow and of
    PyTorch with ``antialias``."""
    scale = before / after
    support = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale
    first = np.maximum((centres - support + 0.5).astype(np.int64), 0)
    last = np.minimum((centres + support + 0.5).astype(np.int64), before)
    columns = first[:, None] + np.arange((last - first).max())
    weights = np.maximum(1.0 - np.abs(columns + 0.5 - centres[:, None]) / support, 0.0)
    weights[columns >= last[:, None]] = 0.0
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(after)[:, None], columns.shape)
    used = weights > 0
    return csr_array((weights[used].astype(np.float32), (rows[used], columns[used])), shape=(after, before))


def bilinear(plane: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """``plane`` (h, w) -> (height, width), float32: bilinear with the pixel centres aligned, antialiased when
    shrinking. Values stay between the smallest and the largest that came, to the last digit but one."""
    plane = np.ascontiguousarray(plane, np.float32)
    if height > plane.shape[0]:  # columns first: fewer numbers
        wide = (_weights(plane.shape[1], width) @ plane.T).T
        return _weights(plane.shape[0], height) @ np.ascontiguousarray(wide)
    tall = _weights(plane.shape[0], height) @ plane
    return np.ascontiguousarray((_weights(plane.shape[1], width) @ tall.T).T)
