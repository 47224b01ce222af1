"""What a model folder knows beside the language model: candidates, count models, calibration."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from careergpt.data.tasks import Fields, Task
from careergpt.errors import InputError
from careergpt.modeling.folder import SETTINGS
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import (
    AS_SCORED,
    Calibration,
    fit_exponent,
    said_by_skills,
)
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.cases import RankingCase, cases_of, ranked_tasks
from careergpt.recommend.cloze import check_ranked
from careergpt.recommend.language_model import LanguageModel
from careergpt.recommend.peers import RANKS, Names, fit_peers, load_peers
from careergpt.recommend.ranking import Blend, Ranking

T = TypeVar("T")

PEERS = "peers"

EXPONENT = 0.5
"""Of what skills say beside a career, where no record can choose better: of one skill alone, unlike
the lists that it learned from, a model is surer than it may be."""

FEWEST = 20
"""Validation records that name a career and skills, from which on they choose the exponent."""


@dataclass(frozen=True)
class Knowledge:
    """Rankings by task, and how two of them become one.

    Args:
        tasks: The tasks that are answered by a ranking.
        names: The candidates.
        rankings: What is known of each; those of titles have the same candidates.
        exponent: Of what the skills say, where it multiplies what the career says.
    """

    tasks: Mapping[str, Task]
    names: Names
    rankings: Mapping[str, Ranking]
    exponent: float = EXPONENT

    @classmethod
    def of(cls, tasks: Mapping[str, Task], records: Sequence[Fields], min_count: int) -> Knowledge:
        """Counts the training records; validation has not chosen anything yet.

        Args:
            tasks: All tasks.
            records: Names of the training records: positions, skills, careers.
            min_count: Records from which on a name is a candidate.
        """
        names = Names(
            Candidates.of(map(_titles, records), min_count),
            Candidates.of(map(_skills, records), min_count),
        )
        ranked = ranked_tasks(tasks)
        rankings = {}
        for name, task in ranked.items():
            check_ranked(name, task)
            candidates = names.of(name)
            # What no record teaches cannot be ranked.
            if len(candidates) and any(True for _ in cases_of(name, task, records)):
                rankings[name] = Ranking(name, candidates, fit_peers(name, records, names))
        return cls(ranked, names, rankings)

    def fit(self, model: LoadedModel, records: Sequence[Fields], limit: int) -> Knowledge:
        """The same with what validation records choose.

        Args:
            model: The language model.
            records: Names of validation records, as if drawn.
            limit: Records that each choice is made on, at most.
        """
        readers = {name: self.reader(name, model) for name in self.rankings}
        rankings = {}
        for name, ranking in self.rankings.items():
            cases = self.cases(name, records, readers[name])
            found = (case for case in cases if ranking.can_answer(case))
            rankings[name] = ranking.fit(readers[name], list(islice(found, limit)))
        fitted = replace(self, rankings=rankings)
        return replace(fitted, exponent=fitted._fit_exponent(readers, records, limit))

    def with_titles(self, candidates: Candidates) -> Knowledge:
        """The same over a user's titles, for every task that ranks titles; without count models.

        They have the counts that training gave them: 0 where it saw none.
        """
        known = dict(zip(self.names.titles.places, self.names.titles.counts, strict=True))
        counts = tuple(known.get(key, 0) for key in candidates.places)
        candidates = replace(candidates, counts=counts)
        others = {
            name: Ranking(name, candidates, {}, self._calibration(name))
            for name in self.rankings or self.tasks
            if RANKS[name] == "titles"
        }
        names = self.names._replace(titles=candidates)
        return replace(self, names=names, rankings={**self.rankings, **others})

    def _calibration(self, name: str) -> Calibration:
        return self.rankings[name].calibration if name in self.rankings else AS_SCORED

    def reader(self, name: str, model: LoadedModel) -> LanguageModel:
        """The language model for one ranking."""
        return LanguageModel(name, self.tasks[name], self.rankings[name].candidates, model)

    def cases(
        self, name: str, records: Iterable[Fields], *readers: LanguageModel
    ) -> Iterator[RankingCase]:
        """What the records ask of a ranking, cut to what all readers read, if anything is left."""
        for case in cases_of(name, self.tasks[name], records):
            known: Fields | None = case.known
            for reader in readers:
                known = reader.fitted(known) if known else None
            if known:
                yield case._replace(known=known)

    def _fit_exponent(
        self, readers: Mapping[str, LanguageModel], records: Sequence[Fields], limit: int
    ) -> float:
        """The exponent that costs the fewest nats where a record names a career and skills."""
        if not {"path", "position"} <= self.rankings.keys():
            return self.exponent
        path, position = self.rankings["path"], self.rankings["position"]
        both = list(islice(self._careers_with_skills(readers, records), limit))
        if len(both) < FEWEST:
            return self.exponent
        careers = path.ranker(readers["path"])([case.known for case, _ in both])
        skilled = position.ranker(readers["position"])([known for _, known in both])
        skills = np.stack(
            [
                said_by_skills(logs, path.candidates.places_of(case.known["titles"]))
                for logs, (case, _) in zip(skilled, both, strict=True)
            ]
        )
        return fit_exponent(careers, skills, path.targets([case for case, _ in both]))

    def _careers_with_skills(
        self, readers: Mapping[str, LanguageModel], records: Iterable[Fields]
    ) -> Iterator[tuple[RankingCase, Fields]]:
        """Last moves to a candidate, of records that also name skills, and those skills."""
        for record in records:
            if skills := _skills(record):
                skilled = readers["position"].fitted({"skills": skills})
                for case in self.cases("path", [record], readers["path"]):
                    if skilled and self.rankings["path"].can_answer(case):
                        yield case, skilled

    def settings(self) -> dict[str, Any]:
        """What careergpt.json says of it."""
        blends = {name: r.blend._asdict() for name, r in self.rankings.items() if r.blend}
        return {
            "candidates": {kind: some.to_json() for kind, some in self.names._asdict().items()},
            "calibration": {n: r.calibration._asdict() for n, r in self.rankings.items()},
            "blend": blends,
            "exponent": self.exponent,
        }

    def save_peers(self, folder: Path) -> None:
        """Writes the count models' tables into the model folder."""
        for name, ranking in self.rankings.items():
            for peer in ranking.peers.values():
                peer.save(folder / PEERS / name)

    @classmethod
    def load(
        cls, tasks: Mapping[str, Task], settings: Mapping[str, Any], folder: Path, *, peers: bool
    ) -> Knowledge:
        """What a model folder says; nothing is known where it names no candidates.

        Args:
            tasks: All tasks.
            settings: Of careergpt.json.
            folder: The model folder.
            peers: Whether count models are wanted, too.

        Raises:
            InputError: The folder's parts are missing, damaged or of another model.
        """
        try:
            lists = settings.get("candidates", {})
            names = Names(*(_read(lists, name) for name in Names._fields))
            calibrations = _each(Calibration.from_json, settings.get("calibration", {}))
            blends = _each(Blend.from_json, settings.get("blend", {}))
            exponent = float(settings.get("exponent", EXPONENT))
            if not 0 < exponent < math.inf:
                raise InputError(f"no exponent is {exponent}")
        except (TypeError, KeyError, ValueError, AttributeError, OverflowError) as error:
            raise InputError(
                f"{folder / SETTINGS}: its candidates, calibration or blend cannot be read "
                f"({error if isinstance(error, InputError) else repr(error)}); save the model again"
            ) from None
        rankings = {}
        for name in ranked_tasks(tasks):
            candidates = names.of(name)
            if len(candidates) and name in calibrations:
                of_name = load_peers(name, folder / PEERS / name, names) if peers else {}
                blend = blends.get(name) if peers else None
                if blend is not None and blend.peer not in of_name:
                    raise InputError(
                        f"{folder / SETTINGS} blends {name} with {blend.peer!r}, which is none of "
                        f"{', '.join(of_name)}; save the model again"
                    )
                rankings[name] = Ranking(name, candidates, of_name, calibrations[name], blend)
        return cls(ranked_tasks(tasks), names, rankings, exponent)


def _read(lists: Mapping[str, Any], name: str) -> Candidates:
    return Candidates.from_json(lists[name]) if name in lists else Candidates((), ())


def _each(read: Callable[[Mapping[str, Any]], T], told: Mapping[str, Any]) -> dict[str, T]:
    return {name: read(some) for name, some in told.items()}


def _titles(record: Fields) -> tuple[str, ...]:
    title, career = record.get("position_title", ""), record.get("titles", ())
    return (*((title,) if isinstance(title, str) and title else ()), *career)


def _skills(record: Fields) -> tuple[str, ...]:
    skills = record.get("skills", ())
    return (skills,) if isinstance(skills, str) else skills
