"""The best and worst slices as pictures. They show licensed data: a page with them must stay where the data is."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from handler.intensity import to_unit_rgb
from training.data.slices import LabelledSlice
from training.judge.html import picture
from training.judge.predictor import Predictor
from training.judge.scores import SliceScore

_FLAIR = 1
_MISSED, _EXTRA, _RIGHT = (229, 62, 62), (56, 161, 105), (236, 201, 75)


def gallery(
    predictor: Predictor, slices: Sequence[LabelledSlice], scores: Sequence[SliceScore], count: int = 8
) -> list[str]:
    """HTML parts with the `count` worst and best tumour slices by Dice, segmented anew; `scores` belong to `slices`."""
    predictor = predictor.among(slices)
    order = sorted((i for i, score in enumerate(scores) if score.has_tumour), key=lambda i: scores[i].dice)
    parts = ["<h2>Slices</h2><p>Red: missed, green: extra, yellow: right, on the FLAIR sequence.</p>"]
    for title, chosen in (("Worst", order[:count]), ("Best", order[::-1][:count])):
        parts.append(f"<h3>{title}</h3>")
        for i in chosen:
            caption = f"{scores[i].name}: Dice {scores[i].dice:.3f}, {scores[i].truth} pixels in the truth"
            parts.append(picture(_png(compared(slices[i], predictor.segment(slices[i]).mask)), caption, width=220))
    return parts


def compared(item: LabelledSlice, found: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The FLAIR sequence, uint8 (h, w, 3), with missed, extra and right pixels tinted; `found` is bool (h, w)."""
    flair = to_unit_rgb(item.scan.pixels, item.scan.intensity_range)[0, :, :, _FLAIR]
    rgb = np.repeat((flair * 255)[:, :, None], 3, axis=2)
    for pixels, colour in (
        (item.mask & ~found, _MISSED),
        (found & ~item.mask, _EXTRA),
        (item.mask & found, _RIGHT),
    ):
        rgb[pixels] = 0.5 * rgb[pixels] + 0.5 * np.array(colour)
    return rgb.astype(np.uint8)


def _png(rgb: NDArray[np.uint8]) -> str:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()
