"""A recipe: everything that decides what is trained, read from a commented YAML file in `training/recipes`."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import yaml

from handler.card import OVER_VOLUMES, SEQUENCES, InputSpec
from handler.depth import VOLUME
from handler.labels import Label, Labelling, Region
from settings.mapping import Amount, Count, Positive, SettingsError, Share, Within, from_mapping

RECIPES = Path(__file__).parents[1] / "recipes"

# Shares of which all would leave nothing: no step without the block, no step after warming up, no average that moves.
LessThanAll = Annotated[float, Within(0, 1, below=True)]


@dataclass(frozen=True)
class SplitRecipe:
    """Shares of train, validation and test; `by: slice` exists to reproduce the published practice and leaks."""

    train: Share
    validation: Share
    test: Share
    by: Literal["case", "slice"] = "case"


@dataclass(frozen=True)
class ModelRecipe:
    """A network of segmentation_models_pytorch and the input it sees (pixels; mean and std of its channels in 0..1).

    `decoder`: a key of `handler.network.DECODERS`; one that has widths of its own wants `decoder_channels: []`.
    `sequences`: what its channels are, of t1, flair and t1c in this order, with a mean and a std for each.

    `drop_path`: share of training steps in which the encoder's last residual block is skipped, falling linearly to 0
    at its first (stochastic depth, Huang et al. 2016); an encoder without such blocks is refused.
    `logits_at`: see `handler.card.Architecture`.
    `depth`: slices that it sees at a time, 1, 3, 5 or "volume"; see `handler.depth.view_of`. The last wants `decoder:
    unet3d`, `encoder: dynunet`, and for `decoder_channels` the widths of `handler.volumetric.VolumeUnet`.
    """

    encoder: str
    decoder: str = "unet"
    sequences: tuple[str, ...] = SEQUENCES
    decoder_channels: tuple[Count, ...] = (256, 128, 64, 32, 16)
    logits_at: Literal[1, 2, 4] = 1
    height: Count = 256
    width: Count = 256
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[Positive, ...] = (0.229, 0.224, 0.225)
    drop_path: LessThanAll = 0.0
    depth: Literal[1, 3, 5, "volume"] = 1


@dataclass(frozen=True)
class LossRecipe:
    """Weights of the sum: binary cross-entropy (tumour pixels counted `pos_weight` times), soft Dice over the pixels of
    the whole batch, soft Dice of each tumour slice averaged, binary cross-entropy with the probabilities of teachers
    (`--teacher`; a mean over all pixels, most of them clear, so it takes a larger weight). With labels see
    `training.fit.region_loss`.

    `temperature` divides the mean of the teachers' logits before it is taken for a probability; see
    `training.fit.teacher`."""

    pos_weight: Positive = 1.0
    bce: Amount = 1.0
    batch_dice: Amount = 1.0
    slice_dice: Amount = 0.0
    teacher: Amount = 0.0
    temperature: Positive = 2.0


@dataclass(frozen=True)
class OptimiserRecipe:
    """Learning rates are peaks of the schedule; `ema` is the decay of the averaged weights per step (0: none)."""

    name: Literal["adam", "adamw"]
    encoder_lr: Amount
    decoder_lr: Amount
    weight_decay: Amount = 0.0
    schedule: Literal["onecycle", "cosine", "constant"] = "onecycle"
    warm_up: LessThanAll = 0.1
    clip_norm: Positive | None = None
    ema: LessThanAll = 0.0


@dataclass(frozen=True)
class Stage:
    """Some epochs on windows of one size (height, width in pixels; null: whole slices)."""

    epochs: Count
    window: tuple[Count, Count] | None = None
    freeze_batchnorm: bool = False


@dataclass(frozen=True)
class SamplingRecipe:
    """How samples are drawn; null for `samples_per_epoch` takes every slice, null `tumour_share` the natural one."""

    batch_size: Count
    stages: tuple[Stage, ...]
    samples_per_epoch: Count | None = None
    tumour_share: Share | None = None


@dataclass(frozen=True)
class NewCasesRecipe:
    """What to make of cases to train on that the start weights, or a teacher, have not seen.

    `times`: how many times as often as the others their slices are drawn. `taught`: whether teachers are heard on them;
    where not, masks alone teach them, and what teachers say of the other cases keeps what has been learnt before
    (learning without forgetting, Li and Hoiem, ECCV 2016).
    """

    times: Count = 1
    taught: bool = True


@dataclass(frozen=True)
class AugmentRecipe:
    """Probabilities (0..1) and sizes of the random changes; see `training.data.augment`. Lengths of elastic changes and
    of transplants are pixels of the network's grid, made for 256 a side: on a finer grid they are smaller in the head.

    `degrade` is that of each: a coil's uneven brightness, a coarser scan, noise. `transplant` is that of a piece of
    another slice; see `training.data.transplant`. `alone` is that of a slice that stands in for its own
    neighbours, as a single picture does when served.
    """

    flip: Share = 0.0
    affine: Share = 0.0
    rotate_degrees: Amount = 15.0
    scale_percent: Annotated[float, Within(0, 100, below=True)] = 10.0
    shift_percent: Amount = 5.0
    elastic: Share = 0.0
    intensity: Share = 0.0
    missing_sequence: Share = 0.0
    degrade: Share = 0.0
    transplant: Share = 0.0
    alone: Share = 0.0


@dataclass(frozen=True)
class ValidationRecipe:
    """Validation on whole slices after every so many epochs; early stop after `patience` of them without gain."""

    every_epochs: Count = 1
    patience: Count | None = None


@dataclass(frozen=True)
class Recipe:
    """One training run, but for the data folder, the machine and the start weights.

    `labels`, `regions` and `activation`: the classes of masks, as `handler.labels.Labelling` has them; with none, masks
    are tumour or not, of pictures in the published layout. With labels the data are volumes in the layout of BraTS, and
    `masks` says which value of their masks means which label: the same volumes come as 1, 2, 4, as 1, 2, 3 and as
    1, 2, 3, 4. `patients`: names of cases that are one patient, a list for each such patient; every other case is one
    of its own.
    """

    name: str
    seed: int
    split: SplitRecipe
    model: ModelRecipe
    loss: LossRecipe
    optimiser: OptimiserRecipe
    sampling: SamplingRecipe
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    new_cases: NewCasesRecipe = field(default_factory=NewCasesRecipe)
    validation: ValidationRecipe = field(default_factory=ValidationRecipe)
    labels: tuple[Label, ...] = ()
    regions: tuple[Region, ...] = ()
    activation: Literal["softmax", "sigmoid"] = "softmax"
    masks: tuple[tuple[Count, Count], ...] = ()
    patients: tuple[tuple[str, ...], ...] = ()

    @property
    def labelling(self) -> Labelling | None:
        """What the masks' values mean; None where masks are tumour or not."""
        return Labelling(self.labels, self.regions, self.activation) if self.labels else None

    @property
    def table(self) -> dict[int, int]:
        """Value in a mask's file -> label."""
        return dict(self.masks)

    @property
    def epochs(self) -> int:
        return sum(stage.epochs for stage in self.sampling.stages)

    def stage_of(self, epoch: int) -> Stage:
        """The stage that `epoch` (from 0) belongs to; the last one for epochs past the end."""
        for stage in self.sampling.stages:
            if epoch < stage.epochs:
                return stage
            epoch -= stage.epochs
        return self.sampling.stages[-1]


def load_recipe(name_or_file: str) -> Recipe:
    """Reads a recipe by its name in `training/recipes` or by the path of a YAML file; SettingsError if it is wrong."""
    path = Path(name_or_file) if name_or_file.endswith((".yaml", ".yml")) else RECIPES / f"{name_or_file}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in RECIPES.glob("*.yaml")))
        raise SettingsError(f"no recipe {name_or_file!r}; give the path of a YAML file or one of: {known}")
    try:
        content = yaml.safe_load(path.read_text("utf-8"))
    except (yaml.YAMLError, ValueError) as error:
        raise SettingsError(f"recipe {path.name} is no YAML file: {error}") from error
    try:
        recipe = from_mapping(Recipe, content, f"recipe {path.name}")
        _check_labels(recipe)
    except SettingsError:
        raise
    except ValueError as error:  # as the classes of handler.labels say it
        raise SettingsError(f"recipe {path.name}: {error}") from error
    _check(recipe, path.name)
    return recipe


def _check(recipe: Recipe, where: str) -> None:
    split, sides = recipe.split, [recipe.model.height, recipe.model.width]
    for stage in recipe.sampling.stages:
        sides.extend(stage.window or ())
    if any(side % 32 for side in sides):
        raise SettingsError(f"{where}: sizes {sides} must be multiples of 32, the encoder halves five times")
    model = recipe.model
    try:
        spec = InputSpec(model.height, model.width, model.mean, model.std, model.sequences, model.depth)
        spec.check(len(model.sequences) * spec.view.planes)
    except ValueError as error:
        raise SettingsError(f"{where}: model: {error}") from error
    _check_depth(recipe, where)
    if abs(split.train + split.validation + split.test - 1) > 1e-6:
        raise SettingsError(f"{where}: shares of the split add up to something other than 1")
    loss = recipe.loss
    if not loss.bce + loss.batch_dice + loss.slice_dice + loss.teacher:
        raise SettingsError(f"{where}: loss has no part with a weight above 0")
    if not recipe.sampling.stages:
        raise SettingsError(f"{where}: sampling.stages has no epoch to train")


def _check_labels(recipe: Recipe) -> None:
    """Raises ValueError where labels, regions and the table of masks do not go together, or with the rest."""
    labelling = recipe.labelling
    if labelling is None:
        if recipe.regions or recipe.masks:
            raise ValueError("regions and masks are of labels, and there are none")
        return
    known, given = {label.value for label in labelling.labels}, [value for value, _ in recipe.masks]
    if len(set(given)) != len(given) or set(recipe.table.values()) != known:
        raise ValueError(f"masks {list(map(list, recipe.masks))}: expected each value once, and each label {known}")
    owned = [case for patient in recipe.patients for case in patient]
    if len(set(owned)) != len(owned):
        raise ValueError("patients: a case is in two of the lists")
    without = {"loss.slice_dice": recipe.loss.slice_dice, "loss.teacher": recipe.loss.teacher,
               "augment.transplant": recipe.augment.transplant}  # fmt: skip
    if wrong := [name for name, value in without.items() if value]:
        raise ValueError(f"{', '.join(wrong)}: not with labels; set 0")


def _check_depth(recipe: Recipe, where: str) -> None:
    depth = recipe.model.depth
    if (depth == VOLUME) != (recipe.model.decoder == OVER_VOLUMES):
        raise SettingsError(
            f"{where}: model: depth {depth!r} of a {recipe.model.decoder}; {VOLUME} wants {OVER_VOLUMES}"
        )
    if depth == 1 and recipe.augment.alone:
        raise SettingsError(f"{where}: augment.alone is for networks that see neighbours; model.depth is 1")
    if depth != 1 and recipe.labels:
        raise SettingsError(f"{where}: labels with model.depth {depth!r}: networks over several slices have one class")
    flat = {"augment.transplant": recipe.augment.transplant, "loss.teacher": recipe.loss.teacher}
    if depth != 1 and (given := [name for name, value in flat.items() if value]):
        raise SettingsError(
            f"{where}: {', '.join(given)} with model.depth {depth!r}: a piece or a teacher's word is of one slice and "
            "says nothing of those around it; set to 0"
        )
