"""Callbacks that a configuration names: refused where they cannot work; the end that one brings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    StochasticWeightAveraging,
    Timer,
    WeightAveraging,
)
from lightning.pytorch.utilities import rank_zero_only

from careergpt.data.splits import VAL
from careergpt.errors import InputError
from careergpt.training.metrics import metric_names
from careergpt.training.steps import planned_steps, reached_end

_REFUSED: dict[type[Callback], str] = {
    BatchSizeFinder: "batches are planned by tokens: set data.batch_tokens",
    LearningRateFinder: "the rate is planned over the whole run: compare runs by model.lr",
    StochasticWeightAveraging: "its average would be lost, for validation never judges it: use "
    "lightning.pytorch.callbacks.EMAWeightAveraging, or WeightAveraging for the plain mean",
    BackboneFinetuning: "a causal language model has no backbone apart from its head",
    ModelPruning: "pruned weights have names that no model folder knows",
}


def check_callbacks(callbacks: Iterable[Callback], accumulate_grad_batches: int) -> None:
    """Raises InputError for callbacks that Lightning would fail on later, or that do nothing."""
    for callback in callbacks:
        name = f"trainer.callbacks: {type(callback).__name__}"
        for refused, why in _REFUSED.items():
            if isinstance(callback, refused):
                raise InputError(f"{name} cannot be used here: {why}")
        if isinstance(callback, GradientAccumulationScheduler) and accumulate_grad_batches != 1:
            raise InputError(
                f"{name} and trainer.accumulate_grad_batches={accumulate_grad_batches} both say "
                "how many batches make a step: keep one of them"
            )


class Ending(Callback):
    """Validates the last weights, wherever the run ends, and tells what cut it short.

    It comes before callbacks that keep weights or replace them.
    """

    def __init__(self, configured: Sequence[Callback] = ()) -> None:
        """Remembers the callbacks that the user has named."""
        self._configured = configured
        self._validated: int | None = None
        self.told: list[str] = []

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Refuses what callbacks cannot do with these tasks and this clock."""
        _check_monitors(self._configured, trainer)
        if not all(map(_duration, _clocks(trainer))):
            raise InputError("the clock (trainer.max_time or a Timer) leaves no time to train")

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Refuses to average nothing; warns of a clock, which the learning rate cannot foresee."""
        _check_updates(self._configured, planned_steps(trainer))
        for timer in _clocks(trainer):
            rank_zero_only(print)(
                f"training may end by the clock, after {_duration(timer)}: the learning rate falls "
                f"over all {planned_steps(trainer):,} steps that trainer.max_epochs and max_steps "
                "plan, so plan no more than fit into the time"
            )

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Notes which weights are judged."""
        self._validated = None if trainer.sanity_checking else trainer.global_step

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Validates if steps were taken since the last time."""
        if trainer.enable_validation and self._validated != trainer.global_step:
            _validate(trainer)
        if not reached_end(trainer):
            step, planned = trainer.global_step, planned_steps(trainer)
            group = trainer.optimizers[0].param_groups[0]
            self.told.append(
                f"{_cause(trainer)} ended training after step {step:,} of {planned:,} planned: "
                f"{1 - step / planned:.1%} of the learning rate's schedule was left, and the rate "
                f"stood at {group['lr'] / group['initial_lr']:.0%} of its highest"
            )


def _check_updates(callbacks: Iterable[Callback], steps: int) -> None:
    """Refuses an average that no planned step enters: what training began with would be kept."""
    for callback in callbacks:
        if isinstance(callback, WeightAveraging) and not any(
            callback.should_update(step_idx=place) or callback.should_update(epoch_idx=place)
            for place in range(steps)
        ):
            raise InputError(
                f"trainer.callbacks: {type(callback).__name__} would average nothing in the "
                f"{steps:,} steps that are planned: have it start earlier, and update every so many"
            )


def _check_monitors(callbacks: Sequence[Callback], trainer: Any) -> None:
    """Refuses to watch a metric that there will not be; one that is not there yet is waited for."""
    if any(not type(callback).__module__.startswith("lightning.") for callback in callbacks):
        return  # One of the user's own may log what nobody here knows of.
    data = trainer.datamodule.dataset
    known = metric_names(data.tasks_in(VAL) if trainer.enable_validation else None)
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in known:
            raise InputError(
                f"trainer.callbacks: {type(callback).__name__} has no metric {monitor!r} to "
                f"monitor: there are {', '.join(known)}"
            )
        if isinstance(callback, EarlyStopping):
            callback.strict = False


def _validate(trainer: Any) -> None:
    """A validation as Lightning makes it within an epoch, logged at the last step."""
    loop = trainer.fit_loop.epoch_loop
    loop._batches_that_stepped -= 1  # Lightning numbers steps from 0.
    trainer.validating = True
    loop.val_loop.run()
    trainer.training = True
    loop._batches_that_stepped += 1


def _cause(trainer: Any) -> str:
    """What brought an end before the planned one."""
    for timer in _clocks(trainer):
        if (timer.time_remaining() or 0) <= 0:
            return f"the clock ({_duration(timer)})"
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return f"EarlyStopping ({callback.monitor})"
    return "a callback"


def _clocks(trainer: Any) -> list[Timer]:
    found = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]
    return [timer for timer in found if timer.time_remaining() is not None]


def _duration(timer: Timer) -> timedelta:
    return timedelta(seconds=round(timer.time_elapsed() + (timer.time_remaining() or 0), 3))
