"""What a gate is fitted on, drawn anew for every step: own slices as they may come, or spoiled in one of many ways; and
drawn and foreign pictures, changed as far as their kind bears it. From pictures of 128 x 128 to thumbnails."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812

from handler.trust.gate import ACCEPTED, CLASSES
from handler.trust.thumbs import SIDE
from training.trust.spoil import DIFFERENT, jpeg

PICTURE = 128  # pixels a side of what is changed
HEAD = 0.1  # what is brighter is head
CLEAR = 0.12  # of the picture: a smaller head, near the top, cannot be told from one upside down
Random = np.random.Generator
Array = NDArray[np.float32]
# How often an own slice is drawn as what; a slice that lacks the sequences for it stays as it is.
OWN = {
    "as it is": 45.0, "order": 9.0, "reversed": 6.0, "grey T1": 6.0, "grey T1c": 6.0, "no FLAIR": 3.0,
    "inverted": 3.0, "upside down": 7.0, "quarter turn": 5.0, "cropped": 5.0, "small": 3.0, "saturated": 2.0,
}  # fmt: skip
REASON = {
    "order": "other_contrast", "reversed": "other_contrast", "grey T1": "other_contrast", "grey T1c": "other_contrast",
    "no FLAIR": "other_contrast", "inverted": "other_contrast", "upside down": "upside_down",
    "quarter turn": "upside_down", "cropped": "cropped_head", "small": "other_scale", "saturated": "saturated",
}  # fmt: skip
TAKEN = {  # which channels a picture is then made of, one of
    "order": ((1, 0, 2), (0, 2, 1), (1, 2, 0), (2, 0, 1)),
    "reversed": ((2, 1, 0),),
    "grey T1": ((0, 0, 0),),
    "grey T1c": ((2, 2, 2),),
    "no FLAIR": ((0, 0, 2), (0, 2, 2), (2, 0, 2), (0, 2, 0), (2, 0, 0), (2, 2, 0)),
}
MISSING = ((1, 1, 2), (0, 1, 1), (1, 1, 1))  # as in the published pictures, FLAIR stands in
TURNED = ("upside down", "quarter turn", "small", "cropped")  # need a head that is large enough


def class_of(reason: str | None) -> int:
    """The place in :data:`CLASSES`; of None that of what is accepted."""
    return CLASSES.index(reason or ACCEPTED)


@dataclass
class Views:
    """Of each picture the part that is seen, in shares of its sides, the turn in degrees, and what is mirrored."""

    top: Array
    left: Array
    height: Array
    width: Array
    degrees: Array
    mirrored: NDArray[np.bool_]
    upside: NDArray[np.bool_]

    @classmethod
    def mild(cls, count: int, random: Random) -> Views:
        """A little larger, smaller, aside, turned; half of them mirrored, left and right."""

        def between(low: float, high: float) -> Array:
            return random.uniform(low, high, count).astype(np.float32)

        grow, aspect = between(0.92, 1.14), between(0.97, 1.03)
        height, width = grow * aspect, grow / aspect
        half = np.float32(0.5)
        return cls(
            (1 - height) * half + between(-0.03, 0.03), (1 - width) * half + between(-0.03, 0.03), height, width,
            between(-9, 9), random.random(count) < 0.5, np.zeros(count, np.bool_),
        )  # fmt: skip

    def of(self, planes: Tensor) -> Tensor:
        """What is seen of ``planes`` (n, 3, h, w), at their size; air where that is beyond them."""
        turn = np.deg2rad(self.degrees)
        cos, sin = np.cos(turn), np.sin(turn)
        x, y = np.where(self.mirrored, -1, 1), np.where(self.upside, -1, 1)
        rows = [[self.width * cos * x, -self.height * sin * y, 2 * self.left + self.width - 1],
                [self.width * sin * x, self.height * cos * y, 2 * self.top + self.height - 1]]  # fmt: skip
        matrix = torch.from_numpy(np.array(rows, np.float32).transpose(2, 0, 1).copy())
        grid = F.affine_grid(matrix, list(planes.shape), align_corners=False)
        return F.grid_sample(planes, grid, mode="bilinear", align_corners=False)


@dataclass(frozen=True)
class Heads:
    """Of pictures (n, 3, h, w): the heads' boxes, in shares; their area; how far channels 0 1, 1 2 and 0 2 differ."""

    top: Array
    left: Array
    height: Array
    width: Array
    area: Array
    apart: Array

    @classmethod
    def of(cls, planes: Tensor) -> Heads:
        head = planes.amax(dim=1) > HEAD
        count = head.sum(dim=(1, 2)).clamp(min=1)
        apart = [
            ((planes[:, a] - planes[:, b]).abs() * head).sum(dim=(1, 2)) / count for a, b in ((0, 1), (1, 2), (0, 2))
        ]
        spans = []
        for axis in (2, 1):
            some = head.any(dim=axis).numpy()
            first, last = some.argmax(axis=1), some.shape[1] - some[:, ::-1].argmax(axis=1)
            spans += [np.where(some.any(axis=1), first, 0) / some.shape[1], last / some.shape[1]]
        top, bottom, left, right = (np.asarray(one, np.float32) for one in spans)
        area = head.float().mean(dim=(1, 2)).numpy()
        return cls(top, left, bottom - top, right - left, area, torch.stack(apart, dim=1).numpy())

    def differ(self, index: int, one: int, other: int) -> bool:
        return one == other or self.apart[index, {1: 0, 3: 1, 2: 2}[one + other]] > DIFFERENT


def _named(heads: Heads, random: Random) -> tuple[list[str], list[tuple[int, int, int]]]:
    """What each slice is drawn as, and of which channels."""
    count = len(heads.area)
    shares = np.array(list(OWN.values()))
    names = [list(OWN)[k] for k in random.choice(len(OWN), count, p=shares / shares.sum())]
    taken: list[tuple[int, int, int]] = [(0, 1, 2)] * count
    for i, name in enumerate(names):
        if name in TAKEN:
            order = TAKEN[name][int(random.integers(len(TAKEN[name])))]
            # Where a sequence is a copy of another, nothing or too little would change.
            changed = name in ("order", "reversed") or all(heads.differ(i, a, 1) for a in order)
            told = all(heads.differ(i, place, a) for place, a in enumerate(order)) or name not in ("order", "reversed")
            names[i], taken[i] = (name, order) if changed and told else ("as it is", (0, 1, 2))
        elif name in TURNED and heads.area[i] < CLEAR:
            names[i] = "as it is"
        elif random.random() < 0.4:
            taken[i] = MISSING[int(random.integers(3))]
    return names, taken


def _stripped(planes: Tensor, random: Random) -> Tensor:
    """Heads without their outer rim, as volumes come whose skull was taken away."""
    soft = F.avg_pool2d(planes.amax(dim=1, keepdim=True), 9, 1, 4)
    rim = 2 * int(random.integers(3, 8)) + 1
    kept = -F.max_pool2d(-(soft > HEAD).float(), rim, 1, rim // 2)
    return planes * kept


def _photographed(planes: Tensor, random: Random) -> Tensor:
    """Other gain, gamma and shading, blurred or through JPEG, each for some: (n, 3, 128, 128) -> the same."""
    count = len(planes)
    each = random.random((count, 1)) < 0.5

    def factors(low: float, high: float) -> Tensor:
        drawn = np.where(each, random.uniform(low, high, (count, 3)), random.uniform(low, high, (count, 1)))
        return torch.from_numpy(drawn.astype(np.float32))[:, :, None, None]

    planes = planes.clamp(1e-4, 1) ** factors(0.8, 1.25) * factors(0.78, 1.22)
    shade = torch.from_numpy(random.uniform(0.85, 1.15, (count, 1, 3, 3)).astype(np.float32))
    shade[torch.from_numpy(random.random(count) < 0.6)] = 1
    planes = planes * F.interpolate(shade, size=planes.shape[2:], mode="bilinear", align_corners=False)
    blurred = torch.from_numpy(random.random(count) < 0.2)
    if blurred.any():
        side = int(random.integers(40, 100))
        small = F.interpolate(planes[blurred], size=(side, side), mode="area")
        planes[blurred] = F.interpolate(small, size=planes.shape[2:], mode="bilinear", align_corners=False)
    planes = planes.clamp(0, 1)
    for i in np.flatnonzero(random.random(count) < 0.1):
        lossy = jpeg(planes[i].permute(1, 2, 0).numpy(), int(random.integers(50, 96)))
        planes[i] = torch.from_numpy(lossy).permute(2, 0, 1)
    return planes


def _thumbs(planes: Tensor, random: Random) -> Tensor:
    """Shrunk, with noise for some, in steps of 1/255: (n, 3, 64, 64)."""
    small = F.avg_pool2d(planes, planes.shape[2] // SIDE)
    strength = np.where(random.random(len(small)) < 0.3, random.uniform(0, 0.03, len(small)), 0).astype(np.float32)
    noise = torch.from_numpy(random.standard_normal(tuple(small.shape), np.float32))
    small = (small + noise * torch.from_numpy(strength)[:, None, None, None]).abs().clamp(0, 1)
    return (small * 255).round() / 255


def own_slices(pictures: NDArray[np.uint8], random: Random) -> tuple[Tensor, Tensor]:
    """uint8 (n, 128, 128, 3), slices of the kind that is known -> float32 (n, 3, 64, 64) and classes (n,)."""
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    heads = Heads.of(planes)
    names, taken = _named(heads, random)
    count = len(names)
    planes = planes[torch.arange(count)[:, None], torch.tensor(taken)]
    stripped = random.random(count) < 0.08
    if stripped.any():
        planes[torch.from_numpy(stripped)] = _stripped(planes[torch.from_numpy(stripped)], random)
    view = Views.mild(count, random)
    fitted = (random.random(count) < 0.15) | stripped  # to the head's box, as a volume's slices are
    heads = Heads.of(planes)
    for i, name in enumerate(names):
        if name == "upside down":
            view.upside[i] = True
        elif name == "quarter turn":
            view.degrees[i] += random.choice((-90, 90))
        elif name == "small":
            grow = random.uniform(2, 4)
            view.height[i] = view.width[i] = grow
            view.top[i], view.left[i] = -random.uniform(0, grow - 1, 2)
        elif name == "cropped":
            _crop(view, heads, i, random)
        if fitted[i] and name not in ("small", "cropped") and heads.area[i] > CLEAR:
            margin = random.uniform(0.01, 0.08)
            view.top[i], view.left[i] = heads.top[i] - margin, heads.left[i] - margin
            view.height[i], view.width[i] = heads.height[i] + 2 * margin, heads.width[i] + 2 * margin
    planes = view.of(planes)
    for i, name in enumerate(names):
        if name == "inverted":
            planes[i] = 1 - planes[i]
    planes = _photographed(planes, random)
    for i, name in enumerate(names):
        if name == "saturated":
            planes[i] = (planes[i] * random.uniform(6, 30)).clamp(0, 1)
    return _thumbs(planes, random), torch.tensor([class_of(REASON.get(name)) for name in names])


def _crop(view: Views, heads: Heads, i: int, random: Random) -> None:
    """A third to a half of the head is beyond one side, or two."""
    lost, sides = random.uniform(0.3, 0.5), int(random.integers(1, 4))
    view.top[i], view.left[i], view.height[i], view.width[i] = (
        heads.top[i], heads.left[i], heads.height[i], heads.width[i],
    )  # fmt: skip
    if sides & 1:
        view.top[i] += lost * heads.height[i] * int(random.integers(2))
        view.height[i] *= 1 - lost
    if sides & 2:
        view.left[i] += lost * heads.width[i] * int(random.integers(2))
        view.width[i] *= 1 - lost


def other_pictures(pictures: NDArray[np.uint8], classes: NDArray[np.int64], random: Random) -> tuple[Tensor, Tensor]:
    """uint8 (n, 128, 128, 3) of all other kinds and their classes -> as :func:`own_slices`. Heads stay heads; what
    shows none is turned, coloured and cut at will."""
    planes = torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255
    count = len(planes)
    view = Views.mild(count, random)
    none, plane = classes == class_of("not_a_brain"), classes == class_of("other_plane")
    grow = random.uniform(0.4, 1.3, count).astype(np.float32)
    at = random.uniform(0, 1, (2, count)).astype(np.float32)
    view.height[none], view.width[none] = grow[none], grow[none]
    view.top[none], view.left[none] = (at * (1 - grow))[:, none]
    view.degrees[none] += 90 * random.integers(4, size=int(none.sum()))
    view.upside |= (none | plane) & (random.random(count) < 0.2)
    planes = view.of(planes)
    for i in range(count):
        if (plane[i] and random.random() < 0.4) or (none[i] and random.random() < 0.3):
            planes[i] = planes[i, int(random.integers(3))].clone()
        elif none[i]:
            planes[i] = planes[i, random.permutation(3)]
        if none[i] and random.random() < 0.25:
            planes[i] = 1 - planes[i]
    return _thumbs(_photographed(planes, random), random), torch.from_numpy(classes)
