"""What a gate is to refuse, made of slices that it is to accept; and the mild changes that it is to bear. All on the
network's grid: float32 (h, w, 3), 0..1."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from handler.preprocess import resize

Array = NDArray[np.float32]
Random = np.random.Generator
Spoil = Callable[[Array, Random], Array | None]
DIFFERENT = 0.03  # mean difference of two channels inside the head, below which they count as the same sequence


def different(image: Array, one: int, other: int) -> bool:
    """Whether two channels show different sequences, and not one copied over a missing one."""
    head = image.max(axis=2) > 0.1
    return bool(head.any()) and float(np.abs(image[..., one] - image[..., other])[head].mean()) > DIFFERENT


def moved(image: Array, top: float, left: float, height: float, width: float, degrees: float = 0.0) -> Array:
    """The part of ``image`` given in shares of its sides, turned round its middle, air where that is beyond it, brought
    to its size."""
    turn = np.deg2rad(degrees)
    cos, sin = np.cos(turn), np.sin(turn)
    # grid_sample counts from -1 to 1.
    matrix = [[width * cos, -height * sin, 2 * left + width - 1], [width * sin, height * cos, 2 * top + height - 1]]
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    grid = torch.nn.functional.affine_grid(
        torch.tensor([matrix], dtype=torch.float32), list(planes.shape), align_corners=False
    )
    sampled = torch.nn.functional.grid_sample(planes, grid, mode="bilinear", align_corners=False)
    return np.asarray(sampled[0].numpy().transpose(1, 2, 0))


def box(image: Array) -> tuple[float, float, float, float]:
    """Top, left, height and width of the head, in shares of the sides."""
    head = image.max(axis=2) > 0.1
    rows, columns = np.flatnonzero(head.any(axis=1)), np.flatnonzero(head.any(axis=0))
    if not len(rows):
        return 0.0, 0.0, 1.0, 1.0
    h, w = head.shape
    return rows[0] / h, columns[0] / w, (rows[-1] + 1 - rows[0]) / h, (columns[-1] + 1 - columns[0]) / w


def jpeg(image: Array, quality: int) -> Array:
    """What is left of it after JPEG."""
    buffer = io.BytesIO()
    Image.fromarray((image * 255 + 0.5).astype(np.uint8)).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer), np.float32) / np.float32(255)


def mild(image: Array, random: Random) -> Array:
    """What may well be sent: brighter or darker, turned and shifted a little, mirrored, resized, as JPEG."""
    if random.random() < 0.5:
        image = image[:, ::-1]
    if random.random() < 0.6:
        grow = random.uniform(0.94, 1.12)
        image = moved(image, (1 - grow) / 2, (1 - grow) / 2, grow, grow, random.uniform(-8, 8))
    if random.random() < 0.4:
        side = int(random.integers(150, 400))
        image = resize(resize(image[None], side, side), *image.shape[:2])[0]
    image = np.clip(image * random.uniform(0.8, 1.2, 3 if random.random() < 0.5 else 1).astype(np.float32), 0, 1)
    if random.random() < 0.4:
        image = jpeg(image, int(random.integers(70, 96)))
    return np.ascontiguousarray(image, np.float32)


def missing(image: Array, random: Random) -> Array:
    """T1, T1 with contrast or both are not there: FLAIR stands in for them, as in the published pictures."""
    image = image.copy()
    for channel in ((0,), (2,), (0, 2))[int(random.integers(3))]:
        image[..., channel] = image[..., 1]
    return image


def _reordered(image: Array, order: tuple[int, int, int]) -> Array | None:
    if not all(different(image, place, taken) for place, taken in enumerate(order) if place != taken):
        return None
    return image[..., list(order)]


def order(image: Array, random: Random) -> Array | None:
    """FLAIR is not the second channel."""
    orders = ((1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1))
    return _reordered(image, orders[int(random.integers(len(orders)))])


def reversed_order(image: Array, random: Random) -> Array | None:
    """Blue, green and red: before and after contrast in each other's place, FLAIR in its own."""
    return _reordered(image, (2, 1, 0))


def grey_t1(image: Array, random: Random) -> Array | None:
    """T1 alone, as a viewer saves it."""
    return np.repeat(image[..., :1], 3, axis=2) if different(image, 0, 1) else None


def grey_t1c(image: Array, random: Random) -> Array | None:
    """T1 with contrast alone."""
    return np.repeat(image[..., 2:], 3, axis=2) if different(image, 2, 1) else None


def inverted(image: Array, random: Random) -> Array:
    """White and black change places."""
    return 1 - image


def inverted_head(image: Array, random: Random) -> Array:
    """White and black change places inside the head alone."""
    head = ndimage.binary_fill_holes(image.max(axis=2) > 0.1)
    return np.where(head[..., None], image.max() - image, 0).astype(np.float32)


def upside_down(image: Array, random: Random) -> Array:
    """The front is at the bottom, mirrored or turned."""
    return image[::-1, ::-1] if random.random() < 0.5 else image[::-1]


def quarter_turn(image: Array, random: Random) -> Array:
    """The front is at a side."""
    return np.rot90(image, 1 if random.random() < 0.5 else 3)


def cropped(image: Array, random: Random) -> Array:
    """A third to a half of the head is beyond one side, or two."""
    top, left, height, width = box(image)
    lost = random.uniform(0.3, 0.5)
    sides = int(random.integers(1, 3))
    down, across = random.random() < 0.5, random.random() < 0.5
    if sides == 2 or random.random() < 0.5:
        top, height = top + (lost * height if down else 0), height * (1 - lost)
    if sides == 2 or (height, width) == box(image)[2:]:
        left, width = left + (lost * width if across else 0), width * (1 - lost)
    return moved(image, top, left, height, width)


def middle(image: Array, random: Random) -> Array:
    """The middle of the head and nothing else."""
    top, left, height, width = box(image)
    part = random.uniform(0.4, 0.55)
    return moved(image, top + height * (1 - part) / 2, left + width * (1 - part) / 2, height * part, width * part)


def small(image: Array, random: Random) -> Array:
    """The head is a quarter to a half as large as it was, somewhere in the picture."""
    grow = random.uniform(2.0, 4.0)
    at = random.uniform(0, grow - 1, 2)
    return moved(image, -at[0], -at[1], grow, grow)


def twelve_in_sixteen(image: Array, random: Random) -> Array:
    """Samples of 12 bits where 16 were meant, or darker still."""
    return image * np.float32(random.uniform(0.02, 0.0625))


def saturated(image: Array, random: Random) -> Array:
    """Nearly all is white."""
    return np.clip(image * np.float32(random.uniform(6, 30)), 0, 1)


def mixed_up(image: Array, random: Random) -> Array:
    """Tiles of a head in another order."""
    side = image.shape[0] // 4
    tiles = [image[r : r + side, c : c + side] for r in range(0, 4 * side, side) for c in range(0, 4 * side, side)]
    drawn = [tiles[i] for i in random.permutation(16)]
    return np.concatenate([np.concatenate(drawn[4 * r : 4 * r + 4], axis=1) for r in range(4)])
