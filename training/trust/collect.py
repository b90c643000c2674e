"""Everything that a gate is fitted on, chosen by and judged on, by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.preprocess import resize
from handler.trust.thumbs import Thumbs, shrunk, thumbs, to_bytes
from samples.head import draw_head, nifti_gz
from training.data.cases import Pair
from training.data.slices import load_slices
from training.trust import drawn, foreign, spoil
from training.trust.augment import CLEAR, PICTURE

Array = NDArray[np.float32]
Progress = Callable[[str, int], Callable[[], None]]
AT_ONCE = 8
# name -> (what makes it of a slice, reason, whether fitted on): None makes nothing of a slice without that sequence.
SPOILED: dict[str, tuple[spoil.Spoil, str, bool]] = {
    "inverted": (spoil.inverted, "other_contrast", True),
    "inverted inside the head": (spoil.inverted_head, "other_contrast", False),
    "channel orders": (spoil.order, "other_contrast", True),
    "channels reversed": (spoil.reversed_order, "other_contrast", True),
    "own T1, grey": (spoil.grey_t1, "other_contrast", True),
    "own T1 with contrast, grey": (spoil.grey_t1c, "other_contrast", True),
    "upside down": (spoil.upside_down, "upside_down", True),
    "quarter turns": (spoil.quarter_turn, "upside_down", True),
    "cropped head": (spoil.cropped, "cropped_head", True),
    "middle of the head": (spoil.middle, "cropped_head", False),
    "small head": (spoil.small, "other_scale", True),
    "12 bits in 16": (spoil.twelve_in_sixteen, "nearly_black", True),
    "saturated": (spoil.saturated, "saturated", True),
    "tiles mixed up": (spoil.mixed_up, "not_a_brain", False),
}
DRAWN: dict[str, tuple[Callable[[np.random.Generator], Array], str | None, bool]] = {
    "noise": (drawn.noise, "not_a_brain", True),
    "dots": (drawn.pepper, "not_a_brain", False),
    "stripes and ramps": (drawn.stripes, "not_a_brain", False),
    "shapes": (drawn.shapes, "not_a_brain", True),
    "text": (drawn.text, "not_a_brain", True),
    "screenshots": (drawn.screenshot, "not_a_brain", True),
    "drawn heads": (drawn.phantom, None, True),
}
FIT_TIMES = 3  # as many drawn pictures of a kind to fit on as to judge by
PLANES = 12  # across each own stack and each way, to fit on


@dataclass(frozen=True, eq=False)
class Pool:
    """Pictures of a kind that is fitted on, uint8 (n, 128, 128, 3). ``reason``: None where they are to be accepted.
    ``own``: slices of the training cases, which may be spoiled."""

    name: str
    reason: str | None
    pictures: NDArray[np.uint8]
    own: bool = False


@dataclass(frozen=True, eq=False)
class Group:
    """Pictures of a kind that choose or judge. ``cases``: of the slices, None where there are none. ``reason``: None
    where they are to be accepted. ``seen``: whether fitting knows such a kind. ``images``: uint8 (n, h, w, 3), as the
    network sees them, where it is to be asked what it would have found; ``truths``: bool (n, h, w), what is there."""

    name: str
    reason: str | None
    seen: bool
    thumbs: Thumbs
    cases: tuple[str, ...] | None = None
    images: NDArray[np.uint8] | None = None
    truths: NDArray[np.bool_] | None = None


def _thumbs_of(pictures: Iterable[Array]) -> Thumbs:
    """Of pictures (h, w, 3), a few at a time."""
    found, waiting = [], []
    for one in pictures:
        waiting.append(one)
        if len(waiting) == AT_ONCE:
            found.append(thumbs(np.stack(waiting)))
            waiting = []
    return Thumbs.joined([*found, thumbs(np.stack(waiting))] if waiting else found)


def _bytes_of(pictures: Iterable[Array]) -> NDArray[np.uint8]:
    """As a pool holds them."""
    return np.concatenate([to_bytes(shrunk(one[None], PICTURE)) for one in pictures])


def _clear(image: Array) -> bool:
    return float((image.max(axis=2) > 0.15).mean()) > CLEAR


def _fitting(image: Array, spec: InputSpec) -> Array:
    return np.asarray(resize(image[None], spec.height, spec.width)[0])


def _across(stack: Array, axis: int, spec: InputSpec, most: int) -> Array:
    """At most ``most`` planes of a stack across its slices."""
    planes = foreign.resliced(stack, axis, spec, max(1, stack.shape[axis] // (2 * most)))
    return planes[np.unique(np.linspace(0, len(planes) - 1, most).astype(int))] if len(planes) > most else planes


def _elsewhere(role: str, folder: Path | None, spec: InputSpec, seed: int) -> Iterator[foreign.Kind]:
    yield from foreign.photographs(spec, np.random.default_rng(seed), role)
    if folder is not None and (folder / "types").is_dir():
        yield from foreign.types(folder / "types", spec, seed, role)
    if folder is not None:
        yield from foreign.volumes(folder, spec, role)


def _drawn_volumes(seeds: Iterable[int], spec: InputSpec) -> Array:
    return np.concatenate([foreign.as_seen({"file": nifti_gz(draw_head(number))}, spec) for number in seeds])


def pools(
    pairs: Sequence[Pair], elsewhere: Path | None, spec: InputSpec, seed: int, each: int, progress: Progress
) -> list[Pool]:
    """What is fitted on. ``pairs``: of the training cases. ``elsewhere``: a folder with ``types``, ``scans``,
    ``native`` and ``regions``; None: only own slices and drawn pictures. Equal arguments give equal pools."""
    random = np.random.default_rng(seed)
    found: list[Pool] = []
    own, planes = [], []
    slices = load_slices(pairs, progress("reading slices to fit on", len(pairs)))
    by_case: dict[str, list[NDArray[np.uint8]]] = {}
    for item in slices:
        image = item.unit_rgb(spec)
        if not thumbs(image[None]).blank[0]:
            by_case.setdefault(item.pair.case, []).append(_bytes_of([image])[0])
    square = InputSpec(PICTURE, PICTURE)
    for shown in by_case.values():
        own.append(np.stack(shown))
        stack = own[-1].astype(np.float32) / np.float32(255)
        planes += [to_bytes(_across(stack, axis, square, PLANES)) for axis in (1, 2)]
    found.append(Pool("slices as they are", None, np.concatenate(own), True))
    found.append(Pool("own stacks, coronal and sagittal", "other_plane", np.concatenate(planes)))
    fitted = {name: row for name, row in DRAWN.items() if row[2]}
    advance = progress("drawn pictures to fit on", len(fitted) + 1)
    for name, (make, reason, _) in fitted.items():
        made = _bytes_of(_fitting(make(random), spec) for _ in range(FIT_TIMES * each))
        found.append(Pool(name, reason, made))
        advance()
    found.append(Pool("drawn volumes", None, _bytes_of(_drawn_volumes(range(10, 16), spec))))
    advance()
    for kind in _elsewhere("fit", elsewhere, spec, seed):
        found.append(Pool(kind.name, kind.reason, _bytes_of(kind.pictures)))
    return found


def _spoiled(images: Sequence[Array], role: str, each: int, random: np.random.Generator) -> Iterator[Group]:
    clear = [image for image in images if _clear(image)]
    for name, (change, reason, seen) in SPOILED.items():
        if not seen and role != "judge":
            continue
        made = []
        for i in random.permutation(len(clear)):
            if (changed := change(clear[i], random)) is not None:
                made.append(np.ascontiguousarray(changed, np.float32))
            if len(made) == each:
                break
        if made:
            yield Group(name, reason, seen, _thumbs_of(made))


def _own(pairs: Sequence[Pair], role: str, spec: InputSpec, each: int, random: np.random.Generator) -> Iterator[Group]:
    """Slices of one side of the split as they are, mildly changed, and spoiled."""
    slices = load_slices(pairs)
    images, cases = [item.unit_rgb(spec) for item in slices], [item.pair.case for item in slices]
    pixels, truths = np.stack([to_bytes(image) for image in images]), np.stack([item.mask_on(spec) for item in slices])
    yield Group("slices as they are", None, True, _thumbs_of(images), tuple(cases), pixels, truths)
    yield Group("mildly changed", None, True, _thumbs_of(spoil.mild(image, random) for image in images))
    changed = (spoil.missing(spoil.mild(images[i], random), random) for i in range(0, len(images), 2))
    yield Group("sequences missing", None, True, _thumbs_of(changed))
    yield from _spoiled(images, role, each, random)
    stacks = [np.stack([images[i] for i in range(len(images)) if cases[i] == case]) for case in dict.fromkeys(cases)]
    for axis, name in ((1, "own stacks, coronal"), (2, "own stacks, sagittal")):
        found = [thumbs(_across(stack, axis, spec, max(6, each // 20))) for stack in stacks]
        yield Group(name, "other_plane", True, Thumbs.joined(found))


def groups(
    role: str, pairs: Sequence[Pair], elsewhere: Path | None, spec: InputSpec, seed: int, each: int, progress: Progress
) -> list[Group]:
    """What chooses the threshold (``role`` ``validation``) or judges (``judge``). Arguments else as in :func:`pools`;
    ``each``: pictures of a kind."""
    random = np.random.default_rng((seed, len(role)))
    advance = progress(f"pictures that {role}" if role == "judge" else "pictures for validation", 3)
    found = list(_own(pairs, role, spec, each, random)) if pairs else []
    advance()
    for name, (make, reason, seen) in DRAWN.items():
        if seen or role == "judge":
            made = _thumbs_of(_fitting(make(random), spec) for _ in range(each))
            found.append(Group(name, reason, seen, made))
    seeds = range(4, 6) if role == "judge" else range(2, 4)
    found.append(Group("drawn volumes", None, True, _thumbs_of(_drawn_volumes(seeds, spec))))
    advance()
    for kind in _elsewhere(role, elsewhere, spec, seed):
        images = to_bytes(kind.pictures) if kind.healthy else None
        found.append(Group(kind.name, kind.reason, kind.seen, _thumbs_of(kind.pictures), images=images))
    advance()
    return found
