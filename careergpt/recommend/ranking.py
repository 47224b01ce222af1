"""Rankings: what a model folder knows of each task's candidates beside the language model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from careergpt.data.datamodule import DEFAULT_TASKS
from careergpt.data.tasks import Fields, Task, check_tasks
from careergpt.errors import InputError
from careergpt.modeling.folder import SETTINGS
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import (
    AS_SCORED,
    Blend,
    Calibration,
    blended,
    calibrated,
    fit_blend,
    fit_calibration,
    fit_exponent,
    query_nats,
    skill_likelihoods,
)
from careergpt.recommend.candidates import KIND, Candidates, items_in
from careergpt.recommend.count_models import COUNT_MODELS, CountModel
from careergpt.recommend.evaluation import Query, Targets, queries_of, ranking_tasks
from careergpt.recommend.language_model import LanguageModel, Logs, Reading, check_ranking_task

PEERS = "peers"
"""The folder of the count models' tables, in the model folder."""

EXPONENT = 0.5
"""Of what skills say beside a career, where no record can choose better: of one skill alone, unlike
the lists that it learned from, a model is surer than it may be."""

FEWEST = 20
"""Validation records that name a career and skills, from which on they choose the exponent."""


@dataclass(frozen=True)
class Ranking:
    """How one task's candidates are ranked, but for the language model.

    The count models are those that it is measured against, by name. The calibration is of the
    language model's scores, the blend with its strongest count model; before validation chose one
    there is none.
    """

    name: str
    task: Task
    candidates: Candidates
    count_models: Mapping[str, CountModel]
    calibration: Calibration = AS_SCORED
    blend: Blend | None = None

    def by(self, model: LoadedModel, calibration: Calibration | None = None) -> LanguageModel:
        """The ranking by a language model; `AS_SCORED` leaves its scores as they are."""
        calibration = calibration or self.calibration
        return LanguageModel(self.name, self.task, self.candidates, model, calibration)

    def log_probabilities(self, model: LanguageModel, queries: Sequence[Fields]) -> dict[str, Logs]:
        """Log-probabilities by all that rank: model, blend where there is one, count models."""
        found = {"model": model.log_probabilities([model.read(query) for query in queries])}
        counted = self._counted(queries)
        if self.blend is not None:
            found["blend"] = blended(found["model"], counted[self.blend.peer], self.blend.weight)
        return found | counted

    def can_answer(self, query: Query) -> bool:
        """Whether a target is among the candidates."""
        return any(self.candidates.place(target) is not None for target in query.targets)

    def targets(self, queries: Sequence[Query]) -> list[Targets]:
        """The places of each query's targets."""
        return [[self.candidates.place(target) for target in query.targets] for query in queries]

    def fit(self, model: LanguageModel, queries: Sequence[Query]) -> Ranking:
        """The same with what validation chooses: calibration, strongest count model, its weight.

        The strongest costs the fewest nats. Without a query that has a target among the candidates
        nothing can be chosen, and nothing is changed.
        """
        queries = [query for query in queries if self.can_answer(query)]
        if not queries:
            return self
        targets = self.targets(queries)
        scores = model.scores([model.read(query.known) for query in queries])
        calibration = fit_calibration(scores, model.neutral, targets)
        logs = calibrated(scores, model.neutral, calibration)
        counted = self._counted([query.known for query in queries])
        peer = min(counted, key=lambda name: float(query_nats(counted[name], targets).mean()))
        blend = Blend(peer, fit_blend(logs, counted[peer], targets))
        return replace(self, calibration=calibration, blend=blend)

    def _counted(self, queries: Sequence[Fields]) -> dict[str, Logs]:
        return {name: m.log_probabilities(queries) for name, m in self.count_models.items()}


@dataclass(frozen=True)
class Rankings:
    """The rankings of a model folder, by task, and how two of them become one.

    Args:
        tasks: All tasks of the folder.
        candidates: The titles and the skills; those that no record names are none.
        by_task: The ranking of each task that has candidates; those of titles have the same.
        exponent: Of what the skills say, where it multiplies what the career says.
    """

    tasks: Mapping[str, Task]
    candidates: Mapping[str, Candidates]
    by_task: Mapping[str, Ranking]
    exponent: float = EXPONENT

    @classmethod
    def of(cls, tasks: Mapping[str, Task], records: Sequence[Fields], min_count: int) -> Rankings:
        """Counts the training records; validation has not chosen anything yet.

        A name is a candidate from `min_count` records on.
        """
        titles = (items_in(r, "position_title") + items_in(r, "titles") for r in records)
        skills = (items_in(record, "skills") for record in records)
        candidates = {
            "titles": Candidates.of(titles, min_count),
            "skills": Candidates.of(skills, min_count),
        }
        rankings = {}
        for name, task in ranking_tasks(tasks).items():
            check_ranking_task(name, task)
            ranked = candidates[KIND[name]]
            # What no record teaches cannot be ranked.
            if len(ranked) and any(True for _ in queries_of(name, task, records)):
                models = COUNT_MODELS[name].items()
                counted = {peer: model.fit(name, candidates, records) for peer, model in models}
                rankings[name] = Ranking(name, task, ranked, counted)
        return cls(tasks, candidates, rankings)

    def fit(self, model: LoadedModel, records: Sequence[Fields], limit: int) -> Rankings:
        """The same with what validation records choose, each choice on so many at most."""
        models = {name: ranking.by(model) for name, ranking in self.by_task.items()}
        rankings = {}
        for name, ranking in self.by_task.items():
            found = filter(ranking.can_answer, self.queries(name, records, models[name]))
            rankings[name] = ranking.fit(models[name], list(islice(found, limit)))
            models[name].calibration = rankings[name].calibration
        fitted = replace(self, by_task=rankings)
        return replace(fitted, exponent=fitted._fit_exponent(models, records, limit))

    def with_titles(self, titles: Candidates) -> Rankings:
        """The same over a user's titles, for every task that ranks titles; without count models.

        They have the counts that training gave them: 0 where it saw none.
        """
        trained = self.candidates["titles"]
        known = dict(zip(trained.places, trained.counts, strict=True))
        titles = replace(titles, counts=tuple(known.get(key, 0) for key in titles.places))
        rankings = dict(self.by_task)
        for name in self.by_task or ranking_tasks(self.tasks):
            if KIND[name] == "titles":
                before = self.by_task.get(name)
                calibration = before.calibration if before else AS_SCORED
                rankings[name] = Ranking(name, self.tasks[name], titles, {}, calibration)
        return replace(self, candidates={**self.candidates, "titles": titles}, by_task=rankings)

    def queries(
        self, name: str, records: Iterable[Fields], *models: LanguageModel
    ) -> Iterator[Query]:
        """What the records ask of a ranking, cut to what all models read, if anything is left."""
        for query in queries_of(name, self.tasks[name], records):
            known = query.known
            with suppress(InputError):  # What leaves a model no room is not asked.
                for model in models:
                    known = model.read(known).known
                yield query._replace(known=known)

    def _fit_exponent(
        self, models: Mapping[str, LanguageModel], records: Sequence[Fields], limit: int
    ) -> float:
        """The exponent that costs the fewest nats where a record names a career and skills."""
        if not {"path", "position"} <= self.by_task.keys():
            return self.exponent
        both = list(islice(self._careers_with_skills(models, records), limit))
        if len(both) < FEWEST:
            return self.exponent
        path, queries = self.by_task["path"], [query for query, _ in both]
        careers = models["path"].log_probabilities([models["path"].read(q.known) for q in queries])
        skilled = models["position"].log_probabilities([reading for _, reading in both])
        held = [path.candidates.places_of(query.known["titles"]) for query in queries]
        skills = np.stack([skill_likelihoods(*one) for one in zip(skilled, held, strict=True)])
        return fit_exponent(careers, skills, path.targets(queries))

    def _careers_with_skills(
        self, models: Mapping[str, LanguageModel], records: Iterable[Fields]
    ) -> Iterator[tuple[Query, Reading]]:
        """Last moves to a candidate, of records that also name skills, and those skills."""
        for record in records:
            skills = items_in(record, "skills")
            for query in self.queries("path", [record], models["path"]) if skills else ():
                if self.by_task["path"].can_answer(query):
                    with suppress(InputError):
                        yield query, models["position"].read({"skills": skills})

    def settings(self) -> dict[str, Any]:
        """What careergpt.json says of it."""
        every = self.by_task.items()
        return {
            "candidates": {kind: asdict(names) for kind, names in self.candidates.items()},
            "calibration": {name: ranking.calibration._asdict() for name, ranking in every},
            "blend": {name: ranking.blend._asdict() for name, ranking in every if ranking.blend},
            "exponent": self.exponent,
        }

    def save_count_models(self, folder: Path) -> None:
        """Writes the count models' tables into the model folder."""
        for name, ranking in self.by_task.items():
            for peer, model in ranking.count_models.items():
                model.save(folder / PEERS / name, peer)

    @classmethod
    def load(
        cls,
        tasks: Mapping[str, Task],
        settings: Mapping[str, Any],
        folder: Path,
        *,
        count_models: bool,
    ) -> Rankings:
        """What a model folder says; there are no rankings where it names no candidates.

        `settings` are careergpt.json's. Without count models there is no blend.

        Raises:
            InputError: The folder's parts are missing, damaged or of another model.
        """
        try:
            lists = settings.get("candidates", {})
            none: dict[str, list[Any]] = {"names": [], "counts": []}
            kinds = ("titles", "skills")
            candidates = {kind: Candidates.from_json(lists.get(kind, none)) for kind in kinds}
            each = settings.get("calibration", {}).items()
            calibrations = {name: Calibration.from_json(content) for name, content in each}
            each = settings.get("blend", {}).items()
            blends = {name: Blend.from_json(content) for name, content in each}
            exponent = float(settings.get("exponent", EXPONENT))
            if not 0 < exponent < math.inf:
                raise InputError(f"no exponent is {exponent}")
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{folder / SETTINGS}: its candidates, calibration or blend cannot be read "
                f"({error if isinstance(error, InputError) else repr(error)}); save the model again"
            ) from None
        rankings = {}
        for name, task in ranking_tasks(tasks).items():
            ranked = candidates[KIND[name]]
            if not len(ranked) or name not in calibrations:
                continue
            ranking = Ranking(name, task, ranked, {}, calibrations[name])
            if count_models:
                counted = {
                    peer: model.load(name, candidates, folder / PEERS / name, peer)
                    for peer, model in COUNT_MODELS[name].items()
                }
                ranking = replace(ranking, count_models=counted, blend=blends.get(name))
                if ranking.blend is not None and ranking.blend.peer not in counted:
                    raise InputError(
                        f"{folder / SETTINGS} blends {name} with {ranking.blend.peer!r}, which is "
                        f"none of {', '.join(counted)}; save the model again"
                    )
            rankings[name] = ranking
        return cls(tasks, candidates, rankings, exponent)


def tasks_of(settings: Mapping[str, Any]) -> dict[str, Task]:
    """The tasks that a model folder says that it knows."""
    if "tasks" not in settings:
        return dict(DEFAULT_TASKS)
    try:
        tasks = {name: Task(**task) for name, task in settings["tasks"].items()}
        check_tasks(tasks)
    except (TypeError, AttributeError) as error:
        raise InputError(f"{SETTINGS}: its tasks cannot be read ({error})") from None
    return tasks
