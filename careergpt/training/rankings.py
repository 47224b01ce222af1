"""Rankings in a test: the model beside the count models and the untouched baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch.distributed
from lightning import Callback, Trainer
from lightning.pytorch.utilities import rank_zero_only
from tqdm import tqdm

from careergpt.data.splits import TEST
from careergpt.data.tasks import Fields
from careergpt.errors import InputError, printable
from careergpt.modeling.folder import RANDOM, read_settings
from careergpt.modeling.loaded import LoadedModel, find_model
from careergpt.recommend.cases import names_in
from careergpt.recommend.evaluation import Ranked, Row, joined, rank_cases
from careergpt.recommend.knowledge import Knowledge
from careergpt.recommend.metrics import RankingMetrics, measure
from careergpt.recommend.ranking import Logs, untouched
from careergpt.training.logs import log_table
from careergpt.training.results import answer_figures

Measured = Mapping[Row, RankingMetrics]


class MeasureRankings(Callback):
    """Ranks what the test split's records ask, after their loss was measured."""

    def __init__(self, folder: str | None, queries: int | None) -> None:
        """Reads nothing yet.

        Args:
            folder: The model folder, which names the candidates; None: nothing is ranked.
            queries: What each ranking is asked, at most; None: all.
        """
        if queries is not None and queries < 0:
            raise InputError(f"--queries must be 0 or more, found {queries}")
        self._folder, self._limit = folder, queries
        self.measured: Measured = {}
        self.candidates: dict[str, int] = {}

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Reads what the folder knows, so that a damaged one shows before the work."""
        if self._limit == 0:
            return
        if self._folder is None:
            rank_zero_only(print)(
                "nothing is ranked: candidates are in a model folder and belong to its weights; "
                "name it by --model.pretrained RUN/model"
            )
            return
        self._settings = read_settings(self._folder)
        tasks = trainer.datamodule.tasks  # type: ignore[attr-defined]
        knowledge = Knowledge.load(tasks, self._settings, Path(self._folder), peers=True)
        if not knowledge.rankings:
            rank_zero_only(print)(f"{self._folder} names no candidates: nothing is ranked")
        self._knowledge = knowledge
        self.candidates = {name: len(r.candidates) for name, r in knowledge.rankings.items()}

    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        """Measures, and logs test/<task>/mrr and the like; in fp32, as `recommend` ranks."""
        if not self.candidates or self._folder is None:
            return
        parts = pl_module.model, pl_module.tokenizer, pl_module.context
        models = {"model": LoadedModel(self._folder, *parts)}
        source = self._settings.get("started_from")
        if (baseline := _baseline(source, pl_module.device)) is not None:
            models["baseline"] = baseline
        found: Ranked = {}
        for name in self._knowledge.rankings:
            found |= self._rank(trainer, self._knowledge, name, models)
        self.measured = {row: measure(cases) for row, cases in _gathered(trainer, found).items()}
        for row, metrics in self.measured.items():
            if row.ranker == "model":
                pl_module.log_dict(_logged(row, metrics), rank_zero_only=True)
        figures = {row: answer_figures(metrics) for row, metrics in self.measured.items()}
        if trainer.is_global_zero and figures:
            columns = ["task", "row", *next(iter(figures.values()))]
            rows = [[*row, *found.values()] for row, found in figures.items()]
            log_table(trainer.loggers, "test/rankings", columns, rows)

    def _rank(
        self, trainer: Any, knowledge: Knowledge, name: str, models: Mapping[str, LoadedModel]
    ) -> Ranked:
        """This rank's share of the records, ranked by all."""
        ranking, data = knowledge.rankings[name], trainer.datamodule
        readers = {role: knowledge.reader(name, model) for role, model in models.items()}

        def rank(queries: Sequence[Fields]) -> dict[str, Logs]:
            found = ranking.rank(readers["model"], queries)
            if "baseline" in readers:
                found["baseline"] = untouched(readers["baseline"])(queries)
            return found

        records = data.fields(TEST, names_in(data.tasks))
        cases = knowledge.cases(name, records, *readers.values())
        own = islice(cases, trainer.global_rank, self._limit, trainer.world_size)
        hidden = not trainer.is_global_zero or trainer.progress_bar_callback is None
        shown = tqdm(own, f"ranking {name}", disable=hidden, leave=False)
        return rank_cases(name, ranking.candidates, rank, iter(shown))


def _logged(row: Row, metrics: RankingMetrics) -> dict[str, float]:
    """The figures as test/path/mrr; loss and perplexity of a task are those of its tokens."""
    figures = answer_figures(metrics)
    names = ("mrr", "recall@1", "recall@5", "recall@10", "map", "calibration_error")
    found = {f"test/{row.task}/{name}": float(figures[name]) for name in names}
    return found | {f"test/{row.task}/answer_perplexity": metrics.perplexity}


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


def _gathered(trainer: Any, own: Ranked) -> Ranked:
    """The cases of all ranks."""
    parts: list[Ranked] = [own] * trainer.world_size
    if trainer.world_size > 1:
        torch.distributed.all_gather_object(parts, own)
    return joined(parts)
