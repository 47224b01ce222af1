"""Answers kept as they come: a `predict` that was killed goes on where it was."""

from __future__ import annotations

import glob
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only

from careergpt.data.foreign_files import reading
from careergpt.data.prompts import Prompt
from careergpt.data.whole_files import adding, write_lines, writing
from careergpt.generation.decoding import Generated


class KeptAnswers(Callback):
    """Each batch's answers, appended by each rank to a file of its own beside the output.

    A line holds a batch and names the work that it is of. So a batch that a kill cut off is asked
    anew as a whole, among the same neighbours, and answers of other work are never taken for ours.
    """

    def __init__(self, out: Path) -> None:
        """Answers on their way to this file."""
        self._out = out
        self._work = ""

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Lets the data module ask, once the weights are loaded, which prompts are answered."""
        trainer.datamodule.find_answered = partial(self._find, trainer, pl_module)  # type: ignore[attr-defined]

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: Any,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keeps the batch."""
        line = {"work": self._work, "answers": [_row(answer) for answer in outputs]}
        self._append(trainer.global_rank, json.dumps(line))

    def finish(self, prompts: int) -> str:
        """Writes the output, in the input's order, and tells how many of the prompts are in it."""
        own = (kept["answers"] for _, kept in self._kept() if kept["work"] == self._work)
        # By place: two runs at once, or one that outlived its kill, may have answered twice.
        answers = {row.pop("place"): row for rows in own for row in rows}
        with writing(self._out):
            write_lines(self._out, (answers[place] for place in sorted(answers)))
            if len(answers) < prompts:
                return (
                    f"{len(answers)} of {prompts} prompts are answered in {self._out}: the same "
                    "command answers the others"
                )
            for path in self._files():
                path.unlink(missing_ok=True)
        return f"{len(answers)} answers are in {self._out}"

    def _find(
        self, trainer: Trainer, pl_module: Any, batches: Sequence[Sequence[Prompt]]
    ) -> set[int]:
        """Places of the prompts that earlier runs of the same work have answered, on any rank."""
        where = f"{trainer.precision} {pl_module.device.type}"
        self._work = work_digest(pl_module, where, batches)
        # An empty line: it ends one that a kill cut off, and shows whether the file can be written.
        self._append(trainer.global_rank, "")
        answered: set[int] = set()
        others = set()
        for path, kept in self._kept():
            if kept["work"] == self._work:
                answered |= {row["place"] for row in kept["answers"]}
            else:
                others.add(path.name)
        if answered:
            rank_zero_only(print)(f"{len(answered)} prompts were answered before: not asked anew")
        if others:
            rank_zero_only(print)(
                f"not used: {', '.join(sorted(others))} (another model, other prompts or decoding)"
            )
        return answered

    def _kept(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        """The lines of all ranks' files, however many ranks there were."""
        for path in self._files():
            with reading(str(path)), path.open(encoding="utf-8", errors="replace") as file:
                for line in file:
                    with suppress(ValueError):  # Empty, or cut off.
                        yield path, json.loads(line)

    def _append(self, rank: int, line: str) -> None:
        path = self._out.with_name(f"{self._out.name}.rank{rank}.partial")
        with adding(path) as file:
            file.write(line + "\n")

    def _files(self) -> list[Path]:
        pattern = f"{glob.escape(self._out.name)}.rank*.partial"
        return sorted(self._out.parent.glob(pattern))


def work_digest(module: Any, where: str, batches: Sequence[Sequence[Prompt]]) -> str:
    """A digest of all that decides the answers, their last digits too.

    Args:
        module: The module: its weights as they are in memory, wherever they came from.
        where: The precision and the kind of device.
        batches: The prompts, side by side as they are answered.
    """
    settings = (where, module.decoding, module.context, module.model.config.to_json_string())
    digest = hashlib.sha256(repr(settings).encode())
    for batch in batches:
        digest.update(repr(batch).encode())
    for name, weight in module.model.named_parameters():
        digest.update(f"{name} {weight.dtype} {tuple(weight.shape)}".encode())
        digest.update(weight.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def _row(answer: Generated) -> dict[str, Any]:
    """The output's line, and the prompt's place."""
    shown = answer._asdict()
    del shown["token_ids"]
    return shown
