"""The end of a run: the best weights, what they learned, the model folder, what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lightning import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.utilities import rank_zero_only

from careergpt.compare.encoding import Reader
from careergpt.compare.titles import (
    TitleEvidence,
    draw_swaps,
    title_evidence,
    title_pairs,
    title_task,
)
from careergpt.data.names import title_key
from careergpt.data.records import fields_of_row
from careergpt.data.splits import TEST, TRAIN, VAL, write_trained_rows
from careergpt.data.whole_files import find_damage, write_json
from careergpt.errors import InputError, printable
from careergpt.generation.decoding import Generated
from careergpt.modeling.folder import (
    CARD,
    RANDOM,
    add_settings,
    read_settings,
    save_model,
    stages_of,
    write_card,
)
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.evaluation import ranking_fields, ranking_tasks
from careergpt.recommend.language_model import check_ranking_task
from careergpt.recommend.ranking import Rankings
from careergpt.training.card import model_card
from careergpt.training.checkpoint_files import read_checkpoint
from careergpt.training.samples import SampleAnswers
from careergpt.training.words import evidence_text, next_commands

_PERPLEXITIES = ("perplexity_true", "perplexity_swapped", "perplexity_trigram")


class FinishRun(Callback):
    """Keeps the starting model, and at the end writes the model folder and the evidence."""

    def __init__(
        self,
        folder: str,
        command: str,
        titles_limit: int,
        rankings_limit: int,
        samples: SampleAnswers,
        best: ModelCheckpoint | None,
    ) -> None:
        """Writes nothing yet.

        Args:
            folder: The run's folder.
            command: What the user typed, for the model card.
            titles_limit: Unseen records on which the title's worth is measured; 0: none.
            rankings_limit: Validation records that choose each ranking's calibration and blend;
                0: nothing is chosen.
            samples: The callback that answers prompts.
            best: The callback that keeps the best weights; None: the last ones count.
        """
        for name, limit in {"titles": titles_limit, "rankings": rankings_limit}.items():
            if limit < 0:
                raise InputError(f"{name}.limit must be 0 or more, found {limit}")
        self._folder, self._command = Path(folder), command
        self._titles_limit, self._rankings_limit = titles_limit, rankings_limit
        self._samples, self._best = samples, best
        self.told: list[str] = []

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Keeps a starting model that is random: no name leads back to it."""
        if trainer.is_global_zero:
            (self._folder / "model" / CARD).unlink(missing_ok=True)
        if trainer.is_global_zero and pl_module.pretrained is None and trainer.global_step == 0:
            self._save(pl_module, trainer, self._folder / "baseline")
            add_settings(self._folder / "baseline", {"weights": RANDOM})
            card = "# The starting model\n\nRandom weights: what the fine-tuned model came from.\n"
            write_card(self._folder / "baseline", card)

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Refuses tasks that could not be ranked at the end."""
        for name, task in ranking_tasks(trainer.datamodule.tasks).items():  # type: ignore[attr-defined]
            check_ranking_task(name, task)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Loads the best weights, writes the model, measures it, and notes what to tell."""
        # Lightning has taken the model off its device.
        pl_module.to(trainer.strategy.root_device)
        step, loss = self._take_best(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        # First of all, so that whatever happens while it is measured, the weights are there.
        model = self._folder / "model"
        self._save(pl_module, trainer, model)
        write_trained_rows(model, trainer.datamodule.dataset.trained_rows())  # type: ignore[attr-defined]
        rankings = self._add_rankings(trainer, pl_module, model)
        answers = self._samples.answer(trainer, pl_module, step)
        evidence = self._evidence(trainer, pl_module)
        data: Any = trainer.datamodule.dataset  # type: ignore[attr-defined]
        start = pl_module.pretrained or f"A {pl_module.model.config.model_type} of random weights"
        write_card(
            self._folder / "model",
            model_card(start, self._command, loss, evidence, data.tasks, answers),
        )
        earlier = step < trainer.global_step
        best = [f"\nvalidation was best after step {step:,}: the model is of it"] if earlier else []
        self.told = [
            *self._lines(evidence, answers),
            *best,
            f"\nThe model is in {shlex.quote(str(model))} (the run: {self._folder}). Next:",
            *next_commands(
                self._folder / "config.yaml",
                model,
                self._start(pl_module),
                rankings,
                data.min_count,
                tests=len(data.members(TEST)) > 0,
            ),
        ]

    def _take_best(self, trainer: Any, module: Any) -> tuple[int, float | None]:
        """Loads the best weights; the step that they are of, and their validation loss."""
        if self._best is None or not self._best.best_model_path:
            return trainer.global_step, None
        path = Path(self._best.best_model_path)
        if fault := find_damage(path):
            rank_zero_only(print)(f"the last weights instead of the best: {path} ({fault})")
            return trainer.global_step, None
        state = read_checkpoint(path, map_location=module.device)
        module.load_state_dict(state["state_dict"])
        assert self._best.best_model_score is not None
        return state["global_step"], float(self._best.best_model_score)

    def _start(self, module: Any) -> str:
        """Where the starting model is."""
        return module.pretrained or str(self._folder / "baseline")

    def _save(self, module: Any, trainer: Any, folder: Path) -> None:
        data = trainer.datamodule.dataset
        before = read_settings(module.pretrained) if module.pretrained else {}
        settings = {
            "tasks": {name: asdict(task) for name, task in data.tasks.items()},
            "separators": dict(data.rules.separators),
            "decoding": asdict(module.decoding),
            "trained_on": [*stages_of(before), data.trained_on()],
            # Whole, for from elsewhere a relative path could be a hub name.
            "started_from": module.pretrained or str((self._folder / "baseline").absolute()),
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
            decoding=defaults | {"repetition_penalty": decoding.repetition_penalty},
        )

    def _add_rankings(self, trainer: Any, module: Any, folder: Path) -> Rankings:
        """Writes candidates and count models into the folder, and what validation chooses."""
        data = trainer.datamodule.dataset
        names = ranking_fields(data.tasks)
        rankings = Rankings.of(data.tasks, data.fields(TRAIN, names), data.min_count)
        if self._rankings_limit:
            print("ranking validation records: how sure may the model be? …", flush=True)
            model = LoadedModel(str(folder), module.model, module.tokenizer, module.context)
            rankings = rankings.fit(model, data.fields(VAL, names), self._rankings_limit)
        rankings.save_count_models(folder)
        add_settings(folder, rankings.settings())
        _log(trainer, "rankings", _chosen(rankings))
        return rankings

    def _evidence(self, trainer: Any, module: Any) -> TitleEvidence | None:
        """What the title is worth to the model; None where the data cannot show it."""
        data = trainer.datamodule.dataset
        found = title_task(data.tasks)
        if found is None or not self._titles_limit:
            return None
        name, task = found
        records = [fields_of_row(row) for row in data.rows(TEST)]
        reader = Reader(module.tokenizer, data.max_length)
        swaps = draw_swaps(records, task, limit=self._titles_limit, seed=0)
        pairs = [found[0] for found in title_pairs(swaps, task, [reader]) if found]
        if len({title_key(pair.title) for pair in pairs}) < 2:
            return None
        members = data.members(TRAIN)
        own = members[data.store.task[members] == list(data.tasks).index(name)]
        with trainer.precision_plugin.forward_context():
            rows = (data.store.token_ids(example) for example in own.tolist())
            evidence = title_evidence(module.model, pairs, rows)
        write_json(
            self._folder / "titles.json", {**evidence._asdict(), "gain": evidence.gain._asdict()}
        )
        worth = {"worth": evidence.gain.estimate, "worth_low": evidence.gain.low}
        worth |= {"worth_high": evidence.gain.high}
        _log(trainer, "titles", worth | {name: getattr(evidence, name) for name in _PERPLEXITIES})
        return evidence

    def _lines(self, evidence: TitleEvidence | None, answers: list[Generated]) -> list[str]:
        lines = []
        for first, last in zip(self._samples.first, answers, strict=False):
            lines += [f"\n> {_short(last.prompt)}"]
            lines += [f"  before: {_short(first)}", f"  after:  {_short(last.text)}"]
        return lines if evidence is None else [*lines, "", evidence_text(evidence)]


def _chosen(rankings: Rankings) -> dict[str, float]:
    """What validation chose for each ranking, by `<task>/<what>`."""
    found: dict[str, float] = {}
    for task, ranking in rankings.by_task.items():
        found |= {f"{task}/{name}": x for name, x in ranking.calibration._asdict().items()}
        if ranking.blend:
            found[f"{task}/model_weight"] = ranking.blend.weight
    return found


def _log(trainer: Trainer, group: str, numbers: Mapping[str, float]) -> None:
    for logger in trainer.loggers if numbers else ():
        named = {f"{group}/{name}": number for name, number in numbers.items()}
        logger.log_metrics(named, step=trainer.global_step)


def is_written(folder: Path) -> bool:
    """Whether the run in the folder has ended with all that it leaves: its card comes last."""
    return (folder / "model" / CARD).exists()


def _short(text: str, width: int = 300) -> str:
    line = printable(" ".join(text.split()))
    return line if len(line) <= width else line[: width - 1] + "…"
