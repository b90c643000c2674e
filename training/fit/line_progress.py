"""Lightning's part of :mod:`progress.lines`: what its bar would show, as lines."""

from __future__ import annotations

import sys
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from progress.lines import Lines


class LineProgress(Callback):
    """A line on stderr each half minute and at the end of each epoch: steps, time left, epoch, loss and, once there is
    one, the validation's Dice. The time is that of all epochs; early stopping may end the run sooner."""

    _lines: Lines | None = None

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.is_global_zero:
            total = (trainer.max_epochs or 0) * int(trainer.num_training_batches)
            self._lines = Lines("training", total, _write)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self._say(trainer, now=False)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._say(trainer, now=True)

    def _say(self, trainer: pl.Trainer, now: bool) -> None:
        if self._lines:
            epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
            figures = [f"{name} {value:.3f}" for name, value in trainer.progress_bar_metrics.items()]
            self._lines.at(trainer.global_step, epoch, *figures, now=now)


def _write(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
