"""Resuming: the state that a run goes on from, written between two steps, checked when read."""

from __future__ import annotations

import os
import shlex
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only

from careergpt.data.whole_files import find_damage, move
from careergpt.errors import InputError, RunEndedError
from careergpt.training.steps import accumulated, accumulation, position_of, reached_end, stand_at
from careergpt.training.stops import Agreement, received_signal

NEWEST_FIRST = ("resume-new.ckpt", "resume.ckpt", "resume-previous.ckpt")
"""A state is written under the first name and passed down: two whole ones are there at any time."""

LOGS = ("metrics.jsonl", "samples.jsonl")
"""What a resumed run cuts off where its checkpoint was written: it writes the rest again."""

OURS = "careergpt"
"""Our part of a checkpoint."""

_PARTS = (OURS, "loops", "callbacks", "optimizer_states", "lr_schedulers")
"""What a run cannot go on exactly without."""


class KeepState(Callback):
    """Writes checkpoints/resume.ckpt between two optimizer steps, and ends the run there if told.

    It is written around every validation, so that no more than one step is lost to a stop within
    one, and by the clock or the steps besides.
    """

    def __init__(
        self,
        every_n_steps: int | None = None,
        every_minutes: float = 10.0,
        allow_changes: bool = False,
    ) -> None:
        """Writes nothing yet.

        Args:
            every_n_steps: Also after this many optimizer steps. Null: by the clock alone.
            every_minutes: Also after this many minutes.
            allow_changes: Resume though the data, the batches or the ranks are others than those of
                the checkpoint: the epoch under way begins anew, so some of its rows are seen
                twice, and the run is no longer the one that was interrupted.
        """
        if every_n_steps is not None and every_n_steps < 1:
            raise InputError(f"checkpoints.every_n_steps must be 1 or more, found {every_n_steps}")
        if not every_minutes > 0:
            raise InputError(f"checkpoints.every_minutes must be above 0, found {every_minutes}")
        self._every_n_steps, self._seconds = every_n_steps, every_minutes * 60
        self._allow_changes = allow_changes
        self.saves = True
        self.early_ends = ""
        """What may end the run before its limits, as text."""
        self._log_sizes: Mapping[str, int] = {}
        self._agreement = Agreement()
        self._saved_step, self._saved_at = 0, 0.0
        self._validated = self._ended = False

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """What a run logged after its last state, it logs again: nothing refuses it any more."""
        if trainer.is_global_zero:
            _cut_logs(Path(trainer.default_root_dir), self._log_sizes)
        trainer.strategy.barrier()  # Every rank has read its state.
        if trainer.is_global_zero and self.saves:
            _pass_down(trainer)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Starts the clock."""
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Between two steps: saves what is due, and stops if any rank was told to."""
        loop = trainer.fit_loop.epoch_loop
        if batch_idx % trainer.accumulate_grad_batches:
            return
        # Of a loop that was restarted, Lightning's own guess can be off by one.
        loop._batches_that_stepped = trainer.global_step
        stop, due = self._agreement.most(received_signal(trainer), self._is_due(trainer, batch_idx))
        if due or (stop and trainer.global_step != self._saved_step):
            self._save(trainer)
        self._stop(trainer, stop)

    def on_validation_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Stops within a validation: the state before its step was kept."""
        if trainer.state.fn == TrainerFn.FITTING:
            self._stop(trainer, *self._agreement.most(received_signal(trainer)))

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Notes that a validation is worth keeping."""
        self._validated = not trainer.sanity_checking

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Keeps the last state: that a run is finished, or what a longer one goes on from."""
        self._ended = True
        self._save(trainer)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Stops if a signal came too late for a step to heed it; from here on one ends at once."""
        self._stop(trainer, *self._agreement.most(received_signal(trainer)))

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Says where the checkpoint stands, and what it is a checkpoint of."""
        position, folder = position_of(trainer), Path(trainer.default_root_dir)
        stand_at(checkpoint["loops"], *position)
        sizes = {name: path.stat().st_size for name in LOGS if (path := folder / name).exists()}
        # What the run was to be, and whether something ended it before.
        finished = {
            "epochs": trainer.max_epochs,
            "steps": trainer.max_steps,
            "stoppers": None if reached_end(trainer) else self.early_ends,
        }
        checkpoint[OURS] = {
            "position": position,
            "data": _planned_by(trainer),
            "model": pl_module.built_by(),
            "log_sizes": sizes,
            "finished": finished if self._ended else None,
        }

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Refuses what would not go on exactly; turns the data to the checkpoint's place."""
        kept, data = checkpoint[OURS], trainer.datamodule  # type: ignore[attr-defined]
        if not checkpoint["optimizer_states"]:
            raise InputError(
                "--ckpt_path: the best weights alone are in this checkpoint: resume with "
                "--ckpt_path last, or begin a new run with --model.pretrained RUN/model"
            )
        if changed := _differences(kept["model"], pl_module.built_by()):
            raise InputError(
                f"the checkpoint is of another model ({changed}): give the run's own "
                "configuration, --config RUN/config.yaml, or start a new run"
            )
        epoch, batch = kept["position"]
        if changed := _differences(kept["data"], _planned_by(trainer)):
            if not self._allow_changes:
                raise InputError(
                    f"the run cannot go on exactly: {changed}. Undo the change, or resume with "
                    "--checkpoints.allow_changes=true: the epoch under way begins anew"
                )
            rank_zero_only(print)(
                f"no longer the run that was interrupted: {changed}; its epoch begins anew"
            )
            batch = 0
            stand_at(checkpoint["loops"], epoch, batch)
        if batch % accumulated(trainer, epoch):
            raise InputError(
                "the checkpoint was written within an optimizer step, whose gradient it does not "
                "hold: resume with --ckpt_path last"
            )
        data.resume_at(epoch, batch)
        self._log_sizes = kept["log_sizes"]
        limits = trainer.max_epochs, trainer.max_steps, self.early_ends
        trainer.should_stop = is_finished(checkpoint, *limits)
        if trainer.should_stop and "current_model_state" in checkpoint:
            # Nothing is trained any more: what ended is the average, if one was kept.
            checkpoint["current_model_state"] = checkpoint["state_dict"]

    def _is_due(self, trainer: Trainer, batch_idx: int) -> bool:
        since = trainer.global_step - self._saved_step
        return since > 0 and (
            self._validated
            or _validates_next(trainer, batch_idx)
            or (self._every_n_steps is not None and since >= self._every_n_steps)
            or time.monotonic() - self._saved_at >= self._seconds
        )

    def _save(self, trainer: Trainer) -> None:
        if not self.saves:
            return
        module: Any = trainer.lightning_module
        module.check_steps()  # A GPU may not have been asked yet.
        trainer.save_checkpoint(_state(trainer, NEWEST_FIRST[0]), weights_only=False)
        if trainer.is_global_zero:
            _pass_down(trainer)
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()
        self._validated = False

    def _stop(self, trainer: Trainer, number: int) -> None:
        """Ends the run if there is a signal."""
        if not number:
            return
        name, saved = signal.Signals(number).name, self._saved_step
        told = f"stopped by {name} after step {trainer.global_step}"
        if not saved:
            told += "; nothing was learned yet"
        elif saved < trainer.global_step:
            told += f"; the state of step {saved} is kept"
        config = shlex.quote(str(Path(trainer.default_root_dir) / "config.yaml"))
        # Other ranks end well: Lightning would take an exit code for a crash, and kill the first.
        raise RunEndedError(
            f"{told}. Go on with: python main.py fit --config {config} --ckpt_path last",
            128 + number if trainer.is_global_zero else 0,
        )


def _state(trainer: Trainer, name: str) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints" / name


def _pass_down(trainer: Trainer) -> None:
    """Gives the newest state its name, also where a kill came between its writing and that."""
    new, last, previous = (_state(trainer, name) for name in NEWEST_FIRST)
    if new.exists() and find_damage(new) is None:
        if last.exists():
            move(last, previous)
        move(new, last)


def _cut_logs(folder: Path, sizes: Mapping[str, int]) -> None:
    """Cuts the run's logs off after these bytes; what is not named, wholly."""
    for name in LOGS:
        path = folder / name
        size, kept = path.stat().st_size if path.exists() else 0, sizes.get(name, 0)
        if size < kept:  # Something else has cut it: its last line may be torn.
            kept = path.read_bytes().rfind(b"\n") + 1 if size else 0
        if size > kept:
            os.truncate(path, kept)


def check_state(checkpoint: Mapping[str, Any]) -> None:
    """Raises InputError for what lacks a part of a run's state: Lightning would begin it anew."""
    if missing := [name for name in _PARTS if checkpoint.get(name) is None]:
        raise InputError(
            f"--ckpt_path: this checkpoint does not say where its run stands (no {missing[0]}): "
            "give one that fit wrote"
        )


def is_finished(
    checkpoint: Mapping[str, Any], max_epochs: int | None, max_steps: int, early_ends: str
) -> bool:
    """Whether the checkpoint is the end of a run that these limits do not prolong.

    The limits are the Trainer's. `early_ends`: what may end the run before them, as text; one that
    did must be the same.
    """
    finished = (checkpoint.get(OURS) or {}).get("finished")
    if finished is None or finished["stoppers"] not in (None, early_ends):
        return False
    longer_epochs = _length(max_epochs) > _length(finished["epochs"])
    return not longer_epochs and _length(max_steps) <= _length(finished["steps"])


def _length(limit: int | None) -> float:
    """No limit is the longest."""
    return float("inf") if limit in (None, -1) else float(limit or 0)


def _planned_by(trainer: Any) -> dict[str, Any]:
    """What decides which rows an optimizer step sees, by the names of its options."""
    batches: dict[str, Any] = trainer.datamodule.planned_by()
    return {**batches, "--trainer.accumulate_grad_batches": accumulation(trainer)}


def _validates_next(trainer: Any, batch_idx: int) -> bool:
    """Whether a validation follows the step that this batch begins."""
    after = batch_idx + trainer.accumulate_grad_batches
    if after >= trainer.num_training_batches or trainer.global_step + 1 == trainer.max_steps:
        return True
    every = trainer.val_check_batch
    if every in (None, float("inf")):
        return False
    begun = (
        trainer.fit_loop.total_batch_idx if trainer.check_val_every_n_epoch is None else batch_idx
    )
    return bool(begun // every != (begun + trainer.accumulate_grad_batches) // every)


def _differences(kept: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What changed, as `name was 1 and is 2`; what another version did not tell is not compared."""
    pairs = [(name, kept[name], now[name]) for name in kept if name in now]
    return ", ".join(
        f"{name} was {was} and is {is_now}" for name, was, is_now in pairs if was != is_now
    )
