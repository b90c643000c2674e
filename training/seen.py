"""Which cases weights were trained on, so that none of them chooses or judges what is trained on from those weights."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from handler.card import CARD_FILE, read_card
from training.split import LeakError, Split, case_of, read_split

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
        card = read_card(folder)
        return _cases(card.data["train"], card.recipe.get("start")) if "train" in card.data else None
    return None


def _cases(trained_on: Iterable[str], start: Mapping[str, Any] | None) -> frozenset[str]:
    return frozenset(map(case_of, trained_on)) | frozenset((start or {}).get("cases") or ())


def check_unseen(source: str, seen: frozenset[str], split: Split) -> None:
    """Raises LeakError if a case of the split's validation or test side is among those `seen` by `source`."""
    for side in ("validation", "test"):
        leaked = sorted({case_of(member) for member in split.side(side)} & seen)
        if leaked:
            raise LeakError(
                f"{source} was trained on {len(leaked)} cases of this run's {side} side, {leaked[0]} for one: scores "
                "would measure memory. Give --split the split file of the run that made those weights"
            )
