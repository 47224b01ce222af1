"""How a run ends: the last weights are judged, the best are kept, and what ended it is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, Timer
from lightning.pytorch.utilities import rank_zero_only

from careergpt.errors import InputError
from careergpt.training.configured import check_averages, check_monitors, check_updates
from careergpt.training.steps import planned_steps, reached_end


class Ending(Callback):
    """Validates the last weights, wherever the run ends, and tells what cut it short.

    Its hooks come before those of callbacks that keep weights or replace them.
    """

    def __init__(self, configured: Sequence[Callback] = ()) -> None:
        """Remembers the callbacks that the user has named."""
        self._configured = configured
        self._validated: int | None = None
        self.told: list[str] = []

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Refuses what callbacks cannot do with this strategy, these tasks and this clock."""
        check_averages(self._configured, trainer)
        check_monitors(self._configured, trainer)
        if not all(map(_duration, _clocks(trainer))):
            raise InputError("the clock (trainer.max_time or a Timer) leaves no time to train")

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Refuses to average nothing; warns of a clock, which the learning rate cannot foresee."""
        check_updates(self._configured, planned_steps(trainer))
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
            self.told.append(_cut_short(trainer, trainer.global_step, planned_steps(trainer)))


class BestWeights(ModelCheckpoint):
    """Keeps checkpoints/best.ckpt, by validation; a run's folder may be moved."""

    def __init__(self, folder: Path) -> None:
        super().__init__(
            dirpath=folder,
            filename="best",
            monitor="val/loss",
            auto_insert_metric_name=False,
            enable_version_counter=False,
            save_on_train_epoch_end=False,  # At each validation: the last one follows all epochs.
        )

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The same state with this folder's paths."""
        folder = str(self.dirpath)

        def here(path: str) -> str:
            return str(Path(folder) / Path(path).name) if path else path

        paths = ("best_model_path", "kth_best_model_path", "last_model_path")
        moved = {name: here(state_dict[name]) for name in paths}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict({**state_dict, **moved, "best_k_models": best, "dirpath": folder})


def _validate(trainer: Any) -> None:
    """A validation as Lightning makes it within an epoch, logged at the last step."""
    loop = trainer.fit_loop.epoch_loop
    loop._batches_that_stepped -= 1  # Lightning numbers steps from 0.
    trainer.validating = True
    loop.val_loop.run()
    trainer.training = True
    loop._batches_that_stepped += 1


def _cut_short(trainer: Any, step: int, planned: int) -> str:
    group = trainer.optimizers[0].param_groups[0]
    return (
        f"{_stopper(trainer)} ended training after step {step:,} of {planned:,} planned: "
        f"{1 - step / planned:.1%} of the learning rate's schedule was left, and the rate stood "
        f"at {group['lr'] / group['initial_lr']:.0%} of its highest"
    )


def _clocks(trainer: Any) -> list[Timer]:
    found = [callback for callback in trainer.callbacks if isinstance(callback, Timer)]
    return [timer for timer in found if timer.time_remaining() is not None]


def _duration(timer: Timer) -> timedelta:
    return timedelta(seconds=round(timer.time_elapsed() + (timer.time_remaining() or 0), 3))


def _stopper(trainer: Any) -> str:
    """What asked for an end before the planned one."""
    for timer in _clocks(trainer):
        if (timer.time_remaining() or 0) <= 0:
            return f"the clock ({_duration(timer)})"
    for callback in trainer.callbacks:
        if isinstance(callback, EarlyStopping) and callback.stopping_reason_message:
            return f"EarlyStopping ({callback.monitor})"
    return "a callback"
