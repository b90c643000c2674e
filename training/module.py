"""The Lightning module: network, loss, optimiser, averaged weights, validation."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import lightning.pytorch as pl
import segmentation_models_pytorch as smp
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from timm.layers.drop import DropPath
from torch import Tensor

from handler.card import Architecture
from handler.network import build
from training.average import AveragedNetwork
from training.depthwise import depthwise_in_full_precision
from training.loss import SegmentationLoss
from training.recipe import Recipe
from training.schedule import factor
from training.settings import SettingsError


class TrainingDivergedError(RuntimeError):
    """The loss became NaN or infinite."""


def architecture_of(recipe: Recipe) -> Architecture:
    """The handler's description of a recipe's network."""
    return Architecture(encoder=recipe.model.encoder, decoder_channels=recipe.model.decoder_channels)


def network_of(recipe: Recipe) -> torch.nn.Module:
    """A recipe's network with random weights. Raises SettingsError where no such network can be built."""
    model = recipe.model
    try:
        return build(architecture_of(recipe))
    except (KeyError, RuntimeError, ValueError) as error:  # a name unknown to it or to timm, a depth the encoder lacks
        alike = difflib.get_close_matches(model.encoder, smp.encoders.get_encoder_names())
        reason = str(error.args[0]).split(", supported")[0]  # what follows is some sixty names
        raise SettingsError(
            f"recipe {recipe.name}: no network with encoder {model.encoder!r} and decoder_channels "
            f"{list(model.decoder_channels)}: {reason}. Expected an encoder of segmentation_models_pytorch "
            f"({', '.join(alike) or 'resnet34, vgg16, …'}), or tu- and the name of one of timm's"
        ) from error


class SegmentationModule(pl.LightningModule):
    """Trains `network` by a recipe; `averaged` follows it as an exponential moving average and is what is released.

    `guide`: normalised images (n, 3, h, w) -> what teachers think of them, probabilities (n, 1, h, w).
    """

    def __init__(self, recipe: Recipe, total_steps: int, guide: Callable[[Tensor], Tensor] | None = None) -> None:
        super().__init__()
        self._guide = guide
        self.recipe, self._total_steps = recipe, total_steps
        # Channels-last is a fifth faster on CPUs (0.22 against 0.26 s a sample for VGG16) and on tensor cores.
        self.network = network_of(recipe).to(memory_format=torch.channels_last)
        depthwise_in_full_precision(self.network)
        if recipe.model.drop_path:
            skip_blocks(self.network, recipe.model.drop_path)
        self.averaged = AveragedNetwork(self.network, recipe.optimiser.ema)
        self.loss = SegmentationLoss(recipe.loss)
        self._scores: list[Tensor] = []
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
        """Images float32 (n, 3, h, w), normalised -> logits (n, 1, h, w) of the network to be released."""
        logits: Tensor = self.best_network(images.contiguous(memory_format=torch.channels_last))
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

    def training_step(self, batch: tuple[Tensor, Tensor, Tensor], _: int) -> Tensor:
        images, masks, taught = batch
        guide = self._guidance(images, taught > 0)
        logits = self.network(images.contiguous(memory_format=torch.channels_last))
        loss: Tensor = self.loss(logits, masks, guide, taught)
        if not torch.isfinite(loss):
            raise TrainingDivergedError(
                f"loss is {loss.item()} at step {self.global_step}; the last good checkpoint is kept. "
                "Lower the learning rates or set clip_norm, and resume."
            )
        self.log("train/loss", loss, on_step=True, on_epoch=True, prog_bar=True, batch_size=len(images))
        return loss

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
        logits = self(images).float()
        self.log("val/loss", self.loss(logits, masks), batch_size=len(images), sync_dist=True)
        self._scores.append(torch.stack(_counts(logits > 0, masks > 0), dim=1).cpu())

    def on_validation_epoch_end(self) -> None:
        """Dice over tumour slices at 0.5, and the share of tumour-free slices left without a tumour pixel."""
        both, found, truth = torch.cat(self._scores).float().unbind(dim=1)
        self._scores.clear()
        tumour = truth > 0
        dice = (2 * both / (found + truth).clamp(min=1))[tumour].mean() if tumour.any() else torch.tensor(0.0)
        clean = (found == 0)[~tumour].float().mean() if (~tumour).any() else torch.tensor(1.0)
        self.log("val/dice", dice.to(self.device), prog_bar=True, sync_dist=True)
        self.log("val/specificity", clean.to(self.device), prog_bar=True, sync_dist=True)

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
    """Pixels in both, in `found` and in `truth`, for each slice of (n, 1, h, w)."""
    axes = (1, 2, 3)
    return (found & truth).sum(axes), found.sum(axes), truth.sum(axes)
