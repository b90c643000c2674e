"""What a run starts from: its record in the run's folder, and whether it goes on with the same."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from lightning.pytorch.utilities import rank_zero_only

from handler.files import sha256_of, write_atomic
from settings.mapping import SettingsError
from training.data.seen import START_FILE
from training.fit.recipe import NewCasesRecipe, Recipe
from training.fit.start import HUBS, file_of, name_of
from training.fit.teacher import teacher_file


class RunError(ValueError):
    """The run folder holds another run."""


@dataclass(frozen=True)
class Start:
    """Where weights come from: `encoder` is "imagenet", "none" or a file, or `network` a file or folder of all of them.
    `teachers` (released folders or checkpoints) are asked about each sample where the recipe's loss has a use for it.
    Raises SettingsError for both: the encoder's would be of no use.
    """

    encoder: str = "none"
    network: str | None = None
    teachers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.network and self.encoder != "none":
            raise SettingsError(
                f"--init {self.network} has weights of the whole network, so --encoder-weights {self.encoder} would be "
                "left unused; give one of them"
            )

    @property
    def origins(self) -> tuple[str, ...]:
        """What may have seen cases before: start weights of a whole network, and teachers."""
        return ((self.network,) if self.network else ()) + self.teachers


@rank_zero_only
def record_start(start: Start, seen: frozenset[str], new: frozenset[str], folder: Path) -> None:
    """Writes what the run started from, for the model card: names and digests, no paths, and the cases `seen` by that
    which the run does not train on itself, and the `new` ones that its recipe treats apart."""
    content = {
        **_weights_of(start),
        **({"teachers": _teachers_of(start)} if start.teachers else {}),
        **({"cases": sorted(seen)} if seen else {}),
        **({"new": sorted(new)} if new else {}),
    }
    write_atomic(folder / START_FILE, json.dumps(content, indent=1).encode())


def _weights_of(start: Start) -> dict[str, str | None]:
    given = start.network or start.encoder
    file = file_of(given)
    named = _named(file) if file.is_file() else {"name": given, "sha256": None}
    return {"kind": "network" if start.network else "encoder", **named}


def _teachers_of(start: Start) -> list[dict[str, str]]:
    return [_named(teacher_file(source)) for source in start.teachers]


def _named(file: Path) -> dict[str, str]:
    return {"name": name_of(file), "sha256": sha256_of(file)}


def check_same_start(start: Start, recipe: Recipe, folder: Path) -> None:
    """Raises RunError where a run goes on with something else that decides what is learnt: teachers, or start weights
    that say which cases are new; and where other start weights are given, which would be left unused."""
    apart = recipe.new_cases != NewCasesRecipe()
    started = start.network or start.encoder != "none"
    record = folder / START_FILE
    if not (start.teachers or apart or (started and record.is_file())):
        return
    recorded = json.loads(record.read_text("utf-8"))
    if start.teachers and recorded.get("teachers") != _teachers_of(start):
        raise RunError(f"{folder} was begun with other teachers ({START_FILE} names them); resume with those")
    given = _weights_of(start)
    # Weights that are gone since cannot be compared, nor are they needed any more.
    telling = ["sha256"] if given["sha256"] else ["name"] if given["name"] in HUBS else []
    if started and any(recorded[key] != given[key] for key in ("kind", *telling)):
        raise RunError(
            f"{folder} was begun with other start weights ({START_FILE} names them); resume with those or without any, "
            "or take a new folder"
        )
    if apart and {name: recorded[name] for name in given} != given:
        raise RunError(
            f"{folder} was begun with other start weights ({START_FILE} names them), which say what cases are new; "
            "resume with those"
        )
