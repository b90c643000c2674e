"""The facts of everything that a gate is fitted and judged on, by kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from handler.card import InputSpec
from handler.trust.facts import Facts, facts
from samples.head import draw_head, nifti_gz
from training.data.cases import Pair
from training.data.slices import load_slices
from training.trust import drawn, foreign, spoil

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
FIT_TIMES = 4  # as many of a kind to fit on as to judge by
CLEAR = 0.12  # of the picture: a smaller head, near the top, cannot be told from one upside down


@dataclass(frozen=True, eq=False)
class Group:
    """``cases``: of the slices, None where there are none. ``reason``: None where they are to be accepted. ``role``:
    ``fit``, ``validation`` or ``judge``; ``seen``: whether fitting knows such a kind."""

    name: str
    reason: str | None
    role: str
    seen: bool
    facts: Facts
    cases: tuple[str, ...] | None = None


def facts_of(pictures: Iterable[Array]) -> Facts:
    """Of pictures (h, w, 3), a few at a time."""
    found, waiting = Facts.none(), []
    for one in pictures:
        waiting.append(one)
        if len(waiting) == AT_ONCE:
            found, waiting = found.and_of(facts(np.stack(waiting))), []
    return found.and_of(facts(np.stack(waiting))) if waiting else found


def _clear(image: Array) -> bool:
    return float((image.max(axis=2) > 0.15).mean()) > CLEAR


def _spoiled(images: Sequence[Array], role: str, each: int, random: np.random.Generator) -> Iterator[Group]:
    clear = [image for image in images if _clear(image)]
    for name, (change, reason, seen) in SPOILED.items():
        if role == "fit" and not seen:
            continue
        made = []
        for i in random.permutation(len(clear)):
            image = clear[i] if role != "fit" else spoil.mild(clear[i], random)
            if (changed := change(image, random)) is not None:
                made.append(np.ascontiguousarray(changed, np.float32))
            if len(made) == each:
                break
        if made:
            yield Group(name, reason, role, seen, facts_of(made))


def _planes(stacks: Iterable[Array], role: str, each: int, spec: InputSpec) -> Iterator[Group]:
    """Own stacks across their slices."""
    for axis, name in ((1, "own stacks, coronal"), (2, "own stacks, sagittal")):
        found = Facts.none()
        for stack in stacks:
            planes = foreign.resliced(stack, axis, spec, 9)
            kept = planes[np.linspace(0, len(planes) - 1, each).astype(int)] if len(planes) > each else planes
            found = found.and_of(facts(kept))
        yield Group(name, "other_plane", role, True, found)


def _own(
    pairs: Sequence[Pair], role: str, spec: InputSpec, each: int, random: np.random.Generator, progress: Progress
) -> Iterator[Group]:
    """Slices of one side of the split as they are, mildly changed, and spoiled."""
    slices = load_slices(pairs, progress(f"reading slices, {role}", len(pairs)))
    images, cases = [item.unit_rgb(spec) for item in slices], [item.pair.case for item in slices]
    advance = progress(f"facts of slices, {role}", 4)
    yield Group("slices as they are", None, role, True, facts_of(images), tuple(cases))
    advance()
    yield Group("mildly changed", None, role, True, facts_of(spoil.mild(image, random) for image in images))
    changed = (spoil.missing(spoil.mild(images[i], random), random) for i in range(0, len(images), 2))
    yield Group("sequences missing", None, role, True, facts_of(changed))
    advance()
    yield from _spoiled(images, role, FIT_TIMES * each if role == "fit" else each, random)
    advance()
    stacks = [np.stack([images[i] for i in range(len(images)) if cases[i] == case]) for case in dict.fromkeys(cases)]
    yield from _planes(stacks[:: max(1, len(stacks) // 20)], role, max(6, each // (5 if role == "fit" else 20)), spec)
    advance()


def collect(
    sides: dict[str, Sequence[Pair]], elsewhere: Path | None, spec: InputSpec, seed: int, each: int, progress: Progress
) -> list[Group]:
    """``sides``: pairs by role. ``elsewhere``: a folder with ``types``, ``scans``, ``native`` and ``regions``; None:
    only own slices and drawn pictures. ``each``: pictures of a kind. Equal arguments give equal groups."""
    random = np.random.default_rng(seed)
    groups = [
        group for role, pairs in sides.items() if pairs for group in _own(pairs, role, spec, each, random, progress)
    ]
    advance = progress("drawn pictures", 2 * len(DRAWN))
    for role in ("fit", "judge"):
        for name, (make, reason, seen) in DRAWN.items():
            if seen or role == "judge":
                made = facts_of(_fitting(make(random), spec) for _ in range(2 * each if role == "fit" else each))
                groups.append(Group(name, reason, role, seen, made))
            advance()
    for role, seeds in (("fit", range(10, 16)), ("judge", range(4, 6))):
        views = [foreign.as_seen({"file": nifti_gz(draw_head(number))}, spec) for number in seeds]
        groups.append(Group("drawn volumes", None, role, True, facts_of(np.concatenate(views))))
    kinds: list[Iterator[foreign.Kind]] = [foreign.photographs(spec, random)]
    if elsewhere is not None and (elsewhere / "types").is_dir():
        kinds.append(foreign.types(elsewhere / "types", spec, random))
    if elsewhere is not None:
        kinds.append(foreign.volumes(elsewhere, spec))
    advance = progress("pictures from elsewhere", len(kinds))
    for kind_ in kinds:
        found = [(kind, facts_of(kind.pictures)) for kind in kind_]
        fitted = {kind.name for kind, _ in found if kind.role == "fit"}
        groups += [Group(k.name, k.reason, k.role, k.name in fitted and k.role == "fit", f) for k, f in found]
        advance()
    return groups


def _fitting(image: Array, spec: InputSpec) -> Array:
    from handler.preprocess import resize

    return np.asarray(resize(image[None], spec.height, spec.width)[0])
