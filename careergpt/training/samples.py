"""The same prompts answered before training, at each validation and after."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from careergpt.data.prompts import Question, check_lengths, ready_prompts
from careergpt.data.tasks import Piece
from careergpt.generation.decoding import Generated, generate
from careergpt.generation.repetition import distinct, repetition
from careergpt.generation.sampling import Decoding
from careergpt.training.logs import Wandb

DEFAULT_PROMPTS = [
    "Tell me about the qualifications required for a Data scientist.",
    "Tell me about the qualifications required for a Registered nurse.",
    "Tell me about the qualifications required for a Truck driver.",
]


class SampleAnswers(Callback):
    """Answers fixed prompts: a W&B table and `samples.jsonl`; first and last also on the screen."""

    def __init__(self, prompts: list[str] | None = None, max_new_tokens: int = 80) -> None:
        """Remembers the prompts.

        Args:
            prompts: The prompts; an empty list answers none. Null: three positions.
            max_new_tokens: Tokens of an answer, at most.
        """
        self._prompts = DEFAULT_PROMPTS if prompts is None else prompts
        self._max_new_tokens = Decoding(max_new_tokens=max_new_tokens).max_new_tokens
        self.first: list[str] = []
        self.last: list[Generated] = []
        self._rows: list[list[Any]] = []

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Refuses a prompt that the model cannot read before anything is written."""
        questions = [
            Question(f"{place} of --samples.prompts", (Piece(text, None),))
            for place, text in enumerate(self._prompts)
        ]
        self._ready = ready_prompts(questions, pl_module.tokenizer)
        if stage == "fit":
            check_lengths(self._ready, pl_module.context)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answers as the starting model does; a resumed run has its answers on file."""
        path = Path(trainer.default_root_dir) / "samples.jsonl"
        if trainer.global_step == 0:
            self.first = [answer.text for answer in self.answer(trainer, pl_module)]
        elif path.exists():
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self.first = [row["text"] for row in rows if row["step"] == 0]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answers as the model does now."""
        if trainer.state.fn == TrainerFn.FITTING:  # `trainer.training` is false meanwhile.
            self.last = self.answer(trainer, pl_module)

    def answer(self, trainer: Trainer, module: Any) -> list[Generated]:
        """Answers all prompts with the weights as they are, on the first rank, and logs them."""
        if not (self._prompts and trainer.is_global_zero):
            return []
        decoding = replace(module.decoding, max_new_tokens=self._max_new_tokens)
        with trainer.precision_plugin.forward_context(), torch.random.fork_rng():
            answers = generate(
                module.model, module.tokenizer, self._ready, decoding, module.context
            )
        self._log(trainer, answers)
        return answers

    def _log(self, trainer: Trainer, answers: list[Generated]) -> None:
        step = trainer.global_step
        rows = [[step, a.prompt, a.text, a.finish_reason, a.log_probability] for a in answers]
        names = ["step", "prompt", "text", "finish_reason", "log_probability"]
        self._rows += rows
        path = Path(trainer.default_root_dir) / "samples.jsonl"
        with path.open("a", encoding="utf-8") as file:
            for row in rows:
                file.write(
                    json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n"
                )
        texts = [answer.token_ids for answer in answers]
        numbers = {
            "samples/rep_4": sum(map(repetition, texts)) / len(texts),
            "samples/distinct_2": distinct(texts, 2),
        }
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=step)
            if isinstance(logger, Wandb):
                # W&B shows a table's latest version: each has all rows so far.
                logger.log_table("samples", columns=names, data=[list(row) for row in self._rows])
