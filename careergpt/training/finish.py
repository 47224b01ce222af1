"""The end of a run: the best weights, what they learned, and the model folder."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from lightning import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from transformers import PreTrainedModel

from careergpt.compare.figures import evidence_text
from careergpt.compare.scores import TitleEvidence, title_evidence
from careergpt.compare.statistics import Interval
from careergpt.compare.unseen import title_task, unseen
from careergpt.data.splits import TEST, TRAIN, VAL, write_trained_rows
from careergpt.data.taxonomies import TAXONOMY
from careergpt.data.whole_files import find_damage, write_json
from careergpt.errors import InputError, printable
from careergpt.modeling.folder import (
    CARD,
    FORM,
    RANDOM,
    add_settings,
    read_settings,
    save_model,
    stages_of,
    write_card,
)
from careergpt.modeling.loaded import LoadedModel, find_model
from careergpt.modeling.lora import complete_adapter, merge, save_adapters
from careergpt.recommend.evaluation import ranking_fields, ranking_tasks
from careergpt.recommend.language_model import check_ranking_task
from careergpt.recommend.rankings import Rankings
from careergpt.training.card import model_card
from careergpt.training.checkpoints import BestWeights, read_checkpoint
from careergpt.training.next_commands import next_commands
from careergpt.training.resume import NEWEST_FIRST
from careergpt.training.samples import SampleAnswers

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
        best: BestWeights | None,
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

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Refuses tasks that could not be ranked at the end."""
        for name, task in ranking_tasks(trainer.datamodule.tasks).items():  # type: ignore[attr-defined]
            check_ranking_task(name, task)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Keeps a starting model that is random: no name leads back to it."""
        if not trainer.is_global_zero:
            return
        (self._folder / "model" / CARD).unlink(missing_ok=True)
        if pl_module.pretrained is None and trainer.global_step == 0:
            baseline = self._folder / "baseline"
            self._save(pl_module, trainer, baseline)
            add_settings(baseline, {"weights": RANDOM})
            card = "# The starting model\n\nRandom weights: what the fine-tuned model came from.\n"
            write_card(baseline, card)

    def on_fit_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Loads the best weights, writes the model, measures it, and notes what to tell."""
        # Lightning has taken the model off its device.
        pl_module.to(trainer.strategy.root_device)
        step, loss = self._take_best(trainer, pl_module)
        if not trainer.is_global_zero:
            return
        # First of all, so that whatever happens while it is measured, the weights are there.
        model, adapter = self._folder / "model", self._folder / "adapter"
        if pl_module.lora is not None:
            save_adapters(pl_module.model, adapter)
            merge(pl_module.model)
        self._save(pl_module, trainer, model)
        data: Any = trainer.datamodule.dataset  # type: ignore[attr-defined]
        write_trained_rows(model, data.trained_rows())
        rankings = self._add_rankings(trainer, pl_module, model)
        answers = self._samples.answer(trainer, pl_module, step)
        evidence = self._evidence(trainer, pl_module)
        if pl_module.lora is not None:
            complete_adapter(adapter, model, pl_module.base_digest)
        # Were the last state damaged by now, the model would still be there.
        (self._folder / "checkpoints" / NEWEST_FIRST[-1]).unlink(missing_ok=True)
        start = pl_module.pretrained or f"A {pl_module.model.config.model_type} of random weights"
        write_card(model, model_card(start, self._command, loss, evidence, data.tasks, answers))
        for first, last in zip(self._samples.first, answers, strict=False):
            self.told += [f"\n> {_short(last.prompt)}", f"  before: {_short(first)}"]
            self.told += [f"  after:  {_short(last.text)}"]
        if evidence is not None:
            self.told += ["", evidence_text(evidence)]
        if step < trainer.global_step:
            self.told.append(f"\nvalidation was best after step {step:,}: the model is of it")
        self.told += [
            f"\nThe model is in {shlex.quote(str(model))} (the run: {self._folder}). Next:",
            *next_commands(
                self._folder / "config.yaml",
                model,
                pl_module.pretrained or str(self._folder / "baseline"),
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

    def _save(self, module: Any, trainer: Any, folder: Path) -> None:
        data, decoding = trainer.datamodule.dataset, module.decoding
        before = read_settings(module.pretrained) if module.pretrained else {}
        settings = {
            "tasks": {name: asdict(task) for name, task in data.tasks.items()},
            "separators": dict(data.rules.separators),
            FORM: data.form,
            "decoding": asdict(decoding),
            "taught": data.tasks_in(TRAIN),
            "trained_on": [*stages_of(before), data.trained_on()],
            # Whole, for from elsewhere a relative path could be a hub name.
            "started_from": module.pretrained or str((self._folder / "baseline").absolute()),
        }
        names = ["max_new_tokens", "repetition_penalty", "no_repeat_ngram_size", "min_new_tokens"]
        names += [] if decoding.greedy else ["temperature", "top_k", "top_p"]
        defaults = {name: getattr(decoding, name) for name in names}
        if decoding.stop:
            defaults["stop_strings"] = list(decoding.stop)
        save_model(
            module.model,
            module.tokenizer,
            folder,
            settings=settings,
            decoding=defaults if decoding.greedy else {**defaults, "do_sample": True},
        )

    def _add_rankings(self, trainer: Any, module: Any, folder: Path) -> Rankings:
        """Writes candidates and count models into the folder, and what validation chooses."""
        data = trainer.datamodule.dataset
        names = ranking_fields(data.tasks)
        rankings = Rankings.of(data.tasks, data.fields(TRAIN, names), data.min_count)
        # Of all records: that a title is another's spelling is no example of a task.
        told = (data.fields(split, ("position_title", *TAXONOMY)) for split in (TRAIN, VAL, TEST))
        rankings = rankings.with_occupations(chain.from_iterable(told))
        if self._rankings_limit:
            print("ranking validation records: how sure may the model be? …", flush=True)
            parts = module.model, module.tokenizer, module.context, data.form
            model = LoadedModel(str(folder), *parts)
            rankings = rankings.fit(model, data.fields(VAL, names), self._rankings_limit)
            if "skills" in rankings.by_task:
                print("ranking the skills of titles once, for quick answers …", flush=True)
            rankings = rankings.with_title_skills(model)
        rankings.save_tables(folder)
        add_settings(folder, rankings.settings())
        chosen: dict[str, float] = {}
        for task, ranking in rankings.by_task.items():
            chosen |= {f"{task}/{name}": x for name, x in ranking.calibration._asdict().items()}
            if ranking.blend:
                chosen[f"{task}/model_weight"] = ranking.blend.weight
        _log(trainer, "rankings", chosen)
        return rankings

    def _evidence(self, trainer: Any, module: Any) -> TitleEvidence | None:
        """What the title is worth to the model; None where the data cannot show it."""
        data = trainer.datamodule.dataset
        task = title_task(data.tasks)
        if task is None or not self._titles_limit:
            return None
        instances = unseen(data, task[0])
        drawn = np.random.default_rng(0).permutation(len(instances))[: self._titles_limit]
        members = data.members(TRAIN)
        own = members[data.store.task[members] == list(data.tasks).index(task[0])]
        rows = (data.store.token_ids(example) for example in own.tolist())
        with trainer.precision_plugin.forward_context():
            evidence = title_evidence(
                module.model,
                module.tokenizer,
                [instances[place] for place in drawn.tolist()],
                task,
                data.max_length,
                rows,
                _starting_model(module),
            )
        if evidence is None:
            return None
        figures = {
            name: one._asdict() if isinstance(one, Interval) else one
            for name, one in evidence._asdict().items()
        }
        write_json(self._folder / "titles.json", figures)
        worth = {"worth": evidence.gain.estimate, "worth_low": evidence.gain.low}
        worth |= {"worth_high": evidence.gain.high}
        if evidence.gain_before is not None:
            worth["worth_before"] = evidence.gain_before.estimate
        _log(trainer, "titles", worth | {name: getattr(evidence, name) for name in _PERPLEXITIES})
        return evidence


def _starting_model(module: Any) -> PreTrainedModel | None:
    """What the run began with; None where that was random, or is not to be had any more."""
    if module.pretrained is None:
        return None
    try:
        return find_model(module.pretrained).load(module.device).model
    except InputError:
        return None


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
