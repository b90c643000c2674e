"""Which cases weights were trained on, so that none of them chooses or judges what is trained on from those weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from handler.card import CARD_FILE, ModelCard, read_card
from settings.mapping import SettingsError
from training.data.split import LeakError, Split, case_of, read_split

SPLIT_FILE, START_FILE = "split.json", "start.json"


def cases_seen(source: str | Path) -> frozenset[str] | None:
    """The cases that reached the weights in `source`: those of its training side and those that its own start weights
    and teachers had seen. None where nothing says so, as with imported weights.

    A released folder, and weights with a card beside them, are known by their card; a checkpoint of scripts/train by
    the files beside it.
    """
    path = Path(source)
    folder = path if path.is_dir() else path.parent
    if path.suffix == ".ckpt" and (folder / SPLIT_FILE).is_file():
        start = json.loads((folder / START_FILE).read_text("utf-8")) if (folder / START_FILE).is_file() else {}
        return _cases(read_split(folder / SPLIT_FILE).train, start)
    if path.suffix != ".ckpt" and (folder / CARD_FILE).is_file():
        return cases_seen_by(read_card(folder))
    return None


def cases_seen_by(card: ModelCard) -> frozenset[str] | None:
    """As `cases_seen`, of the weights that `card` describes."""
    return _cases(card.data["train"], card.recipe.get("start")) if "train" in card.data else None


def _cases(trained_on: Iterable[str], start: Mapping[str, Any] | None) -> frozenset[str]:
    return frozenset(map(case_of, trained_on)) | frozenset((start or {}).get("cases") or ())


def check_unseen(
    source: str, seen: frozenset[str], split: Split, sides: Sequence[str] = ("validation", "test")
) -> None:
    """Raises LeakError if a case of one of the split's `sides` is among those `seen` by `source`."""
    for side in sides:
        leaked = sorted({case_of(member) for member in split.side(side)} & seen)
        if leaked:
            raise LeakError(
                f"{source} was trained on {len(leaked)} cases of this {side} side, {leaked[0]} for one: scores "
                "would measure memory. Give --split the split file of the run that made those weights"
            )


def cases_kept_apart(origins: Sequence[str], split: Split) -> frozenset[str]:
    """The cases that start weights and teachers (`origins`) were trained on, none of which may choose or judge.

    Raises LeakError where one of them is to; warns where nothing tells which cases they were trained on.
    """
    seen: set[str] = set()
    for source in origins:
        cases = cases_seen(source)
        if cases is None:
            from lightning.pytorch.utilities import rank_zero_warn  # costs six seconds: where there is no other way

            rank_zero_warn(f"{source}: nothing tells which cases it was trained on; scores may measure memory")
        else:
            if not split.leaks:  # else cases are on several sides anyway, and every report says so
                check_unseen(source, cases, split)
            seen |= cases
    return frozenset(seen)


def new_cases(origins: Sequence[str], split: Split) -> frozenset[str]:
    """The cases to train on that one or more of `origins` have not seen; none where there are no origins.

    Raises SettingsError where nothing tells which cases one of them was trained on.
    """
    new: set[str] = set()
    for source in origins:
        seen = cases_seen(source)
        if seen is None:
            raise SettingsError(
                f"the recipe treats new cases apart, and nothing tells which cases {source} was trained on; give a "
                "released folder, or a checkpoint in the folder of its run, or leave new_cases out"
            )
        new |= frozenset(map(case_of, split.train)) - seen
    return frozenset(new)
