"""The model card of a training run: architecture, input, data by name, recipe, licences. Figures are added later."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from handler.card import FileRecord, ModelCard
from settings.mapping import from_mapping
from training.data.split import SIDES, Split
from training.fit.architecture import architecture_of, input_spec
from training.fit.recipe import Recipe
from training.fit.start import StartWeightsError, State, load_checkpoint, released_state, weights_file
from training.judge.figures import Figure

DATA_SET = "TCGA lower-grade glioma, published as mateuszbuda/lgg-mri-segmentation (kaggle_3m layout)"
VOLUMES = "volumes in the layout of BraTS"
REGIONS_NAME = "brainseg-regions"  # as archive.store has it
LICENCES = {
    "weights": "CC BY-NC-SA 4.0 (inherited from the training data)",
    "code": "Apache-2.0",
}


@dataclass(frozen=True)
class Trained:
    """What a checkpoint holds: the state to be released (float32, the network's own names) and how it came about.
    ``run``: the name of the folder that it lies in."""

    state: State
    recipe: Recipe
    epochs: int
    digest: str
    run: str = ""


def read_checkpoint(path: Path) -> Trained:
    """Reads a checkpoint of scripts/train without running code from it. Raises StartWeightsError for another file."""
    # Read once: a run that goes on may put another file in its place, and digest and weights belong together.
    try:
        data = weights_file(str(path)).read_bytes()
    except OSError as error:
        raise StartWeightsError(f"{path} cannot be read: {error}") from error
    content = load_checkpoint(path, data)
    try:
        state = released_state(content)
        recipe = from_mapping(Recipe, content["hyper_parameters"]["recipe"], str(path))
        epochs = int(content["epoch"]) + 1
    except KeyError as error:
        raise StartWeightsError(f"{path}: the checkpoint lacks {error}; it was not written by scripts/train") from error
    return Trained(state, recipe, epochs, f"sha256:{hashlib.sha256(data).hexdigest()}", path.resolve().parent.name)


def card_of(trained: Trained, split: Split, version: str, start: dict[str, Any] | None = None) -> ModelCard:
    """The card of trained weights, uncalibrated, threshold 0.5; `write_release` fills in the file's digest. `start`
    is the run's record of what it started from."""
    recipe, labelling = trained.recipe, trained.recipe.labelling
    classes: dict[str, Any] = {}
    if labelling:
        classes = {"labels": labelling.labels, "regions": labelling.regions, "activation": labelling.activation}
    return ModelCard(
        name=REGIONS_NAME if labelling else "brainseg",
        version=version,
        weights=FileRecord("weights.safetensors", "", 0),
        architecture=architecture_of(recipe),
        input=input_spec(recipe),
        data={
            "set": VOLUMES if labelling else DATA_SET,
            "split": {"by": split.by, "seed": split.seed, "leaks": split.leaks},
            **{side: list(split.side(side)) for side in SIDES},
        },
        recipe={
            **asdict(recipe),
            "run": trained.run,
            "epochs_trained": trained.epochs,
            "checkpoint": trained.digest,
            "start": start,
        },
        licences=LICENCES,
        **classes,
    )


def metrics_entry(side: str, figures: tuple[Figure, ...], note: str) -> dict[str, Any]:
    """What a card says of one side's figures: each with policy, interval and counts."""
    return {"side": side, "note": note, "figures": [asdict(figure) for figure in figures]}
