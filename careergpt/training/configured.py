"""Callbacks that a configuration names: what cannot work here is one line before training."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from lightning import Callback
from lightning.pytorch.callbacks import (
    BackboneFinetuning,
    BatchSizeFinder,
    EarlyStopping,
    GradientAccumulationScheduler,
    LearningRateFinder,
    ModelPruning,
    StochasticWeightAveraging,
    WeightAveraging,
)
from lightning.pytorch.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

from careergpt.data.splits import VAL
from careergpt.errors import InputError
from careergpt.training.module import metric_names

_REFUSED: dict[type[Callback], str] = {
    BatchSizeFinder: "batches are planned by tokens: set data.batch_tokens",
    LearningRateFinder: "the rate is planned over the whole run: compare runs by model.lr",
    StochasticWeightAveraging: "its average would be lost, for validation never judges it: use "
    "lightning.pytorch.callbacks.EMAWeightAveraging, or WeightAveraging for the plain mean",
    BackboneFinetuning: "a causal language model has no backbone apart from its head",
    ModelPruning: "pruned weights have names that no model folder knows",
}


def check_callbacks(callbacks: Iterable[Callback], accumulate_grad_batches: int) -> None:
    """Refuses callbacks that Lightning would fail on later, or that would do nothing.

    Raises:
        InputError: With what to use instead.
    """
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


def check_averages(callbacks: Iterable[Callback], trainer: Any) -> None:
    """Refuses to average weights of which no rank has all.

    Raises:
        InputError: With the strategy.
    """
    sharded = isinstance(trainer.strategy, FSDPStrategy | ModelParallelStrategy | DeepSpeedStrategy)
    for callback in callbacks:
        if sharded and isinstance(callback, WeightAveraging):
            raise InputError(
                f"trainer.callbacks: {type(callback).__name__} averages whole models, and "
                f"{type(trainer.strategy).__name__} shards them: use trainer.strategy=ddp"
            )


def check_updates(callbacks: Iterable[Callback], steps: int) -> None:
    """Refuses an average that none of these steps enters: what training began with would be kept.

    Raises:
        InputError: With the number of steps.
    """
    for callback in callbacks:
        if isinstance(callback, WeightAveraging) and not any(
            callback.should_update(step_idx=place) or callback.should_update(epoch_idx=place)
            for place in range(steps)
        ):
            raise InputError(
                f"trainer.callbacks: {type(callback).__name__} would average nothing in the "
                f"{steps:,} steps that are planned: have it start earlier, and update every so many"
            )


def check_monitors(callbacks: Sequence[Callback], trainer: Any) -> None:
    """Refuses to watch a metric that there will not be; one that is not there yet is waited for.

    Raises:
        InputError: With the metrics that there are.
    """
    if any(not type(callback).__module__.startswith("lightning.") for callback in callbacks):
        return  # One of the user's own may log what nobody here knows of.
    known = metric_names(
        trainer.datamodule.dataset.tasks_in(VAL) if trainer.enable_validation else None
    )
    for callback in callbacks:
        monitor = getattr(callback, "monitor", None)
        if monitor is not None and monitor not in known:
            raise InputError(
                f"trainer.callbacks: {type(callback).__name__} has no metric {monitor!r} to "
                f"monitor: there are {', '.join(known)}"
            )
        if isinstance(callback, EarlyStopping):
            callback.strict = False
