"""Optimizer steps: how many are planned, where training stands, which of them broke."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor

from careergpt.data.whole_files import write_json
from careergpt.errors import InputError

REPORT = "broken_step.json"


def accumulation(trainer: Any) -> int | dict[int, int]:
    """Batches that make an optimizer step; by a schedule, from which epoch on how many."""
    scheduler = _scheduler(trainer)
    return dict(scheduler.scheduling) if scheduler else int(trainer.accumulate_grad_batches)


def accumulated(trainer: Any, epoch: int) -> int:
    """Batches that make an optimizer step in this epoch.

    Lightning keeps the number of the epoch under way alone, and learns it at an epoch's start: a
    run that is resumed within one has none.
    """
    scheduler = _scheduler(trainer)
    if scheduler is None:
        return int(trainer.accumulate_grad_batches)
    return int(scheduler.get_accumulate_grad_batches(epoch))


def planned_steps(trainer: Any) -> int:
    """Optimizer steps until max_epochs or max_steps, whichever comes first."""
    steps, scheduler = int(trainer.estimated_stepping_batches), _scheduler(trainer)
    if scheduler is None or trainer.max_epochs == -1:
        return steps
    of_epochs: int = sum(
        math.ceil(trainer.num_training_batches / scheduler.get_accumulate_grad_batches(epoch))
        for epoch in range(trainer.max_epochs)
    )
    return of_epochs if trainer.max_steps == -1 else min(of_epochs, int(trainer.max_steps))


def reached_end(trainer: Any) -> bool:
    """Whether training is over because all that was planned is done."""
    steps, epochs = trainer.max_steps, trainer.max_epochs
    return bool(trainer.global_step == steps or position_of(trainer)[0] == epochs)


def _scheduler(trainer: Any) -> GradientAccumulationScheduler | None:
    found = (c for c in trainer.callbacks if isinstance(c, GradientAccumulationScheduler))
    return next(found, None)


def position_of(trainer: Any) -> tuple[int, int]:
    """The epoch and the batch of this rank that come next, both counted from 0.

    True between two batches and at an end; an epoch's last batch is followed by the next's first.
    """
    loop = trainer.fit_loop
    epochs, batch = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current.processed
    # Lightning counts an epoch as processed before its last hooks, and also one that it left early.
    epoch = epochs.processed - (epochs.processed == epochs.started)
    return (epoch, batch) if batch < trainer.num_training_batches else (epoch + 1, 0)


def stand_at(loops: dict[str, Any], epoch: int, batch: int) -> None:
    """Writes the position into a checkpoint's `loops`, so that Lightning goes on from just there.

    Lightning guesses from its counters in which hook a checkpoint was written, and skips or repeats
    what it thinks was pending. Nothing is pending here: all counters agree that so many batches of
    an epoch under way are done, validation after them included.
    """
    fit = loops["fit_loop"]
    epochs, batches = fit["epoch_progress"], fit["epoch_loop.batch_progress"]
    for counts in (epochs["total"], epochs["current"]):
        counts |= {"ready": epoch + 1, "started": epoch + 1}
        counts |= {"processed": epoch, "completed": epoch}
    batches["is_last_batch"] = False
    for name, count in {"total": batches["total"]["processed"], "current": batch}.items():
        batches[name] |= dict.fromkeys(("ready", "started", "processed", "completed"), count)


class StepWatch:
    """Remembers the steps since the last check: a GPU is not asked after each of them."""

    def __init__(self) -> None:
        self._examples: tuple[int, ...] = ()
        self._steps: list[tuple[int, Tensor, tuple[int, ...]]] = []

    def add(self, examples: Sequence[int]) -> None:
        """Counts a batch's examples to the step under way."""
        self._examples += tuple(examples)

    def end(self, number: int, sound: Tensor) -> Tensor:
        """Ends the step; whether it or one since the last check is unsound, as a tensor.

        `number` counts from 0; `sound`: its loss and gradient are finite, the same on every rank.
        """
        self._steps.append((number, sound, self._examples))
        self._examples = ()
        return ~torch.stack([sound for _, sound, _ in self._steps]).all()

    def check(self, trainer: Any) -> None:
        """Forgets sound steps; every rank asks at the same time.

        Raises:
            InputError: A step was unsound; its records are written down.
        """
        steps, self._steps = self._steps, []
        for number, sound, examples in steps:
            if sound:
                continue
            path = Path(trainer.default_root_dir) / REPORT
            records = gathered(trainer, trainer.datamodule.dataset.places_of(examples))
            if trainer.is_global_zero:
                write_json(path, {"step": number, "records": records})
            raise InputError(
                f"the loss or its gradient is not finite at step {number}, which was not taken: "
                "lower model.lr, clip gradients (trainer.gradient_clip_val), or use a wider "
                f"precision. The step's {len(records)} records are in {path}; what was saved "
                "before is sound"
            )


def gathered(trainer: Any, own: list[Any]) -> list[Any]:
    """The items of all ranks, those of the first rank first."""
    parts = [own] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(parts, own)
    return [item for part in parts for item in part]
