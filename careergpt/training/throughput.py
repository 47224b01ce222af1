"""How fast training is, and what it loses to padding and to waiting."""

from __future__ import annotations

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer


class Throughput(Callback):
    """Logs useful tokens a second, and the shares of padding and of waiting, between two logs.

    What is waited for between two steps is mostly the loader: a share near 0 needs no more workers.
    """

    def __init__(self) -> None:
        self._useful = self._processed = 0
        self._waited = self._since = self._ended = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock; a run that is resumed within an epoch has no start of one."""
        self._reset()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock anew: what lies between epochs is not training."""
        self._reset()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock anew: validation is not training."""
        self._reset()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Ends the wait for a batch."""
        self._waited += time.perf_counter() - self._ended

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Counts; logs where Lightning logs."""
        self._useful += batch.n_tokens
        self._processed += batch.input_ids.numel()
        every = trainer.log_every_n_steps * trainer.accumulate_grad_batches  # type: ignore[attr-defined]
        if every and (batch_idx + 1) % every == 0:
            elapsed = time.perf_counter() - self._since
            # Every rank's batches are of nearly equal size: one rank's rate stands for all.
            numbers = {
                "train/tokens_per_second": self._useful * trainer.world_size / elapsed,
                "train/padding_share": 1 - self._useful / self._processed,
                "train/waiting_share": self._waited / elapsed,
            }
            for logger in trainer.loggers:
                # The step that has ended, as Lightning numbers it.
                logger.log_metrics(numbers, step=trainer.global_step - 1)
            self._reset()
        self._ended = time.perf_counter()

    def _reset(self) -> None:
        self._since = self._ended = time.perf_counter()
        self._waited, self._useful, self._processed = 0.0, 0, 0
