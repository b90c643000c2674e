"""Early stopping that stays stopped."""

from __future__ import annotations

import lightning.pytorch as pl
from lightning.pytorch.callbacks import EarlyStopping


class StopEarly(EarlyStopping):
    """Lightning's, whose patience is in the checkpoint; but a run that had stopped and is started again would train an
    epoch more each time before it looked."""

    @property
    def state_key(self) -> str:
        """That of Lightning's, under which checkpoints of older runs have their patience."""
        return super().state_key.replace(type(self).__qualname__, EarlyStopping.__qualname__, 1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self.wait_count >= self.patience:
            trainer.should_stop = True
