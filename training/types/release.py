"""A run's weights as a release of the classifier: card, licence and figures beside them."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from handler.card import Calibration, FileRecord, ModelCard
from handler.files import write_atomic
from settings.mapping import from_mapping
from training.data.cases import DataError
from training.release.folder import write_release
from training.types.figures import Judged, figures, fit_temperature, read_judged
from training.types.recipe import TypesRecipe
from training.types.run import PREDICTIONS, RUN_FILE, WEIGHTS
from training.types.slices import find_slices
from training.types.split import parts_of

NAME = "brainseg-types"
DATA_SET = "J. Cheng, brain tumor dataset, figshare 1512427: T1 with contrast, all planes, 512 x 512"
CREDIT = "J. Cheng, brain tumor dataset, figshare, https://doi.org/10.6084/m9.figshare.1512427, CC BY 4.0"
LICENCES = {
    "weights": "CC BY 4.0",
    "data": f"CC BY 4.0 ({CREDIT}); pictures without tumour (Br35H, licence not stated) were not used",
    "code": "Apache-2.0",
}
LIMITS = (
    "Names glioma, meningioma or pituitary tumour whatever it sees: it was shown slices with a tumour only. Pictures "
    "without a tumour come from another source than these, with another look: a network learns the source and not the "
    "tumour, so there is no such class.",
    "Knows T1 with contrast from one data set (two hospitals, 2005 to 2010), one slice at a time; other sequences, "
    "scanners, tumours and children are out of its experience, and it has no gate that would say so.",
    "Meningiomas are missed most often. The figures are by patient; those of random splits of these pictures are "
    "higher since neighbouring slices of a patient are on both sides.",
)
USE = "Research use only. Not a medical device. To name the type of a tumour that somebody has seen in the slice."
_LICENCE = f"""The weights in this folder are licensed under the Creative Commons Attribution 4.0 International licence
(CC BY 4.0, https://creativecommons.org/licenses/by/4.0/legalcode). The code of this repository is under another.

Data: {CREDIT}.
Changed: a network was trained on it. Please cite
  J. Cheng et al. Enhanced performance of brain tumor classification via tumor region augmentation and partition. PLoS
  ONE, 2015.

Research use only. Not a medical device.
"""


@dataclass(frozen=True)
class TypesOrder:
    """What to release: the network of `run` as `version` into `folder`. `judged`: runs of the same recipe, each with a
    part held out; they give the temperature and the figures. `data`: the pictures' folder, for the patients' names.
    `attribution` credits the start weights."""

    run: Path
    judged: tuple[Path, ...]
    data: Path
    version: str
    folder: Path
    attribution: str


def release_types(order: TypesOrder) -> ModelCard:
    """Writes weights, card and LICENSE into the order's folder; returns the card. The temperature is that of the parts
    that other networks have judged, where there are any.

    Raises DataError for runs of another recipe or split, and where nothing was judged."""
    described = _described(order.run)
    if described["fold"] and described["by"] != "patient":
        raise DataError(f"{order.run} held out slices of patients that it was trained on; release one by patient")
    for run in order.judged:
        other = _described(run)
        if other["recipe"] != described["recipe"] or other["by"] != "patient":
            raise DataError(f"{run} is of another recipe or split than {order.run}; its figures say nothing about it")
    recipe = from_mapping(TypesRecipe, described["recipe"], RUN_FILE)
    own = [run for run in order.judged if run.resolve() == order.run.resolve()]
    others = [run for run in order.judged if run not in own]
    fitted = read_judged([run / PREDICTIONS for run in others or own])
    temperature = fit_temperature(fitted.logits, fitted.truth)
    every = read_judged([run / PREDICTIONS for run in order.judged])
    metrics: dict[str, Any] = {
        "all parts": _entry(every, f"{len(order.judged)} networks, each on patients that it was not trained on"),
        "temperature": {"value": temperature, "slices": len(fitted.names), "by": "other parts" if others else "own"},
    }
    if own:
        mine = read_judged([own[0] / PREDICTIONS])
        served = replace(mine, logits=mine.logits / temperature)  # as these weights answer
        metrics["own part"] = _entry(served, "these weights, on patients they never saw", ("uncalibrated",))
    card = ModelCard(
        name=NAME,
        version=order.version,
        weights=FileRecord("weights.safetensors", "", 0),
        architecture=recipe.architecture,
        input=recipe.input,
        labels=recipe.classes,
        calibration=Calibration(scale=1 / temperature),
        data={"set": DATA_SET, "split": {"by": "patient", "fold": described["fold"]}, **_patients(order, recipe)},
        recipe={**described["recipe"], "start": described["start"], "run": order.run.name},
        metrics=metrics,
        licences={**LICENCES, **({"start weights": order.attribution} if order.attribution else {})},
        intended_use=USE,
        limits=LIMITS,
    )
    state = load_file(order.run / WEIGHTS)
    credit = f"\nStart weights: {order.attribution}\n" if order.attribution else ""
    write_atomic(order.folder / "LICENSE", (_LICENCE + credit).encode())
    return write_release(order.folder, state, card)


def _described(run: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((run / RUN_FILE).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{run} is no run of scripts/types-train: {error}") from error
    return found


def _entry(judged: Judged, note: str, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """``without``: words of figures that are left out."""
    patients = len(set(judged.owner))
    found = [asdict(figure) for figure in figures(judged) if not any(word in figure.name for word in without)]
    return {"note": note, "slices": len(judged.names), "patients": patients, "interval": 0.95, "figures": found}


def _patients(order: TypesOrder, recipe: TypesRecipe) -> dict[str, list[str]]:
    """By side, as the run dealt them; of a slice that names no patient its own name."""
    slices = find_slices(order.data, recipe.classes)
    fold = _described(order.run)["fold"]
    parts = parts_of(slices, fold[1], recipe.seed) if fold else [0] * len(slices)
    owners = [item.patient or item.name for item in slices]  # one without a patient is dealt by itself
    held = {owner for owner, part in zip(owners, parts, strict=True) if fold and part == fold[0] - 1}
    return {"train": sorted({*owners} - held), "test": sorted(held)}
