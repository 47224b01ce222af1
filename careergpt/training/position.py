"""Where in training a checkpoint stands, said so that Lightning goes on from just there."""

from __future__ import annotations

from typing import Any, NamedTuple

from lightning import Trainer


class Position(NamedTuple):
    """The next batch to train on; an epoch's last batch is followed by the next epoch's first.

    Attributes:
        epoch: Counted from 0.
        batch: Of this rank in the epoch, counted from 0.
    """

    epoch: int
    batch: int


def position_of(trainer: Trainer) -> Position:
    """The batch that comes next, asked between two batches or at an end."""
    loop: Any = trainer.fit_loop
    epochs, batch = loop.epoch_progress.current, loop.epoch_loop.batch_progress.current.processed
    # Lightning counts an epoch as processed before its last hooks, and also one that it left early.
    epoch = epochs.processed - (epochs.processed == epochs.started)
    return (
        Position(epoch, batch) if batch < trainer.num_training_batches else Position(epoch + 1, 0)
    )


def stand_at(loops: dict[str, Any], position: Position) -> None:
    """Writes the position into a checkpoint's `loops`.

    Lightning guesses from its counters in which hook a checkpoint was written, and skips or repeats
    what it thinks was pending. Nothing is pending here: all counters agree that `position.batch`
    batches of an epoch under way are done, validation after them included.
    """
    fit = loops["fit_loop"]
    epochs, batches = fit["epoch_progress"], fit["epoch_loop.batch_progress"]
    for counts in (epochs["total"], epochs["current"]):
        counts |= {"ready": position.epoch + 1, "started": position.epoch + 1}
        counts |= {"processed": position.epoch, "completed": position.epoch}
    batches["is_last_batch"] = False
    done = {"total": batches["total"]["processed"], "current": position.batch}
    for name, count in done.items():
        batches[name] |= dict.fromkeys(("ready", "started", "processed", "completed"), count)
