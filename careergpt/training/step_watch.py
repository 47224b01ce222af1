"""Which records were in the optimizer step whose loss or gradient broke."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from careergpt.data.whole_files import write_json
from careergpt.errors import InputError

REPORT = "broken_step.json"


class _Step(NamedTuple):
    number: int
    sound: Tensor
    examples: tuple[int, ...]


class StepWatch:
    """Remembers the steps since the last check: a GPU is not asked after each of them."""

    def __init__(self) -> None:
        self._examples: tuple[int, ...] = ()
        self._steps: list[_Step] = []

    def add(self, examples: Sequence[int]) -> None:
        """Counts a batch's examples to the step under way."""
        self._examples += tuple(examples)

    def end(self, number: int, sound: Tensor) -> Tensor:
        """Ends the step; whether it or one since the last check is unsound, as a tensor.

        Args:
            number: The step, counted from 0.
            sound: Whether its loss and gradient are finite, the same on every rank.
        """
        self._steps.append(_Step(number, sound, self._examples))
        self._examples = ()
        return ~torch.stack([step.sound for step in self._steps]).all()

    def check(self, trainer: Any) -> None:
        """Forgets sound steps; every rank asks at the same time.

        Raises:
            InputError: A step was unsound; its records are written down.
        """
        broken = next((step for step in self._steps if not step.sound), None)
        self._steps = []
        if broken is None:
            return
        path = Path(trainer.default_root_dir) / REPORT
        records = _gathered(trainer, trainer.datamodule.dataset.places_of(broken.examples))
        if trainer.is_global_zero:
            write_json(path, {"step": broken.number, "records": records})
        raise InputError(
            f"the loss or its gradient is not finite at step {broken.number}, which was not taken: "
            "lower model.lr, clip gradients (trainer.gradient_clip_val), or use a wider precision. "
            f"The step's {len(records)} records are in {path}; what was saved before is sound"
        )


def _gathered(trainer: Any, own: list[dict[str, str]]) -> list[dict[str, str]]:
    if trainer.world_size == 1:
        return own
    parts: list[list[dict[str, str]]] = [[] for _ in range(trainer.world_size)]
    torch.distributed.all_gather_object(parts, own)
    return [record for part in parts for record in part]
