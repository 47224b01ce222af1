"""The optimizer steps of a run: how many batches make one, and how many are planned."""

from __future__ import annotations

import math
from typing import Any

from lightning.pytorch.callbacks import GradientAccumulationScheduler

from careergpt.training.position import position_of


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
    batches, most = trainer.num_training_batches, trainer.max_steps
    of_epochs = (
        math.ceil(batches / scheduler.get_accumulate_grad_batches(epoch))
        for epoch in range(trainer.max_epochs)
    )
    return sum(of_epochs) if most == -1 else min(sum(of_epochs), most)


def reached_end(trainer: Any) -> bool:
    """Whether training is over because all that was planned is done."""
    steps, epochs = trainer.max_steps, trainer.max_epochs
    return bool(trainer.global_step == steps or position_of(trainer).epoch == epochs)


def _scheduler(trainer: Any) -> GradientAccumulationScheduler | None:
    found = (c for c in trainer.callbacks if isinstance(c, GradientAccumulationScheduler))
    return next(found, None)
