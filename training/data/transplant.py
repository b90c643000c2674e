"""Puts a piece of one slice into another: a lesion at another place and size, or healthy tissue as a decoy.

Lesions in new surroundings teach more than the same few dozen patients again, above all small ones, which are rare
(CarveMix: Zhang et al., MICCAI 2021; TumorCP: Yang et al., MICCAI 2021). Unlike there, lesions are shrunk to a drawn
area, brightness is matched to the surroundings, and some pieces are healthy, so that a seam is no sign of tumour.
"""

from __future__ import annotations

import cv2  # comes with albumentations
import numpy as np
from numpy.typing import NDArray

from training.data.augment import HEAD, brightest

# Gaps in the head up to so many pixels wide are filled.
_CLOSE = 15
# Pieces are centred at least so far from the edge of the head, in pixels: gliomas do not grow in the scalp.
_SKULL = 26
# Areas of transplanted lesions, in pixels, drawn evenly in their logarithm; no lesion grows by more than a fifth.
_AREAS = (15.0, 4000.0)
_LARGEST_SCALE = 1.2
# Scatter of its place about where it lay in the donor's head, in pixels.
_SCATTER = 12.0
# Half axes of a decoy, in pixels.
_DECOY = (4.0, 35.0)
# Surroundings that come along whole, and the seam over which they fade out, in pixels of the target.
_ALONG = (1.0, 6.0)
_SEAM = (2.0, 8.0)
_GAIN = (0.5, 2.0)
_FEW = 10

Image = NDArray[np.float32]
Mask = NDArray[np.bool_]
Place = NDArray[np.int64]


def transplant(image: Image, mask: Mask, donor: Image, donor_mask: Mask, seed: int) -> tuple[Image, Mask]:
    """`image` with a piece of `donor`: its tumour, or a piece of healthy tissue where `donor_mask` is empty.

    Images are float32 (h, w, 3) in 0..1 of equal size, masks bool (h, w). Size, turn, seam and place come from `seed`;
    the place is about where the piece lay in the donor's head, in the same half or the other. The piece replaces what
    was there, tumour included. Slices without head come back unchanged.
    """
    rng = np.random.default_rng((seed, 2))
    head, donor_head = head_of(image), head_of(donor)
    places = np.argwhere(_inner(head))
    if not len(places):
        return image, mask
    piece = donor_mask if donor_mask.any() else _decoy(donor_head, rng)
    if not piece.any() or not donor_head.any():
        return image, mask
    scale = _scale(int(np.count_nonzero(piece)), rng) if donor_mask.any() else 1.0
    turn = _turn(piece, scale, _place(piece, donor_head, head, places, rng), rng)
    size = (image.shape[1], image.shape[0])
    weight = cv2.warpAffine(_fading(piece, scale, rng), turn, size, flags=cv2.INTER_LINEAR) * head
    # Shrinking by linear interpolation alone would skip pixels and turn them into noise.
    smooth = cv2.GaussianBlur(donor, (0, 0), 0.4 / scale) if scale < 0.7 else donor
    moved = cv2.warpAffine(smooth, turn, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    tissue: Image = moved.astype(np.float32, copy=False)  # float32 already; OpenCV's types do not say so
    tumour = cv2.warpAffine(donor_mask.astype(np.float32), turn, size, flags=cv2.INTER_LINEAR) >= 0.5
    replaced = weight >= 0.5
    tissue = tissue * _gain(image, tissue, (weight > 0.05) & ~tumour & ~mask)
    mixed = image + weight[..., None] * (np.clip(tissue, 0, 1) - image)
    return mixed.astype(np.float32, copy=False), np.where(replaced, tumour, mask)


def head_of(image: Image) -> Mask:
    """The head in `image`, with its dark cavities: bool (h, w)."""
    bright = (brightest(image) > HEAD).astype(np.uint8)
    return cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((_CLOSE, _CLOSE), np.uint8)) > 0


def _inner(head: Mask) -> Mask:
    # The border counts as air, else a head that touches it would reach beyond.
    return cv2.distanceTransform(np.pad(head.astype(np.uint8), 1), cv2.DIST_L2, 3)[1:-1, 1:-1] > _SKULL


def _decoy(donor_head: Mask, rng: np.random.Generator) -> Mask:
    """An ellipse somewhere inside the donor's head; empty where there is none."""
    places = np.argwhere(_inner(donor_head))
    piece = np.zeros(donor_head.shape, np.uint8)
    if len(places):
        row, column = places[rng.integers(len(places))]
        axes = np.exp(rng.uniform(np.log(_DECOY[0]), np.log(_DECOY[1]), 2)).round().astype(int)
        centre, angle = (int(column), int(row)), float(rng.uniform(0, 180))
        cv2.ellipse(piece, centre, (int(axes[0]), int(axes[1])), angle, 0, 360, 1, -1)
    return piece > 0


def _scale(area: int, rng: np.random.Generator) -> float:
    wanted = float(np.exp(rng.uniform(np.log(_AREAS[0]), np.log(_AREAS[1]))))
    return min(float(np.sqrt(wanted / area)), _LARGEST_SCALE)


def _place(piece: Mask, donor_head: Mask, head: Mask, places: NDArray[np.int64], rng: np.random.Generator) -> Place:
    """The one of `places` next to where the piece lies in the donor's head, scattered, either half: (row, column)."""
    low, high = _box(donor_head)
    share = (np.argwhere(piece).mean(axis=0) - low) / np.maximum(high - low, 1)
    if rng.random() < 0.5:
        share[1] = 1 - share[1]
    low, high = _box(head)
    wanted = low + share * (high - low) + _SCATTER * rng.standard_normal(2)
    nearest: Place = places[np.argmin(((places - wanted) ** 2).sum(axis=1))]
    return nearest


def _box(head: Mask) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    pixels = np.argwhere(head)
    return pixels.min(axis=0), pixels.max(axis=0)


def _turn(piece: Mask, scale: float, place: Place, rng: np.random.Generator) -> NDArray[np.float64]:
    """The affine map that takes the centre of `piece` to `place` (row, column), turned, maybe mirrored, and scaled."""
    row, column = np.argwhere(piece).mean(axis=0)
    angle = rng.uniform(0, 2 * np.pi)
    mirror = -1.0 if rng.random() < 0.5 else 1.0
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[cos * mirror, -sin], [sin * mirror, cos]])
    return np.hstack([linear, (np.array([place[1], place[0]]) - linear @ np.array([column, row]))[:, None]])


def _fading(piece: Mask, scale: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """1 on the piece and a little around it, falling to 0 over the seam: float32 (h, w), in the donor's grid."""
    along, seam = rng.uniform(*_ALONG) / scale, rng.uniform(*_SEAM) / scale
    distance = cv2.distanceTransform((~piece).astype(np.uint8), cv2.DIST_L2, 3)
    return np.clip(1 - (distance - along) / seam, 0, 1).astype(np.float32, copy=False)


def _gain(image: Image, tissue: Image, around: Mask) -> NDArray[np.float32]:
    """Per sequence, what makes the tissue around the lesion as bright as what it replaces; 1 where there is little."""
    if np.count_nonzero(around) < _FEW:
        return np.ones(image.shape[2], np.float32)
    there, here = np.median(image[around], axis=0), np.median(tissue[around], axis=0)
    return np.clip(there / np.maximum(here, 1e-3), *_GAIN).astype(np.float32)
