"""Rankings: what a model folder knows of each task's candidates beside the language model."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np

from careergpt.data.tasks import DEFAULT_TASKS, Fields, Task, check_tasks
from careergpt.data.whole_files import write_lines
from careergpt.errors import InputError
from careergpt.modeling.folder import SETTINGS
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.arrays import of_shape, read_arrays
from careergpt.recommend.calibration import Choice, fit_exponent, skill_likelihoods
from careergpt.recommend.candidates import KIND, Candidates, items_in
from careergpt.recommend.count_models import COUNT_MODELS
from careergpt.recommend.evaluation import Query, queries_of, ranking_tasks
from careergpt.recommend.kept import KEPT, TitleSkills, title_skills, write_kept
from careergpt.recommend.language_model import LanguageModel, Reading, check_ranking_task
from careergpt.recommend.lent import Lent
from careergpt.recommend.occupations import (
    Occupations,
    occupations_and_skills,
    read_occupations,
)
from careergpt.recommend.ranking import Ranking

PEERS = "peers"
"""The folder of the count models' tables, in the model folder."""

OCCUPATIONS = "occupations.jsonl"
"""The file of the taxonomy, in the model folder: rows that `read_occupations` reads."""

EXPONENT = 0.5
"""Of what skills say beside a career, where no record can choose better: of one skill alone, unlike
the lists that it learned from, a model is surer than it may be."""

FEWEST = 20
"""Validation records that name a career and skills, from which on they choose the exponent."""


@dataclass(frozen=True)
class Rankings:
    """The rankings of a model folder, by task, and how two of them become one.

    Args:
        tasks: All tasks of the folder.
        candidates: The titles and the skills; those that no record names are none.
        by_task: The ranking of each task that has candidates; those of titles have the same.
        exponent: Of what the skills say, where it multiplies what the career says.
        skills_of: The skills of titles that were worked out before; None: none were.
        trained: The titles that training knows, where others are ranked; None: they are ranked.
        occupations: What other titles stand for, and what they take, where a taxonomy says so.
    """

    tasks: Mapping[str, Task]
    candidates: Mapping[str, Candidates]
    by_task: Mapping[str, Ranking]
    exponent: float = EXPONENT
    skills_of: TitleSkills | None = field(default=None, compare=False)
    trained: Candidates | None = None
    occupations: Occupations = field(default_factory=lambda: Occupations({}), compare=False)

    @classmethod
    def of(cls, tasks: Mapping[str, Task], records: Sequence[Fields], min_count: int) -> Rankings:
        """Counts the training records; validation has not chosen anything yet.

        A name is a candidate from `min_count` records on.
        """
        titles = [items_in(r, "position_title") + items_in(r, "titles") for r in records]
        skills = (items_in(record, "skills") for record in records)
        candidates = occupations_and_skills(
            Candidates.of(titles, min_count), Candidates.of(skills, min_count), chain(*titles)
        )
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

    def knows(self, title: str) -> bool:
        """Whether the title is one of those that are ranked, or that training knows."""
        return any(titles.place(title) is not None for titles in self.known_titles)

    @property
    def known_titles(self) -> tuple[Candidates, ...]:
        """Those that are ranked, then those that training knows, where these are others."""
        return tuple(filter(None, (self.candidates["titles"], self.trained)))

    def with_occupations(self, rows: Iterable[Fields]) -> Rankings:
        """The same with what the rows of a taxonomy say of those titles that are candidates."""
        return replace(self, occupations=Occupations.of(rows, self.candidates["titles"]))

    def fit(self, model: LoadedModel, records: Sequence[Fields], limit: int) -> Rankings:
        """The same with what validation records choose, each choice on so many at most."""
        models = {name: ranking.by(model) for name, ranking in self.by_task.items()}
        rankings = {}
        for name, ranking in self.by_task.items():
            found = filter(ranking.can_answer, self.queries(name, records, models[name]))
            rankings[name] = ranking.fit(models[name], list(islice(found, limit)))
            models[name] = rankings[name].by(model)
        fitted = replace(self, by_task=rankings)
        return replace(fitted, exponent=fitted._fit_exponent(models, records, limit))

    def with_title_skills(self, model: LoadedModel) -> Rankings:
        """The same with the skills of titles, of as many as can be afforded, worked out now."""
        ranking, titles = self.by_task.get("skills"), self.candidates["titles"]
        if ranking is None or not len(titles):
            return self
        return replace(self, skills_of=title_skills(ranking, ranking.by(model), titles))

    def with_titles(self, titles: Candidates) -> Rankings:
        """The same over a user's titles, lent by those of training, if there are any.

        They have the counts that training gave them: 0 where it saw none.
        """
        trained = self.candidates["titles"]
        seen = map(trained.place, titles.names)
        counts = tuple(0 if place is None else trained.counts[place] for place in seen)
        titles = replace(titles, counts=counts)
        rankings = dict(self.by_task)
        for name in self.by_task or ranking_tasks(self.tasks):
            if KIND[name] == "titles":
                before = self.by_task.get(name)
                rankings[name] = (
                    replace(before, lent=Lent.between(titles, before.candidates))
                    if before
                    else Ranking(name, self.tasks[name], titles, {})
                )
        candidates = {**self.candidates, "titles": titles}
        return replace(self, candidates=candidates, by_task=rankings, trained=trained)

    def exactly(self) -> Rankings:
        """The same with all candidates ranked by the model, however many they are."""
        every, skills = self.by_task.items(), self.by_task.get("skills")
        exact = {name: replace(ranking, exact=True) for name, ranking in every}
        kept = None if skills and skills.shortens else self.skills_of  # Of the likely skills alone.
        return replace(self, by_task=exact, skills_of=kept)

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
        careers = path.answers(models["path"], [models["path"].read(q.known) for q in queries])
        skilled = self.by_task["position"].answers(models["position"], [one for _, one in both])
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
            "few": {name: {n: c.as_json() for n, c in r.few.items()} for name, r in every if r.few},
            "exponent": self.exponent,
        }

    def save_tables(self, folder: Path) -> None:
        """Writes count models, occupations and what depends on no query into the model folder."""
        neutral = {n: r.neutral for n, r in self.by_task.items() if r.neutral is not None}
        write_kept(folder / KEPT, neutral, self.skills_of)
        if self.occupations.names:
            write_lines(folder / OCCUPATIONS, self.occupations.rows())
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
            blends = settings.get("blend", {})
            choices = {
                name: Choice.from_json({"calibration": content, "blend": blends.get(name)})
                for name, content in settings.get("calibration", {}).items()
            }
            few = {
                name: {int(number): Choice.from_json(choice) for number, choice in some.items()}
                for name, some in settings.get("few", {}).items()
            }
            exponent = float(settings.get("exponent", EXPONENT))
            if not 0 < exponent < math.inf:
                raise InputError(f"no exponent is {exponent}")
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{folder / SETTINGS}: its candidates, calibration or blend cannot be read "
                f"({error if isinstance(error, InputError) else repr(error)}); save the model again"
            ) from None
        tables, rankings = read_arrays(folder / KEPT), {}
        for name, task in ranking_tasks(tasks).items():
            ranked = candidates[KIND[name]]
            if not len(ranked) or name not in choices:
                continue
            counted = {
                peer: model.load(name, candidates, folder / PEERS / name, peer)
                for peer, model in (COUNT_MODELS[name] if count_models else {}).items()
            }
            neutral = tables.get(name)
            if neutral is not None:
                of_shape(KEPT, neutral, (len(ranked),))
            ranking = Ranking(
                name, task, ranked, counted, *choices[name], few.get(name, {}), neutral
            )
            if count_models:
                _check_peers(ranking, folder)
            rankings[name] = ranking if count_models else ranking.alone()
        kept = TitleSkills.of_tables(tables, len(candidates["skills"]))
        occupations = _kept_occupations(folder / OCCUPATIONS, candidates["titles"])
        return cls(tasks, candidates, rankings, exponent, kept, occupations=occupations)


def _kept_occupations(path: Path, titles: Candidates) -> Occupations:
    """Those of the model folder; none where its training knew of no taxonomy."""
    if not path.exists():
        return Occupations({})
    found = read_occupations(str(path))
    if found is None or any(titles.place(name) is None for name in found.names):
        raise InputError(
            f"{path} is not of the candidates that {SETTINGS} names: take all files from one model"
        )
    return found


def _check_peers(ranking: Ranking, folder: Path) -> None:
    for choice in (Choice(blend=ranking.blend), *ranking.few.values()):
        if unknown := choice.shares.keys() - {"model", *ranking.count_models}:
            raise InputError(
                f"{folder / SETTINGS} blends {ranking.name} with {unknown.pop()!r}, which is none "
                f"of {', '.join(ranking.count_models)}; save the model again"
            )


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
