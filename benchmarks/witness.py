"""What a run that chaos.py disturbs saw and became, and how that differs from one left in peace."""

from __future__ import annotations

import json
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from lightning import Callback

KILL = "CAREERGPT_CHAOS_KILL"
TIMED = ("tokens_per_second", "waiting_share")


class Witness(Callback):
    """Writes down which examples each batch had; kills its own process where it is told to."""

    def __init__(self, path: str) -> None:
        self._path = path
        point, _, step = os.environ.get(KILL, "").partition(":")
        self._point, self._step = point, int(step or -1)

    def on_train_batch_end(
        self, trainer: Any, module: Any, outputs: Any, batch: Any, *_: Any
    ) -> None:
        """Writes the batch down."""
        loop = trainer.fit_loop
        row = {
            "batch": loop.total_batch_idx,
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
        }
        with Path(f"{self._path}.{trainer.global_rank}").open("a") as file:
            file.write(json.dumps({**row, "examples": list(batch.examples)}) + "\n")
        self._kill("step", trainer)

    def on_before_optimizer_step(self, trainer: Any, *_: Any) -> None:
        """The gradient is there, the step is not."""
        self._kill("before", trainer)

    def on_validation_batch_end(self, trainer: Any, *_: Any) -> None:
        """Within a validation."""
        if not trainer.sanity_checking:
            self._kill("validation", trainer)

    def on_train_epoch_end(self, trainer: Any, *_: Any) -> None:
        """An epoch's batches are done, its end is not."""
        self._kill("epoch", trainer)

    def on_save_checkpoint(self, trainer: Any, *_: Any) -> None:
        """A state is about to be written."""
        self._kill("write", trainer)

    def _kill(self, point: str, trainer: Any) -> None:
        if (point, trainer.global_step) == (self._point, self._step):
            os.kill(os.getpid(), signal.SIGKILL)


def witnessed(run: Path, rank: int) -> list[dict[str, Any]]:
    """The batches that made the weights: of each number the last: others were undone."""
    kept = {}
    for line in Path(f"{run}.seen.{rank}").read_text().splitlines():
        try:
            row = json.loads(line)
        except ValueError:  # Killed while it wrote.
            continue
        kept[row["batch"]] = row
    return [kept[batch] for batch in sorted(kept)]


def epoch_ends(run: Path) -> list[int]:
    """The steps after which an epoch ends."""
    return sorted({row["epoch"]: row["step"] for row in witnessed(run, 0)}.values())


def lost_rows(whole: Path, broken: Path, rank: int) -> int:
    """Rows of an epoch that were seen more or less often than in peace."""
    counts = [
        Counter(
            (row["epoch"], example) for row in witnessed(run, rank) for example in row["examples"]
        )
        for run in (whole, broken)
    ]
    return sum(abs(counts[0][key] - counts[1][key]) for key in counts[0] | counts[1])


def differences(whole: Path, broken: Path) -> list[str]:
    """What of two finished runs is not equal to the bit."""
    found = []
    states = [
        torch.load(run / "checkpoints" / "resume.ckpt", weights_only=True)
        for run in (whole, broken)
    ]
    for part in ("state_dict", "optimizer_states", "lr_schedulers"):
        if not _equal(states[0][part], states[1][part]):
            found.append(part)
    weights = [(run / "model" / "model.safetensors").read_bytes() for run in (whole, broken)]
    if weights[0] != weights[1]:
        found.append("model.safetensors")
    for name in ("metrics.jsonl", "samples.jsonl"):
        if _logged(whole / name) != _logged(broken / name):
            found.append(name)
    return found


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


def _logged(path: Path) -> list[dict[str, Any]]:
    """The lines, but for what depends on the clock."""
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    timed = [{k: v for k, v in row.items() if not k.endswith(TIMED)} for row in rows]
    return [row for row in timed if set(row) - {"step", "train/padding_share"}]
