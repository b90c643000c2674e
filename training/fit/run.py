"""One training run in a folder: assembled from recipe, data and machine, resumed from where it stopped."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2  # comes with albumentations
import lightning.pytorch as pl
import numpy as np
import rich
import torch
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, RichProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader, DistributedSampler

from handler.files import write_atomic
from settings.mapping import SettingsError, from_mapping
from training.data.dataset import Sample, Slice, TrainingSample, TrainingSlices, WholeSlabs, WholeSlices
from training.data.sampler import SliceSampler
from training.data.seen import SPLIT_FILE, cases_kept_apart, new_cases
from training.data.sources import find_slices, read_slices
from training.data.split import (
    Fold,
    Split,
    case_of,
    fold_of,
    fold_of_every_case,
    make_split,
    read_split,
    refit_of,
    write_split,
)
from training.fit.alone import alone_in
from training.fit.architecture import input_spec, network_of
from training.fit.line_progress import LineProgress
from training.fit.log import OneLog
from training.fit.machine import Machine
from training.fit.module import SegmentationModule
from training.fit.origin import RunError, Start, check_same_start, record_start
from training.fit.recipe import NewCasesRecipe, Recipe
from training.fit.region_loss import judged
from training.fit.start import State, encoder_state, load_checkpoint, network_state
from training.fit.stop_early import StopEarly
from training.fit.teacher import Teachers, open_teacher
from training.fit.told_to_end import StoppedError, ToldToEnd

RECIPE_FILE, LAST = "recipe.json", "last.ckpt"
LOGS, LOG_FILE = "logs", "metrics.csv"
LOG_EVERY = 10  # steps


@dataclass(frozen=True)
class Sides:
    """Who trains and who validates: the split in `file`, else one drawn by the recipe; with `fold` a part of it, with
    `refit` all but the test side is trained on and nothing validates; with `every_case` the fold is a part of all cases
    and tests. Raises SettingsError for what does not go together."""

    file: Path | None = None
    fold: Fold | None = None
    refit: bool = False
    every_case: bool = False

    def __post_init__(self) -> None:
        if self.refit and self.fold:
            raise SettingsError("a fold leaves training cases out and a refit takes all; give --fold or --refit")
        if self.every_case and (self.file or not self.fold):
            raise SettingsError("--every-case deals all cases out into parts; give it with --fold K/N, without --split")

    def split(self, recipe: Recipe, data: Path) -> Split:
        """The split of the pairs in `data`."""
        if self.every_case and self.fold:
            pairs = find_slices(data, recipe).pairs
            return fold_of_every_case(pairs, recipe.split.by, recipe.seed, self.fold, recipe.patients)
        if self.file:
            whole = read_split(self.file)
        else:
            whole = make_split(find_slices(data, recipe).pairs, recipe.split, recipe.seed, recipe.patients)
        if self.refit:
            return refit_of(whole)
        return fold_of(whole, self.fold, recipe.patients) if self.fold else whole


def prepare(recipe: Recipe, data: Path, folder: Path, sides: Sides = Sides()) -> Split:
    """The split of a run in `folder`, whose recipe and split, where it was begun, are the same. Writes nothing.

    Raises RunError if `folder` was begun with another recipe or, where `sides` names one, another split.
    """
    written = folder / RECIPE_FILE
    if written.is_file() and not _says(written, recipe):
        raise RunError(f"{folder} was begun with another recipe ({written}); resume with that one or take a new folder")
    begun = read_split(folder / SPLIT_FILE) if (folder / SPLIT_FILE).is_file() else None
    split = sides.split(recipe, data) if begun is None or sides != Sides() else begun
    if begun not in (None, split):
        raise RunError(f"{folder} was begun with another split ({SPLIT_FILE}); resume with that one or without any")
    return split


def begin(recipe: Recipe, split: Split, folder: Path) -> None:
    """Writes what of recipe and split is not in the run folder yet: from then on it is no other run's."""
    # The recipe first: a run that is killed between the two may only be gone on with by that one.
    if not (folder / RECIPE_FILE).is_file():
        write_atomic(folder / RECIPE_FILE, json.dumps(asdict(recipe), indent=1).encode())
    if not (folder / SPLIT_FILE).is_file():
        write_split(split, folder / SPLIT_FILE)


def _says(written: Path, recipe: Recipe) -> bool:
    """Whether the file is of `recipe`. A setting younger than the file counts as left out: runs outlive upgrades."""
    try:
        return from_mapping(Recipe, json.loads(written.read_text("utf-8")), written.name) == recipe
    except SettingsError:
        return False


def train(
    recipe: Recipe,
    data: Path,
    folder: Path,
    start: Start,
    machine: Machine,
    advance: Callable[[], None] = lambda: None,
    sides: Sides = Sides(),
) -> Path:
    """Trains, or goes on from the last checkpoint in `folder`; returns that checkpoint's path.

    `advance` is called for each slice read. Raises TrainingDivergedError on a loss that is not finite, SettingsError
    where a recipe wants teachers and none are given or the other way round, or names a network that cannot be built, or
    wants validation cases to stop by and there are none, or there are some and none has tumour, or treats new cases
    apart and nothing tells which are new, LeakError where start weights or teachers have seen cases that are to choose
    or to judge, StartWeightsError where they are not there or do not fit, InUseError while another process trains into
    `folder`, StoppedError when Ctrl-C or SIGTERM ends it early.
    """
    # Before the slices: weights that are not there or do not fit are not to be found after all of them are read.
    teachers = _teachers(start, recipe)
    state = None if (folder / LAST).is_file() else _start_state(start, recipe)
    with alone_in(folder):
        return _train(recipe, data, folder, start, machine, advance, sides, teachers, state)


def _train(
    recipe: Recipe,
    data: Path,
    folder: Path,
    start: Start,
    machine: Machine,
    advance: Callable[[], None],
    sides: Sides,
    teachers: Teachers | None,
    state: State | None,
) -> Path:
    if machine.threads:
        torch.set_num_threads(machine.threads)
    split = prepare(recipe, data, folder, sides)
    if not split.validation and recipe.validation.patience is not None:
        raise SettingsError(
            f"recipe {recipe.name} stops early by validation cases and this run's split has none; set patience to null"
        )
    last = folder / LAST
    if last.is_file():
        check_same_start(start, recipe, folder)
    origins = start.origins
    seen = cases_kept_apart(origins, split)
    new = frozenset() if recipe.new_cases == NewCasesRecipe() else new_cases(origins, split)
    pairs = find_slices(data, recipe).pairs
    there = [split.present(pairs, side) for side in ("train", "validation")]
    trained_on, chosen_on = (read_slices(selected, recipe, advance) for selected in there)
    _check_can_choose(chosen_on, recipe)
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    told = ToldToEnd()
    trainer = _trainer(recipe, folder, machine, told, validates=bool(chosen_on))
    loader = _training_loader(trained_on, recipe, machine, trainer, new)
    guide = teachers.probabilities if teachers else None
    module = SegmentationModule(recipe, total_steps=len(loader) * recipe.epochs, guide=guide)
    if state is not None:
        module.load_network(state)
    validation = _validation_loader(chosen_on, recipe, machine, trainer) if chosen_on else None
    begin(recipe, split, folder)  # after all that may refuse: else the folder was taken for the next, right call
    if state is not None:
        record_start(start, seen - {case_of(member) for member in split.train}, new, folder)
    try:
        with told.listening():
            trainer.fit(module, loader, validation, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    except SystemExit as ended:  # Lightning's answer to KeyboardInterrupt
        raise StoppedError(told.signal or signal.SIGINT, last) from ended
    return last


def _check_can_choose(slices: Sequence[Slice], recipe: Recipe) -> None:
    """Raises SettingsError where there are `slices` to validate on and none has what Dice is of: it would say the same
    of every epoch, and the first would be kept for the best."""
    labelling, spec = recipe.labelling, input_spec(recipe)
    wanted = sorted({value for one in judged(labelling) for value in one}) if labelling else [1]
    if slices and not any(item.tumour_pixels and np.isin(item.mask_on(spec), wanted).any() for item in slices):
        cases = len({item.pair.case for item in slices})
        raise SettingsError(
            f"none of the {len(slices)} validation slices ({cases} cases) has tumour as the network sees it, so that "
            "nothing tells a good epoch from a bad one: in a new folder, give a --split with such cases or --refit"
        )


def _done_steps(last: Path) -> int:
    """Steps that the checkpoint ``last`` stands at; 0 without one."""
    return int(load_checkpoint(last)["global_step"]) if last.is_file() else 0


def _start_state(start: Start, recipe: Recipe) -> State:
    """What a run's network starts from; what an encoder's weights leave open is drawn by the recipe's seed."""
    pl.seed_everything(recipe.seed, workers=True, verbose=False)
    network, slices = network_of(recipe), input_spec(recipe).view.planes
    if start.network:
        return network_state(network, start.network, slices)
    return encoder_state(network, start.encoder, recipe.model.encoder, recipe.model.sequences, slices)


def _teachers(start: Start, recipe: Recipe) -> Teachers | None:
    if bool(start.teachers) != (recipe.loss.teacher > 0):
        raise SettingsError(
            f"recipe {recipe.name} has loss.teacher {recipe.loss.teacher:g} and {len(start.teachers)} teachers are "
            "given; name them with --teacher for a recipe with loss.teacher above 0, and for no other"
        )
    if not start.teachers:
        return None
    members = [open_teacher(source) for source in start.teachers]
    return Teachers(members, input_spec(recipe), recipe.loss.temperature)


def _training_loader(
    slices: Sequence[Slice], recipe: Recipe, machine: Machine, trainer: pl.Trainer, new: frozenset[str]
) -> DataLoader[TrainingSample]:
    sampling, apart = recipe.sampling, recipe.new_cases
    sampler = SliceSampler(
        [item.tumour_pixels > 0 for item in slices],
        sampling.samples_per_epoch,
        sampling.tumour_share,
        recipe.seed,
        rank=trainer.global_rank,
        processes=trainer.world_size,
        times=[apart.times if item.pair.case in new else 1 for item in slices],
    )
    # No half batch: batch statistics of one or two samples would upset BatchNorm.
    return DataLoader(
        TrainingSlices(slices, recipe, untaught=frozenset() if apart.taught else new),
        batch_size=min(sampling.batch_size, len(sampler)),
        sampler=sampler,
        num_workers=machine.workers,
        persistent_workers=machine.workers > 0,
        worker_init_fn=_one_thread,
        drop_last=True,
    )


def _one_thread(_: int) -> None:
    # Else each of the workers starts as many OpenCV threads as there are cores.
    cv2.setNumThreads(1)


def _validation_loader(
    slices: Sequence[Slice], recipe: Recipe, machine: Machine, trainer: pl.Trainer
) -> DataLoader[Sample]:
    spec = input_spec(recipe)
    if spec.view.slab:
        if trainer.world_size > 1:
            raise SettingsError("a network over volumes is trained in one process; give --devices 1")
        return DataLoader(WholeSlabs(slices, spec), batch_size=1, num_workers=0)
    whole = WholeSlices(slices, spec)
    sampler: DistributedSampler[Sample] | None = None
    if trainer.world_size > 1:
        sampler = DistributedSampler(whole, trainer.world_size, trainer.global_rank, shuffle=False)
    return DataLoader(whole, batch_size=8, sampler=sampler, num_workers=0)


def _trainer(recipe: Recipe, folder: Path, machine: Machine, told: ToldToEnd, validates: bool) -> pl.Trainer:
    every = recipe.validation.every_epochs
    bar = machine.progress and rich.get_console().is_terminal
    callbacks: list[Callback] = [LearningRateMonitor("step"), told]
    if validates and recipe.validation.patience is not None:
        callbacks.append(StopEarly("val/dice", patience=recipe.validation.patience, mode="max"))
    if validates:
        callbacks.append(ModelCheckpoint(folder, "best", monitor="val/dice", mode="max", enable_version_counter=False))
    # After the best one, whose score it holds: else a resumed run would take a worse epoch for the best.
    callbacks.append(
        ModelCheckpoint(folder, "last", every_n_epochs=1, save_on_train_epoch_end=True, enable_version_counter=False)
    )
    if machine.progress:
        callbacks.append(RichProgressBar(leave=True) if bar else LineProgress())
    return pl.Trainer(
        accelerator=machine.accelerator,
        devices=machine.devices,
        strategy="ddp_find_unused_parameters_false" if machine.devices > 1 else "auto",
        precision=machine.lightning_precision(),  # type: ignore[arg-type]
        max_epochs=recipe.epochs,
        check_val_every_n_epoch=every,
        gradient_clip_val=recipe.optimiser.clip_norm,
        logger=[
            OneLog(folder / LOGS / LOG_FILE, _done_steps(folder / LAST)),
            TensorBoardLogger(folder, name="tensorboard", version=""),
        ],
        callbacks=callbacks,
        num_sanity_val_steps=0,
        log_every_n_steps=LOG_EVERY,
        enable_progress_bar=bar,
        enable_model_summary=False,
        use_distributed_sampler=False,
        default_root_dir=folder,
    )
