"""The progress bar, and a word about precisions that the hardware computes the slow way."""

from __future__ import annotations

import time
from datetime import timedelta

import torch
from lightning import LightningModule, Trainer
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


def slow_precision(precision: str, device: torch.device) -> str | None:
    """What to know about a precision that this device has no units for; None: it has them.

    Args:
        precision: As Lightning names it: "bf16-mixed", "16-mixed", ….
        device: Where the model computes.
    """
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
