"""A recipe for a classifier: everything that decides what is trained, read from a YAML file in `recipes`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import yaml

from handler.card import Architecture, InputSpec
from settings.mapping import Amount, Count, Positive, SettingsError, Share, Within, from_mapping

RECIPES = Path(__file__).parent / "recipes"

LessThanAll = Annotated[float, Within(0, 1, below=True)]


@dataclass(frozen=True)
class NetworkRecipe:
    """An encoder of segmentation_models_pytorch and the grid it sees (pixels; mean and std of RGB in 0..1).

    `head`: widths of the layers between encoder and logits. `frozen`: how many of the encoder's stages, counted from
    the picture, keep the weights they start with; what they make of each picture is then calculated once for all
    epochs and folds."""

    encoder: str
    height: Count
    width: Count
    mean: tuple[float, float, float]
    std: tuple[Positive, Positive, Positive]
    head: tuple[Count, ...] = ()
    dropout: LessThanAll = 0.2
    frozen: Annotated[int, Within(0)] = 0


@dataclass(frozen=True)
class LossRecipe:
    """Cross-entropy. `smoothing`: share of the truth that is spread over all classes (label smoothing). `weights`:
    `balanced` lets each class weigh the same whatever its number of slices."""

    smoothing: LessThanAll = 0.0
    weights: Literal["none", "balanced"] = "none"


@dataclass(frozen=True)
class ChangesRecipe:
    """Random changes to a training slice: `flip` left to right (probability), and how far the others go at most."""

    flip: Share = 0.0
    rotate_degrees: Amount = 0.0
    scale_percent: Annotated[float, Within(0, 100, below=True)] = 0.0
    shift_percent: Annotated[float, Within(0, 100, below=True)] = 0.0
    brightness_percent: Annotated[float, Within(0, 100, below=True)] = 0.0


@dataclass(frozen=True)
class TypesRecipe:
    """One training of a classifier, but for the data folder, the fold and the start weights. The learning rate is the
    peak of a cosine; `encoder_rate` is the encoder's as a share of it; `decay` is the optimiser's weight decay.

    `per_patient`: so many slices of a patient an epoch takes at most, others each time. Neighbouring slices show nearly
    the same, and one patient may have as many as twenty others."""

    name: str
    seed: int
    classes: tuple[str, ...]
    network: NetworkRecipe
    epochs: Count
    batch: Count
    per_patient: Count
    rate: Positive
    encoder_rate: Positive = 1.0
    decay: Amount = 0.0
    warm_up: LessThanAll = 0.1
    loss: LossRecipe = field(default_factory=LossRecipe)
    changes: ChangesRecipe = field(default_factory=ChangesRecipe)

    @property
    def architecture(self) -> Architecture:
        """The handler's description of the network."""
        network = self.network
        return Architecture("classifier", network.encoder, network.head, classes=len(self.classes))

    @property
    def input(self) -> InputSpec:
        """The handler's description of its input."""
        network = self.network
        return InputSpec(network.height, network.width, network.mean, network.std)


def load_types_recipe(name_or_file: str) -> TypesRecipe:
    """Reads a recipe by its name or by the path of a YAML file. Raises SettingsError if it is wrong or not there."""
    path = Path(name_or_file) if name_or_file.endswith((".yaml", ".yml")) else RECIPES / f"{name_or_file}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise SettingsError(f"no recipe {name_or_file!r}; give the path of a YAML file or one of: {known}")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"recipe {path.name} is no YAML file: {error}") from error
    recipe = from_mapping(TypesRecipe, content, f"recipe {path.name}")
    if len(set(recipe.classes)) != len(recipe.classes) or len(recipe.classes) < 2:
        raise SettingsError(f"recipe {path.name}: classes {list(recipe.classes)}: expected two or more, each once")
    if recipe.network.height % 32 or recipe.network.width % 32:
        raise SettingsError(
            f"recipe {path.name}: height and width must be multiples of 32, the encoder halves five times"
        )
    return recipe
