"""Progress and speed: the bar, useful tokens a second, and precisions that are slow here."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar

from careergpt.training.steps import planned_steps

# A bar that shows the loss waits for the GPU to know it: not at every step.
_STEPS_ON_GPU = 20


class Progress(TQDMProgressBar):
    """Lightning's bar of an epoch, with the time that the whole run has left.

    On a GPU it is refreshed every 20 steps, else at every one.
    """

    # The check before training shows numbers, too.
    _begun, _first = 0.0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Starts the clock."""
        super().on_train_start(trainer, pl_module)
        self._begun, self._first = time.monotonic(), trainer.global_step

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """What the bar shows behind the epoch; `left` counts validations as they came so far."""
        shown = super().get_metrics(trainer, pl_module)
        if done := trainer.global_step - self._first:
            steps = planned_steps(trainer) - trainer.global_step
            seconds = (time.monotonic() - self._begun) / done * steps
            shown["left"] = str(timedelta(seconds=round(seconds)))
        return shown

    @property
    def refresh_rate(self) -> int:
        """Steps between two refreshes."""
        on_cpu = self.trainer.strategy.root_device.type == "cpu"
        return 1 if on_cpu else _STEPS_ON_GPU

    @property
    def sanity_check_description(self) -> str:
        """What Lightning's check before training is here."""
        return "The starting model"


class Throughput(Callback):
    """Logs useful tokens a second, and the shares of padding and of waiting, between two logs.

    What is waited for between two steps is mostly the loader: a share near 0 needs no more workers.
    """

    def __init__(self) -> None:
        self._restart()

    def _restart(self, *_: Any, **__: Any) -> None:
        self._since = self._ended = time.perf_counter()
        self._waited, self._useful, self._processed = 0.0, 0, 0

    # What lies between epochs, and validation, is not training; a run that is resumed within an
    # epoch has no start of one.
    on_train_start = on_train_epoch_start = on_validation_end = _restart

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
            self._restart()
        self._ended = time.perf_counter()


def slow_precision(precision: str, device: torch.device) -> str | None:
    """What to know of a precision ("bf16-mixed", …) that this device has no units for, if so."""
    half = precision.partition("-")[0]
    if half not in ("bf16", "16") or _has_units(half, device):
        return None
    name = {"cpu": "this CPU"}.get(device.type) or torch.cuda.get_device_name(device)
    return (
        f"{name} has no units for trainer.precision={precision}: it is computed by detours and "
        "likely slower than 32-true"
    )


def _has_units(half: str, device: torch.device) -> bool:
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= ((8, 0) if half == "bf16" else (7, 0))
    if device.type != "cpu":
        return True  # Nothing is known of others.
    if not hasattr(torch.cpu, "get_capabilities"):
        return True  # Before torch 2.13 it cannot be asked.
    has = torch.cpu.get_capabilities()
    units = {
        "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
        "16": ("avx512_fp16", "amx_fp16", "fp16_arith"),
    }
    return any(has.get(name) for name in units[half])
