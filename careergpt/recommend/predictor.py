"""Predictions for a person: log-probabilities of next titles, and of the skills of a title."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax

from careergpt.data.names import title_key
from careergpt.data.tasks import Fields
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import skill_likelihoods
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.count_models import KneserNey
from careergpt.recommend.count_tables import shares_of
from careergpt.recommend.evaluation import without
from careergpt.recommend.language_model import Reading
from careergpt.recommend.occupations import Match, Occupations, Preparation
from careergpt.recommend.people import Person
from careergpt.recommend.rankings import Rankings

Logs = Float64[np.ndarray, " C"]

NEEDS = 10
"""Skills that a position is said to need."""

COMMON = 0.4
"""Weight of a skill's frequency that is taken from its probability: 1 - 0.6, which was best for
readers of topics in the study cited below. By probability alone, plumbers need Microsoft Excel."""

NEAR = 0.1
"""Confidence from which on an occupation's moves are taken for a title's that has none."""

REMEMBERED = 4_096
"""Titles, known or not, of which is kept what depends on them alone."""


class PersonQuery(NamedTuple):
    """A person and what the model reads of them.

    Attributes:
        person: With titles and skills that training knows in its spelling, slips mended.
        taken_for: The names that were taken for another's slip or spelling, or for a title of an
            occupation, and what for, with the confidence in it.
        stand_ins: Of titles held that nobody in training left, the occupation whose moves they
            take.
        readings: By ranking of titles, "path" of the career and "position" of the skills; without
            those that ask for more than is told.
    """

    person: Person
    taken_for: Mapping[str, Match]
    stand_ins: Mapping[str, Match]
    readings: Mapping[str, Reading]

    @property
    def career(self) -> tuple[str, ...]:
        """The titles whose moves are asked for: those held, or what stands in for them."""
        return tuple(
            self.stand_ins[title].occupation if title in self.stand_ins else title
            for title in self.person.career
        )


class Predictor:
    """Predicts by one model folder.

    Attributes:
        rankings: What the folder knows.
        titles: That are ranked.
        skills: That are ranked by a title; none where the question needs more.
    """

    def __init__(self, rankings: Rankings, model: LoadedModel) -> None:
        """Reads nothing yet."""
        self.rankings = rankings
        self._models = {name: ranking.by(model) for name, ranking in rankings.by_task.items()}
        ranked = rankings.by_task.get("path") or rankings.by_task.get("position")
        self.titles = ranked.ranked if ranked else Candidates()
        by_title = self.can_ask("skills", {"position_title": "title"})
        self.skills = rankings.candidates["skills"] if by_title else Candidates()
        # They depend on a title alone, and are kept for who asks next.
        self._title_reading = lru_cache(REMEMBERED)(
            lambda title: self.read("skills", {"position_title": title})
        )
        self._skills_of: dict[str, Logs] = {}
        self.stand_in = lru_cache(REMEMBERED)(self._stand_in)

    def can_ask(self, task: str, query: Fields) -> bool:
        """Whether the task is ranked, and all that its question asks for is known."""
        return task in self._models and self._models[task].can_ask(query)

    def read(self, task: str, query: Fields) -> Reading:
        """What the model reads of a task's question.

        Raises:
            InputError: It leaves the model no room for a candidate.
        """
        return self._models[task].read(query)

    def read_person(self, query: PersonQuery) -> PersonQuery:
        """The same with what the model reads of the person.

        Raises:
            InputError: What is told leaves the model no room for a candidate.
        """
        fields: dict[str, Fields] = {}
        person = query.person
        if person.career:
            fields["path"] = {"titles": query.career}
        if person.skills:
            fields["position"] = {"skills": person.skills}
        if person.position and len(self.skills):
            self._title_reading(person.position)
        asked = {task: some for task, some in fields.items() if self.can_ask(task, some)}
        return query._replace(readings={task: self.read(task, one) for task, one in asked.items()})

    def log_probabilities(
        self, query: PersonQuery, *others: Reading, among: Sequence[int] | None = None
    ) -> Float64[np.ndarray, "N C"]:
        """Log-probabilities of the person's next position, the current one left out, in one row.

        Where a career and skills are told, what the career says times what the skills say, this to
        the power that validation chose. Skills that are a held title's own change nothing. With
        other readings of skills, in place of the person's own, there is a row for each.

        Args:
            query: The person.
            others: Other skills.
            among: The only candidates, where given, in this order.

        Raises:
            InputError: Nothing that the person tells is what a ranking goes by.
        """
        if not query.readings:
            raise InputError("no ranking goes by what is told: give a career or skills")
        career, path = query.person.career, query.readings.get("path")
        skills = others or [reading for name, reading in query.readings.items() if name != "path"]
        every = range(len(self.titles)) if among is None else among
        columns = {place: column for column, place in enumerate(every)}
        logs = np.zeros((1, len(columns)))
        if path:
            logs = self._said("path", [path])[:, list(every)]
        if skills:
            power = self.rankings.exponent if path else 1.0
            held = [columns[p] for p in self.titles.places_of(career) if p in columns]
            said = self._said("position", skills, among)
            logs = logs + power * np.stack([skill_likelihoods(one, held) for one in said])
        own = self.titles.places_of((*career[-1:], *query.career[-1:]))
        current = [columns.get(place) for place in own]
        return np.stack([without(one, current) for one in logs])

    def after(self, careers: Sequence[tuple[str, ...]]) -> Float64[np.ndarray, "N C"]:
        """Log-probabilities of what follows each career, its last title left out.

        Raises:
            InputError: The model was not taught careers.
        """
        if "path" not in self._models:
            raise InputError("the model was not taught careers: train it on a table of them")
        said = self._said("path", [self.read("path", {"titles": career}) for career in careers])
        pairs = zip(said, careers, strict=True)
        return np.stack([without(one, self.titles.places_of(c[-1:])) for one, c in pairs])

    def _stand_in(self, *names: str) -> Match | None:
        """The occupation whose moves a title takes that nobody in training left.

        One taxonomy has moves and another, of which the title may be, skills. None where some left
        it, or no occupation that some left is near to any of its names, of which it is the first.
        """
        if self.moves is None or self.moves.seen(names[0]):
            return None
        found = [match for name in names if (match := self._left.match(name, NEAR))]
        return max(found, key=lambda match: match.confidence, default=None)

    @cached_property
    def _left(self) -> Occupations:
        """The occupations that some in training left."""
        occupations, moves = self.rankings.occupations, self.moves
        return occupations.only([o for o in occupations.names if moves and moves.seen(o)])

    @cached_property
    def moves(self) -> KneserNey | None:
        """The counts of moves between titles; None where the folder has none of these titles."""
        ranking = self.rankings.by_task.get("path")
        found = ranking.count_models.get("markov") if ranking and not ranking.lent else None
        return found if isinstance(found, KneserNey) else None

    def known_move(self, before: str, title: str) -> tuple[int | None, bool]:
        """How often training has the move between two titles, and whether a taxonomy lists it.

        None: it is not counted, or listed, and of its careers nobody can tell which are made.
        """
        changes = self.rankings.occupations.listed("changes_to", before)
        listed = title_key(title) in map(title_key, changes)
        row, column = self.titles.place(before), self.titles.place(title)
        if self.moves is None or row is None or column is None or listed:
            return None, listed
        return int(self.moves.tables[""][row, column]), False

    @cached_property
    def popularity(self) -> Logs | None:
        """Of each title by how many training records have it; None where none is counted."""
        counts = np.array(self.titles.counts, dtype=np.float64)
        return np.asarray(log_softmax(np.log(counts + 1))) if counts.any() else None

    def skills_of(self, titles: Sequence[str]) -> Float64[np.ndarray, "N S"]:
        """Log-probabilities of the skill that a posting of each title names next."""
        kept = self.rankings.skills_of
        found = {title: logs for title in titles if kept and (logs := kept.of(title)) is not None}
        if len(self._skills_of) > REMEMBERED:
            self._skills_of.clear()
        others = dict.fromkeys(title for title in titles if title not in found)
        if new := [title for title in others if title not in self._skills_of]:
            said = self._said("skills", list(map(self._title_reading, new)))
            self._skills_of |= dict(zip(new, said, strict=True))
        found |= {title: self._skills_of[title] for title in others}
        return np.stack([found[title] for title in titles])

    def in_common(self, title: str, others: Sequence[str]) -> list[float | None]:
        """How much of what each of the others asks for the title asks for, too.

        The overlap of two distributions of skills, 1 less their total variation distance; None
        where training knows nothing of one of the two.
        """
        trained = self.rankings.trained or self.rankings.candidates["titles"]
        known = [name for name in (title, *others) if trained.place(name) is not None]
        if not len(self.skills) or title not in known:
            return [None] * len(others)
        shares = dict(zip(known, np.exp(self.skills_of(known)), strict=True))
        own = shares[title]
        return [
            float(np.minimum(own, shares[other]).sum()) if other in shares else None
            for other in others
        ]

    def preparation(self, title: str) -> Preparation:
        """What the title takes; empty where it is not known."""
        return self.rankings.occupations.preparation(title)

    def relevant_skills(self, title: str, number: int = NEEDS) -> dict[str, float]:
        """The skills most relevant to the title, with their probabilities.

        Relevance is log P(skill | title) less a part of log P(skill) (Sievert & Shirley, 2014):
        what every title asks for, Microsoft Word, says little of any.
        """
        if not title or not len(self.skills):
            return {}
        (logs,) = self.skills_of([title])
        relevance = logs - COMMON * np.log(shares_of(np.array(self.skills.counts)))
        relevance[~np.isfinite(logs)] = -np.inf
        return {self.skills.names[at]: float(np.exp(logs[at])) for at in first(relevance, number)}

    def optional_skills(self, title: str) -> list[str]:
        """Skills that some have who do the work, as the taxonomy says, the likely ones first.

        Without its relevant ones, which many ask for.
        """
        needed = set(map(title_key, self.relevant_skills(title)))
        listed = self.rankings.occupations.listed("optional_skills", title)
        names = [name for name in listed if title_key(name) not in needed]
        (logs,) = self.skills_of([title]) if names and len(self.skills) else [np.empty(0)]
        places = ((name, self.skills.place(name)) for name in names)
        likely = {name: -np.inf if place is None else logs[place] for name, place in places}
        return sorted(likely, key=likely.__getitem__, reverse=True)

    def _said(
        self, task: str, readings: Sequence[Reading], among: Sequence[int] | None = None
    ) -> Float64[np.ndarray, "N C"]:
        """What one ranking says, by what validation found best."""
        return self.rankings.by_task[task].answers(self._models[task], readings, among)


def first(logs: Logs, number: int) -> list[int]:
    """Places of the likeliest, those of probability 0 left out; of equals the first."""
    order = np.argsort(-logs, kind="stable")[:number].tolist()
    return [place for place in order if np.isfinite(logs[place])]
