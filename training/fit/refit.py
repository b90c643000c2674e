"""A refit takes over what its twin chose: the same training, but with the validation cases left to choose.

More cases make better weights, and validation cases are only needed until the choice is made (Hastie, Tibshirani and
Friedman, The Elements of Statistical Learning, 7.10). What was chosen then comes from weights that had not seen them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from handler.card import ModelCard, read_card
from training.data.split import Split, case_of

# What the card and the report of a release that chose have.
_CHOSEN = {"validation", "threshold", "crop"}
_REPORTED = {"validation", "choices"}


class RefitError(ValueError):
    """A release is not the twin of the refit that wants its choices, or a refit names no twin."""


@dataclass(frozen=True)
class Twin:
    """The released folder that chose: its card, and its report on the validation cases with the choices it made."""

    card: ModelCard
    report: Mapping[str, Any]

    def lend(self, card: ModelCard) -> ModelCard:
        """The refit's card with the twin's calibration, threshold, smallest lesion, crop and figures on validation."""
        digest, metrics = self.card.weights.sha256, self.card.metrics
        note = (
            f"figures of the twin, weights {digest}, that had not seen these cases and chose calibration, threshold, "
            "smallest lesion and crop on them; the weights of this release were then trained on them too"
        )
        data = {side: self.card.data[side] for side in ("train", "validation")}
        return card.with_changes(
            calibration=self.card.calibration,
            threshold=self.card.threshold,
            min_lesion_pixels=self.card.min_lesion_pixels,
            crop=self.card.crop,
            data={**card.data, "twin": {"weights": digest, **data}},
            metrics={
                "validation": {**metrics["validation"], "note": note},
                "threshold": metrics["threshold"],
                "crop": metrics["crop"],
            },
        )


def read_twin(folder: Path | None, card: ModelCard, split: Split) -> Twin:
    """The release in `folder` as the twin of the refit with `card` and `split`.

    Raises RefitError where none is named, where it has chosen nothing itself, where it differs from the refit in more
    than who was trained on, and where the refit's cases are not its training and validation cases together.
    """
    if folder is None:
        raise RefitError(
            "no case of this run's split validates, so nothing can choose calibration and threshold; "
            "name the release of its twin, the same training without --refit: --twin FOLDER"
        )
    twin = read_card(folder)
    report = json.loads((folder / "report.json").read_text("utf-8"))
    if not (twin.data.get("validation") and twin.metrics.keys() >= _CHOSEN and report.keys() >= _REPORTED):
        raise RefitError(
            f"{folder} chose nothing on validation cases; expected what scripts/release made without --twin"
        )
    for what, own, other in (
        ("architecture", card.architecture, twin.architecture),
        ("input", card.input, twin.input),
        ("recipe, length or start", _training(card), _training(twin)),
        ("new cases treated apart", _apart(card, twin), _apart(twin, twin)),
        ("training cases", sorted(split.train), sorted([*twin.data["train"], *twin.data["validation"]])),
        ("test cases", sorted(split.test), sorted(twin.data["test"])),
    ):
        if own != other:
            raise RefitError(f"{folder} is not this run's twin: {what} differ; expected the same but for --refit")
    return Twin(twin, report)


def _training(card: ModelCard) -> dict[str, Any]:
    """Recipe, epochs, start weights and teachers, without what has to differ between twins."""
    apart = ("checkpoint", "start", "new_cases", "run")
    recipe = {name: value for name, value in card.recipe.items() if name not in apart}
    start = {name: value for name, value in (card.recipe.get("start") or {}).items() if name not in ("cases", "new")}
    plain: dict[str, Any] = json.loads(json.dumps({**recipe, "start": start}))  # as a card read from a file says it
    return plain


def _apart(card: ModelCard, twin: ModelCard) -> tuple[list[str], Any]:
    """The new cases that `card`'s training treats apart and `twin` is trained on too, and how; how they are treated
    does not matter where there are none, so a refit may treat apart what validates its twin."""
    trained_on = {case_of(member) for member in twin.data["train"]}
    new = sorted(trained_on & set((card.recipe.get("start") or {}).get("new") or ()))
    return new, card.recipe.get("new_cases") if new else None
