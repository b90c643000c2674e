"""The Lightning module: network, loss, optimiser, averaged weights, validation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from timm.layers.drop import DropPath
from torch import Tensor

from handler.depth import VOLUME
from handler.network import layout_of
from settings.mapping import SettingsError
from training.fit.architecture import input_spec, network_of
from training.fit.average import AveragedNetwork
from training.fit.convolution import weights_gradient_by_products
from training.fit.depthwise import depthwise_in_full_precision
from training.fit.diverged import TrainingDivergedError
from training.fit.loss import SegmentationLoss
from training.fit.recipe import Recipe
from training.fit.region_loss import RegionLoss, found_in, truth_of
from training.fit.schedule import factor
from training.fit.slabs import answered


class SegmentationModule(pl.LightningModule):
    """Trains `network` by a recipe; `averaged` follows it as an exponential moving average and is what is released.

    `guide`: normalised images (n, c, h, w) -> what teachers think of them, probabilities (n, 1, h, w).
    """

    def __init__(self, recipe: Recipe, total_steps: int, guide: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self._guide = guide
        self.recipe, self._total_steps = recipe, total_steps
        # Channels-last is a fifth faster on CPUs (0.22 against 0.26 s a sample for VGG16) and on tensor cores.
        self._layout = layout_of(input_spec(recipe))
        self.network = network_of(recipe).to(memory_format=self._layout)
        depthwise_in_full_precision(self.network)
        weights_gradient_by_products(self.network)
        if recipe.model.drop_path:
            skip_blocks(self.network, recipe.model.drop_path)
        self.averaged = AveragedNetwork(self.network, recipe.optimiser.ema)
        labelling = recipe.labelling
        self.loss = RegionLoss(recipe.loss, labelling) if labelling else SegmentationLoss(recipe.loss)
        self._scores: list[Tensor] = []
        self._last_batch: tuple[Tensor, Tensor] | None = None
        self.save_hyperparameters({"recipe": asdict(recipe), "total_steps": total_steps})

    def load_network(self, state: dict[str, Tensor]) -> None:
        """Starts network and average from `state` (all of it, float32)."""
        self.network.load_state_dict(state)
        self.averaged = AveragedNetwork(self.network, self.recipe.optimiser.ema)

    @property
    def best_network(self) -> torch.nn.Module:
        """The averaged network, or the plain one when the recipe does not average."""
        return self.averaged.module if self.recipe.optimiser.ema else self.network

    def forward(self, images: Tensor) -> Tensor:
        """Images float32 (n, c, h, w), normalised -> logits (n, 1, h, w) of the network to be released,
        with labels (n, channels, h, w)."""
        logits: Tensor = self.best_network(images.contiguous(memory_format=self._layout))
        return logits

    def on_train_start(self) -> None:
        self.averaged.look_up_again()

    def on_train_epoch_start(self) -> None:
        self.averaged.eval()
        if self.recipe.stage_of(self.current_epoch).freeze_batchnorm:
            # Running statistics as in serving: weights settle on them before they are released.
            for layer in self.network.modules():
                if isinstance(layer, torch.nn.modules.batchnorm._BatchNorm):
                    layer.eval()

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # Dropout and stochastic depth draw from torch's generator, which no checkpoint holds: without this a resumed
        # run would draw what its first epoch drew. By step, for loaders draw from it too. Each process for itself.
        source = np.random.SeedSequence((self.recipe.seed, self.current_epoch, batch_idx, self.global_rank))
        torch.manual_seed(int(source.generate_state(1, np.uint64)[0]))

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        images, masks, taught = batch
        guide = self._guidance(images, taught > 0)
        logits = self.network(images.contiguous(memory_format=self._layout))
        loss: Tensor = self.loss(*answered(logits, masks), guide, taught)
        self._check_finite(loss)
        self._last_batch = images, masks
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

    def _check_finite(self, loss: Tensor) -> None:
        if not torch.isfinite(loss):
            raise TrainingDivergedError(
                f"loss is {loss.item()} at step {self.global_step}; the last good checkpoint is kept. Lower the "
                "learning rates or set clip_norm in the recipe, and begin a new run with --init and that checkpoint."
            )

    def on_train_epoch_end(self) -> None:
        """The epoch's last step may have been the one too far: looks before the checkpoint of the epoch is written."""
        if self._last_batch is None:
            return
        images, masks = self._last_batch
        self._last_batch = None
        modes = [(layer, layer.training) for layer in self.network.modules()]
        self.network.eval()  # looking must not move BatchNorm's statistics
        with torch.no_grad():
            logits = self.network(images.contiguous(memory_format=self._layout))
            self._check_finite(self.loss(*answered(logits, masks)))
        for layer, mode in modes:
            layer.training = mode

    def _guidance(self, images: Tensor, heard: Tensor) -> Tensor | None:
        """What teachers think of the images (n, 3, h, w) on which they are `heard` (bool (n,)), 0 elsewhere, where the
        loss does not look: asking them about the others would cost most of a step (VGG16) for nothing."""
        if self._guide is None:
            return None
        guide = torch.zeros_like(images[:, :1])
        if heard.any():
            guide[heard] = self._guide(images[heard])
        return guide

    def on_train_batch_end(self, *_: Any) -> None:
        if self.recipe.optimiser.ema:
            self.averaged.update_parameters(self.network)

    def validation_step(self, batch: tuple[Tensor, Tensor], _: int) -> None:
        images, masks = batch
        logits, masks = answered(self(images).float(), masks)
        loss = self.loss(logits, masks)
        self._check_finite(loss)  # before the best checkpoint is written
        self.log("val/loss", loss, batch_size=len(logits), sync_dist=True)
        labelling = self.recipe.labelling
        found = found_in(logits, labelling) if labelling else logits > 0
        truth = truth_of(masks, labelling) if labelling else masks > 0
        self._scores.append(torch.stack(_counts(found, truth), dim=2).cpu())

    def on_validation_epoch_end(self) -> None:
        """Dice over tumour slices at 0.5, and the share of tumour-free slices left without a tumour pixel; of all
        processes' slices together, each slice once. With labels the same of each region, all regions together. What
        there is no slice for is not logged: a figure in its place would be taken for a measured one."""
        trainer, slices = self.trainer, self._validation_slices()
        counts = torch.cat(self._scores).float()
        self._scores.clear()
        # The sampler deals slices in turn and gives some twice where they do not come out even.
        turns = trainer.global_rank + trainer.world_size * torch.arange(len(counts))
        both, found, truth = counts[turns < slices].flatten(0, 1).unbind(dim=1)
        tumour = truth > 0
        dice = (2 * both / (found + truth).clamp(min=1))[tumour]
        clean = (found == 0)[~tumour].float()
        sums = torch.tensor([dice.sum(), len(dice), clean.sum(), len(clean)], device=self.device)
        overlap, with_tumour, silent, without = trainer.strategy.reduce(sums, reduce_op="sum").tolist()
        for name, sum_, count in (("val/dice", overlap, with_tumour), ("val/specificity", silent, without)):
            if count:
                self.log(name, sum_ / count, prog_bar=True, sync_dist=True)

    def _validation_slices(self) -> int:
        loader = self.trainer.val_dataloaders
        if self.recipe.model.depth == VOLUME:  # in one process alone
            return sum(len(scores) for scores in self._scores)
        return len(loader.dataset)  # type: ignore[union-attr]  # one loader; Lightning allows collections too

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        settings = self.recipe.optimiser
        encoder = [p for name, p in self.network.named_parameters() if name.startswith("encoder.")]
        rest = [p for name, p in self.network.named_parameters() if not name.startswith("encoder.")]
        kind = torch.optim.AdamW if settings.name == "adamw" else torch.optim.Adam
        groups = [{"params": encoder, "lr": settings.encoder_lr}, {"params": rest, "lr": settings.decoder_lr}]
        optimiser = kind(groups, weight_decay=settings.weight_decay)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda step: factor(settings.schedule, step, self._total_steps, settings.warm_up)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def skip_blocks(network: torch.nn.Module, rate: float) -> None:
    """Stochastic depth for the residual blocks of a timm encoder, in training mode only: 0 at the first of them, `rate`
    at the last. Adds no weight. Raises SettingsError for an encoder that has no such block."""
    blocks = [module for module in network.modules() if isinstance(getattr(module, "drop_path", None), torch.nn.Module)]
    if not blocks:
        raise SettingsError(
            f"model.drop_path is {rate}, but this encoder has no residual block of timm's; leave it out"
        )
    for place, block in enumerate(blocks):
        block.drop_path = DropPath(rate * place / max(1, len(blocks) - 1))


def _counts(found: Tensor, truth: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels in both, in `found` and in `truth`, bool (n, k, h, w): three times (n, k)."""
    axes = (2, 3)
    return (found & truth).sum(axes), found.sum(axes), truth.sum(axes)
