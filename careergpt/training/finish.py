"""The end of a run: the best weights, what they learned, the model folder, what to type next."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning import Callback, Trainer

from careergpt.compare.titles import TITLE, TitleEvidence, title_evidence, title_pairs
from careergpt.data.prepare import fields_of_row
from careergpt.data.splits import TEST, TRAIN
from careergpt.data.store import rows_of, write_json
from careergpt.data.tasks import Task, fields_of, parse_template
from careergpt.modeling.folder import save_model
from careergpt.training.card import model_card
from careergpt.training.samples import SampleAnswers
from careergpt.training.words import evidence_text


class FinishRun(Callback):
    """Keeps the starting model, and at the end writes the model folder and the evidence."""

    def __init__(
        self, folder: str, command: str, titles_limit: int, samples: SampleAnswers
    ) -> None:
        """Writes nothing yet.

        Args:
            folder: The run's folder.
            command: What the user typed, for the model card.
            titles_limit: Unseen records on which the title's worth is measured; 0: none.
            samples: The callback that answers prompts.
        """
        self._folder, self._command = Path(folder), command
        self._limit, self._samples = titles_limit, samples
        self.told: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Keeps a starting model that is random: no name leads back to it."""
        if trainer.is_global_zero and pl_module.pretrained is None and trainer.global_step == 0:
            card = "# The starting model\n\nRandom weights: what the fine-tuned model came from.\n"
            self._save(pl_module, trainer, self._folder / "baseline", card)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Loads the best weights, measures, writes, and notes what to tell."""
        best = getattr(trainer.checkpoint_callback, "best_model_path", "")
        if best:
            state = torch.load(best, map_location=pl_module.device, weights_only=True)
            pl_module.load_state_dict(state["state_dict"])
        if not trainer.is_global_zero:
            return
        self._samples.answer_again(trainer, pl_module)
        evidence = self._evidence(trainer, pl_module)
        score = getattr(trainer.checkpoint_callback, "best_model_score", None)
        loss = None if score is None else float(score)
        card = model_card(
            pl_module.pretrained,
            self._command,
            loss,
            evidence,
            trainer.datamodule.tasks,  # type: ignore[attr-defined]
            self._samples.last,
        )
        self._save(pl_module, trainer, self._folder / "model", card)
        self.told = self._lines(evidence, trainer)

    def _save(self, module: Any, trainer: Any, folder: Path, card: str) -> None:
        data = trainer.datamodule
        settings = {
            "tasks": {name: asdict(task) for name, task in data.tasks.items()},
            "separators": dict(data.separators),
            "decoding": asdict(module.decoding),
            "started_from": module.pretrained or str(self._folder / "baseline"),
        }
        decoding = module.decoding
        defaults: dict[str, Any] = {"max_new_tokens": decoding.max_new_tokens}
        if not decoding.greedy:
            defaults |= {
                "do_sample": True,
                "temperature": decoding.temperature,
                "top_k": decoding.top_k,
                "top_p": decoding.top_p,
            }
        save_model(
            module.model,
            module.tokenizer,
            folder,
            settings=settings,
            card=card,
            decoding=defaults | {"repetition_penalty": decoding.repetition_penalty},
        )

    def _evidence(self, trainer: Any, module: Any) -> TitleEvidence | None:
        """What the title is worth to the model; None where the data cannot show it."""
        data = trainer.datamodule
        found = _title_task(data.tasks)
        if found is None or not self._limit:
            return None
        number, task = found
        chosen = data.split == TEST
        records = [
            fields_of_row(row)
            for row, wanted in zip(rows_of(data.table), chosen, strict=True)
            if wanted
        ]
        pairs = title_pairs(
            records, task, module.tokenizer, data.max_length, limit=self._limit, seed=0
        )
        if len({pair.title.casefold() for pair in pairs}) < 2:
            return None
        members = data.members(TRAIN)
        own = members[data.store.task[members] == number]
        with trainer.precision_plugin.forward_context():
            rows = (data.store.token_ids(example) for example in own.tolist())
            evidence = title_evidence(module.model, pairs, rows)
        write_json(
            self._folder / "titles.json", {**evidence._asdict(), "gain": evidence.gain._asdict()}
        )
        return evidence

    def _lines(self, evidence: TitleEvidence | None, trainer: Any) -> list[str]:
        lines = []
        for first, last in zip(self._samples.first, self._samples.last, strict=False):
            lines += [f"\n> {first.prompt}"]
            lines += [f"  before: {_short(first.text)}", f"  after:  {_short(last.text)}"]
        model = shlex.quote(str(self._folder / "model"))
        source = trainer.datamodule.source
        tables = source if isinstance(source, str) else f"[{','.join(source)}]"
        verb = "python main.py"
        return [
            *lines,
            "",
            evidence_text(evidence),
            f"\nThe model is in {model} (the run: {self._folder}). Next:",
            f"  {verb} predict --model.pretrained {model} --data.prompts data/prompts.txt",
            f"  {verb} test --model.pretrained {model} --data.source {shlex.quote(tables)}",
        ]


def _title_task(tasks: dict[str, Task]) -> tuple[int, Task] | None:
    """The first task that asks by the title and is not answered by it."""
    for number, task in enumerate(tasks.values()):
        asked = {slot.field for slot in parse_template(task.prompt)}
        answered = {slot.field for slot in parse_template(task.completion)}
        if TITLE in asked and TITLE not in answered and task.weight > 0 and fields_of(task):
            return number, task
    return None


def _short(text: str, width: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= width else line[: width - 1] + "…"
