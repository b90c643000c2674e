"""Where a classifier looks: Grad-CAM, and how much of its heat lies in the tumour's box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from handler.classifier import Classifier
from handler.explain.pictures import over
from training.types.slices import Box, TypeSlice

CELL = 32  # pixels of the network's grid to a cell of the encoder's last map


@dataclass(frozen=True)
class Look:
    """Of one slice: the share of the heat inside the tumour's box, the box's share of the picture, both 0..1, and
    whether the hottest point lies in the box. `heat` is None where nothing speaks for the class. `most`: the share that
    so coarse a map would have with all its heat in the cells of the box: brought to the picture's grid it spreads."""

    kind: str
    heat: float | None
    area: float
    hit: bool
    most: float


def grad_cam(network: Classifier, pictures: Tensor, classes: Sequence[int]) -> NDArray[np.float32]:
    """Grad-CAM (Selvaraju et al., ICCV 2017) of one class for each of the pictures (n, 3, h, w), normalised, on the
    encoder's last map and brought to the pictures' grid: float32 (n, h, w), 0 or more, not scaled."""
    with torch.no_grad():
        features = network.features(pictures)
    features.requires_grad_(True)
    logits = network.judge(features)
    told = logits[torch.arange(len(logits)), torch.tensor(list(classes))].sum()
    (gradient,) = torch.autograd.grad(told, features)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    maps = (weights * features).sum(dim=1, keepdim=True).relu().detach()
    return _grown(maps, pictures.shape[2:])[:, 0].numpy()


def look(item: TypeSlice, heat: NDArray[np.float32]) -> Look:
    """What a heat map (h, w) of a slice with a box says, which came from a map of h / CELL x w / CELL.

    Raises ValueError for a slice without a box."""
    if item.box is None:
        raise ValueError(f"{item.name} has no box; its table names no tumour")
    inside = item.box.on(*heat.shape)
    total = float(heat.sum())
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    share = float((heat * inside).sum()) / total if total > 0 else None
    cells = item.box.on(heat.shape[0] // CELL, heat.shape[1] // CELL)
    best = _grown(torch.from_numpy(cells)[None, None].float(), heat.shape)[0, 0].numpy()
    most = float((best * inside).sum() / best.sum())
    return Look(item.kind, share, item.box.area, bool(total > 0 and inside[row, column] >= 0.5), most)


def drawn(grid: NDArray[np.float32], heat: NDArray[np.float32], box: Box) -> NDArray[np.uint8]:
    """The slice (h, w), grey in 0..1, with its heat over it and the tumour's box in white: uint8 (h, w, 3)."""
    grey = np.repeat((grid * 255).astype(np.uint8)[..., None], 3, axis=-1)
    picture = over(grey, heat).copy()
    height, width = grid.shape
    top, bottom = (min(int(share * height), height - 1) for share in (box.top, box.bottom))
    left, right = (min(int(share * width), width - 1) for share in (box.left, box.right))
    picture[[top, bottom], left : right + 1] = 255
    picture[top : bottom + 1, [left, right]] = 255
    return picture


def _grown(maps: Tensor, shape: Sequence[int]) -> Tensor:
    return torch.nn.functional.interpolate(maps, tuple(shape), mode="bilinear", align_corners=False)
