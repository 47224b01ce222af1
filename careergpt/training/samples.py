"""Sample answers: the same prompts answered before training, at each validation and after."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn

from careergpt.compare.overlap import SkillFinder, f1, prompts_with_skills
from careergpt.compare.unseen import TITLE, title_task
from careergpt.data.dataset import CareerDataset
from careergpt.data.prompts import DEFAULT_TITLES, Question, check_lengths, ready_prompts
from careergpt.data.splits import VAL
from careergpt.data.tasks import Piece, Task, render_prompt
from careergpt.data.whole_files import adding
from careergpt.errors import InputError
from careergpt.generation.decoding import Generated, distinct, generate, repetition
from careergpt.generation.sampling import Decoding
from careergpt.training.logs import log_table

_COLUMNS = ("step", "prompt", "text", "finish_reason", "log_probability")


class SampleAnswers(Callback):
    """Answers fixed prompts: `samples.jsonl` and a logged table; first and last also on the screen.

    Unseen records are asked by their titles as well: what skills do the answers name?
    """

    def __init__(
        self, prompts: list[str] | None = None, max_new_tokens: int = 80, records: int = 8
    ) -> None:
        """Remembers the prompts.

        Args:
            prompts: The prompts; an empty list asks records alone. Null: those of three positions,
                in the first task that asks by one.
            max_new_tokens: Tokens of an answer, at most.
            records: Validation records that are asked by their titles too; the skills that they
                and the answers name give samples/skills_f1. 0: none.
        """
        if records < 0:
            raise InputError(f"samples.records must be 0 or more, found {records}")
        self._prompts = prompts
        self._n_fixed = len(prompts or ())
        self._max_new_tokens = Decoding(max_new_tokens=max_new_tokens).max_new_tokens
        self._n_records = records
        self._records: list[tuple[Question, frozenset[str]]] = []
        self.first: list[str] = []
        self.last: list[Generated] = []
        self._rows: list[Sequence[Any]] = []
        self._answered: set[int] = set()

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Refuses a prompt that the model cannot read before anything is written."""
        questions = self._fixed(trainer.datamodule.tasks)  # type: ignore[attr-defined]
        self._n_fixed = len(questions)
        form = trainer.datamodule.form  # type: ignore[attr-defined]
        self._ready = ready_prompts(questions, pl_module.tokenizer, form)
        if stage == "fit":
            check_lengths(self._ready, pl_module.context)
            if self._n_records and trainer.is_global_zero:
                self._choose_records(trainer.datamodule.dataset, pl_module)  # type: ignore[attr-defined]
                questions += [question for question, _ in self._records]
                self._ready = ready_prompts(questions, pl_module.tokenizer, form)

    def _fixed(self, tasks: Mapping[str, Task]) -> list[Question]:
        """The prompts given; where there are none, those of a task that is taught."""
        pieces: list[tuple[Piece, ...]] = [(Piece(text, None),) for text in self._prompts or ()]
        if self._prompts is None and (found := title_task(tasks)):
            asked = (render_prompt(found[1], {TITLE: title}) for title in DEFAULT_TITLES)
            pieces = [prompt for prompt in asked if prompt]
        return [Question(f"{n} of --samples.prompts", prompt) for n, prompt in enumerate(pieces)]

    def _choose_records(self, data: CareerDataset, module: Any) -> None:
        """Takes the first records, by the hash of their text, that leave room for an answer."""
        self._finder = SkillFinder(data.known_skills())
        fitting = (
            (question, skills)
            for question, skills in prompts_with_skills(data, VAL, self._finder)
            if len(ready_prompts([question], module.tokenizer, data.form)[0].token_ids)
            < module.context
        )
        self._records = list(islice(fitting, self._n_records))

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answers as the starting model does; a resumed run has its answers on file."""
        path = Path(trainer.default_root_dir) / "samples.jsonl"
        if trainer.global_step == 0:
            self.first = [answer.text for answer in self.answer(trainer, pl_module)]
        elif path.exists():
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
            self._rows = [[row[name] for name in _COLUMNS] for row in rows]
            self._answered = {row["step"] for row in rows}
            first = [row["text"] for row in rows if row["step"] == 0]
            self.first = first[: self._n_fixed]

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Answers with the weights that are validated: until its end they may be an average."""
        # `trainer.training` is false meanwhile; the starting model answers in `on_train_start`.
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.last = self.answer(trainer, pl_module)

    def answer(self, trainer: Trainer, module: Any, step: int | None = None) -> list[Generated]:
        """The answers to the fixed prompts by the weights as they are, on the first rank.

        `step` is that of the weights; None: the last. What is not yet logged for it is logged.
        """
        if not (self._ready and trainer.is_global_zero):
            return []
        decoding = replace(module.decoding, max_new_tokens=self._max_new_tokens)
        with trainer.precision_plugin.forward_context(), torch.random.fork_rng():
            answers = generate(
                module.model, module.tokenizer, self._ready, decoding, module.context
            )
        step = trainer.global_step if step is None else step
        if step not in self._answered:
            self._log(trainer, answers, step)
        return answers[: self._n_fixed]

    def _log(self, trainer: Trainer, answers: list[Generated], step: int) -> None:
        self._answered.add(step)
        new = [(step, a.prompt, a.text, a.finish_reason, a.log_probability) for a in answers]
        self._rows += new
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return  # It leaves nothing.
        with adding(Path(trainer.default_root_dir) / "samples.jsonl") as file:
            for row in new:
                line = dict(zip(_COLUMNS, row, strict=True))
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        numbers = self._numbers(answers)
        for logger in trainer.loggers:
            logger.log_metrics(numbers, step=step)
        # The latest version of a table is shown: each has all rows so far.
        log_table(trainer.loggers, "samples", _COLUMNS, self._rows)

    def _numbers(self, answers: list[Generated]) -> dict[str, float]:
        texts = [answer.token_ids for answer in answers]
        numbers = {
            "samples/rep_4": sum(map(repetition, texts)) / len(texts),
            "samples/distinct_1": distinct(texts, 1),
            "samples/distinct_2": distinct(texts, 2),
        }
        if self._records:
            pairs = zip(answers[self._n_fixed :], self._records, strict=True)
            found = [f1(self._finder.find(answer.text), skills) for answer, (_, skills) in pairs]
            numbers["samples/skills_f1"] = sum(found) / len(found)
        return numbers
