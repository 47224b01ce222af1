"""Evaluation in a test: the model's rankings beside the count models and the untouched baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch.distributed
from lightning import Callback, Trainer
from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from careergpt.data.dataset import CareerDataset
from careergpt.data.splits import TEST, TRAIN
from careergpt.data.tasks import Fields
from careergpt.data.whole_files import check_writable, write_json
from careergpt.errors import InputError, printable
from careergpt.modeling.folder import RANDOM, read_settings
from careergpt.modeling.loaded import LoadedModel, find_model
from careergpt.recommend.calibration import AS_SCORED
from careergpt.recommend.evaluation import (
    Outcomes,
    RankingMetrics,
    evaluate,
    joined,
    metrics_of,
    ranking_fields,
    sequences_of,
)
from careergpt.recommend.fairness import FAIRNESS, Fairness, fairness_of, fairness_table
from careergpt.recommend.language_model import Logs
from careergpt.recommend.peers import strong_peers
from careergpt.recommend.rankings import Rankings
from careergpt.training.logs import log_table
from careergpt.training.metrics import Quality

Metrics = Mapping[tuple[str, str], RankingMetrics]
"""By task and ranker: see `Outcomes`."""


class EvaluateRankings(Callback):
    """Ranks what the test split's records ask, after their loss was measured."""

    def __init__(self, folder: str | None, queries: int | None, people: int = 0) -> None:
        """Reads nothing yet.

        Args:
            folder: The model folder, which names the candidates; None: nothing is ranked.
            queries: What each ranking is asked, at most; None: all.
            people: With how many each ranking of titles is audited for fairness.
        """
        for name, limit in {"queries": queries, "fairness": people}.items():
            if limit is not None and limit < 0:
                raise InputError(f"--{name} must be 0 or more, found {limit}")
        self._folder, self._limit, self._people = folder, queries, people
        self.metrics: Metrics = {}
        self.fairness: list[Fairness] = []
        self.candidates: dict[str, int] = {}

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Reads what the folder knows, so that a damaged one shows before the work."""
        if self._limit == 0 and not self._people:
            return
        if self._folder is None:
            rank_zero_only(print)(
                "nothing is ranked: candidates are in a model folder and belong to its weights; "
                "name it by --model.pretrained RUN/model"
            )
            return
        if self._people:
            check_writable(Path(self._folder), "--fairness")
        self._settings = read_settings(self._folder)
        tasks = trainer.datamodule.tasks  # type: ignore[attr-defined]
        folder = Path(self._folder)
        self._rankings = Rankings.load(tasks, self._settings, folder, count_models=True)
        if not self._rankings.by_task:
            rank_zero_only(print)(f"{self._folder} names no candidates: nothing is ranked")
        every = self._rankings.by_task.items()
        self.candidates = {name: len(ranking.candidates) for name, ranking in every}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measures, and logs test/<task>/mrr and the like; in fp32, as `recommend` ranks."""
        if not self.candidates or self._folder is None:
            return
        form = trainer.datamodule.form  # type: ignore[attr-defined]
        parts = pl_module.model, pl_module.tokenizer, pl_module.context, form
        models = {"model": LoadedModel(self._folder, *parts)}
        source = self._settings.get("started_from")
        if (baseline := _baseline(source, pl_module.device)) is not None:
            models["baseline"] = baseline._replace(form=form)
        share: Outcomes = {}
        for name in self._rankings.by_task:
            share |= self._evaluate(trainer, name, models)
        shares: list[Outcomes] = [share] * trainer.world_size
        if trainer.world_size > 1:
            torch.distributed.all_gather_object(shares, share)
        self.metrics = {row: metrics_of(found) for row, found in joined(shares).items()}
        for (task, ranker), found in self.metrics.items():
            if ranker == "model":
                # Loss and perplexity of a task are those of its tokens.
                logged = {k: float(v) for k, v in found.figures().items() if k in _LOGGED}
                logged["answer_perplexity"] = found.perplexity
                named = {f"test/{task}/{name}": figure for name, figure in logged.items()}
                pl_module.log_dict(named, rank_zero_only=True)
        if trainer.is_global_zero:
            self._log(trainer.loggers)
            self._audit(trainer.datamodule.dataset, models["model"])  # type: ignore[attr-defined]

    def _log(self, loggers: Sequence[Logger]) -> None:
        figures = {row: found.figures() for row, found in self.metrics.items()}
        if figures:
            columns = ["task", "row", *next(iter(figures.values()))]
            rows = [[*row, *found.values()] for row, found in figures.items()]
            log_table(loggers, "test/rankings", columns, rows)

    def _audit(self, data: CareerDataset, model: LoadedModel) -> None:
        """Measures how fair the rankings are, into the model folder, where that was asked for."""
        if not self._people:
            return
        records = data.fields(TEST, ranking_fields(data.tasks))
        for name, ranking in self._rankings.by_task.items():
            by = ranking.by(model)
            people = islice(self._rankings.queries(name, records, by), self._people)
            self.fairness += fairness_of(ranking, by, people)
        rows = [_without_nan(one._asdict() | {"verdict": one.verdict}) for one in self.fairness]
        write_json(Path(model.source) / FAIRNESS, rows)

    def told(self) -> str:
        """The tables of what was measured; empty where nothing was."""
        tables = [rankings_table(self.metrics, self.candidates)] if self.metrics else []
        tables += [fairness_table(self.fairness)] if self.fairness else []
        return "\n\n".join(tables)

    def _evaluate(self, trainer: Any, name: str, loaded: Mapping[str, LoadedModel]) -> Outcomes:
        """This rank's share of the records, ranked by all."""
        ranking, data = self._rankings.by_task[name], trainer.datamodule.dataset
        models = {"model": ranking.by(loaded["model"])}
        if "baseline" in loaded:
            models["baseline"] = ranking.by(loaded["baseline"], AS_SCORED)

        peers = strong_peers(ranking.count_models)

        def rank(queries: Sequence[Fields]) -> dict[str, Logs]:
            found = ranking.log_probabilities(models["model"], queries)
            if baseline := models.get("baseline"):
                readings = [baseline.read(query) for query in queries]
                found["baseline"] = baseline.log_probabilities(readings)
            return found | {by: peer.log_probabilities(queries) for by, peer in peers.items()}

        # With splits=all the tables hold nothing that was trained on.
        careers = () if data.splits == "all" else data.fields(TRAIN, ["titles"])
        trained = sequences_of(careers) if careers else None
        records = data.fields(TEST, ranking_fields(data.tasks))
        queries = self._rankings.queries(name, records, *models.values())
        share = islice(queries, trainer.global_rank, self._limit, trainer.world_size)
        hidden = not trainer.is_global_zero or trainer.progress_bar_callback is None
        shown = tqdm(share, f"ranking {name}", disable=hidden, leave=False)
        return evaluate(name, ranking.candidates, rank, iter(shown), trained)


_LOGGED = (
    "mrr", "recall@1", "recall@5", "recall@10", "map", "calibration_error", "coverage", "mrr_all",
)  # fmt: skip


def _baseline(source: object, device: torch.device) -> LoadedModel | None:
    """The untouched model that this one started from, where it is still to be had.

    Random weights rank by chance, and are as long about it: they are no baseline.
    """
    if not isinstance(source, str):
        return None
    try:
        if read_settings(source).get("weights") == RANDOM:
            return None
        return find_model(source).load(device)
    except InputError as error:
        rank_zero_only(print)(printable(f"no row for the untouched baseline: {error}"))
        return None


def result_rows(
    quality: Mapping[str, Quality], metrics: Metrics, candidates: Mapping[str, int]
) -> list[dict[str, Any]]:
    """The rows of `test --json`: one for each task and each that answered it.

    Tasks are in their order; "all" is every example together. `candidates` are how many a ranking
    has. `loss` and `perplexity` are of an answer among the candidates where answers are ranked
    (nats a title or skill), and nats a completion token elsewhere; a ranked task has what is
    counted by tokens as `token_loss` and the like in its row "model".
    """
    ranked = {task for task, _ in metrics}
    rows = [_by_tokens(task or "all", q) for task, q in quality.items() if task not in ranked]
    return [_without_nan(row) for row in (*rows, *_by_answers(quality, metrics, candidates))]


def _without_nan(row: Mapping[str, Any]) -> dict[str, Any]:
    """JSON knows no NaN: what nothing was asked for is null."""
    return {name: None if number != number else number for name, number in row.items()}


def _by_tokens(task: str, quality: Quality) -> dict[str, Any]:
    numbers = quality._asdict()
    return {"task": task, "row": "model", "n": numbers.pop("examples"), **numbers}


def _by_answers(
    quality: Mapping[str, Quality], metrics: Metrics, candidates: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    for (task, ranker), found in metrics.items():
        row = {"task": task, "row": ranker, "n": found.n, **found.figures()}
        row["candidates"] = candidates[task.partition("/")[0]]
        if ranker == "model" and task in quality:
            of_tokens = _by_tokens(task, quality[task])
            named = ("loss", "perplexity", "accuracy", "bits_per_byte")
            row |= {"examples": of_tokens["n"], "tokens": of_tokens["tokens"]}
            row |= {f"token_{name}": of_tokens[name] for name in named}
        yield row


def rankings_table(metrics: Metrics, candidates: Mapping[str, int]) -> str:
    """Where what was to be found came among the candidates, by each that ranked them."""
    lines = [
        f"{'ranking':14}{'by':12}{'queries':>8}{'MRR':>8}{'rec@1':>8}{'rec@5':>8}{'rec@10':>8}"
        f"{'MAP':>8}{'perplexity':>13}{'cal. error':>12}{'MRR of all':>12}"
    ]
    for (task, ranker), found in metrics.items():
        recalls = (found.recall_at_1, found.recall_at_5, found.recall_at_10)
        lines.append(
            f"{task:14}{ranker:12}{found.n:>8,}{found.mrr:>8.3f}"
            + "".join(f"{recall:>8.3f}" for recall in recalls)
            + f"{found.map:>8.3f}{found.perplexity:>13.1f}"
            f"{found.calibration_error:>12.3f}{found.mrr_all:>12.3f}"
        )
    lines += [
        f"{task}: {candidates[task.partition('/')[0]]:,} candidates; {found.outside:,} "
        f"targets are none of them; {found.left_out:,} queries with no other target are left out "
        f"(misses in MRR of all): coverage {found.coverage:.1%}"
        for (task, ranker), found in metrics.items()
        if ranker == "model"
    ]
    return "\n".join(lines)
