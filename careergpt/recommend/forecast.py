"""Next positions of people: what their careers and their skills say, as one distribution."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64

from careergpt.data.names import title_key
from careergpt.data.tasks import Fields
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.calibration import said_by_skills
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.knowledge import Knowledge
from careergpt.recommend.people import Person
from careergpt.recommend.ranks import without

Logs = Float64[np.ndarray, " C"]


class Read(NamedTuple):
    """What the model reads of a person for one ranking, and how many items did not fit."""

    known: Fields
    left_out: int


class Forecast:
    """Distributions over the candidates, for people."""

    def __init__(self, knowledge: Knowledge, model: LoadedModel) -> None:
        """Reads nothing yet.

        Args:
            knowledge: Candidates and calibrations.
            model: The language model.
        """
        self._knowledge = knowledge
        self._readers = {name: knowledge.reader(name, model) for name in knowledge.rankings}
        self._skills_of: dict[str, Float64[np.ndarray, " S"]] = {}
        self._rankers = {
            name: ranking.ranker(self._readers[name])
            for name, ranking in knowledge.rankings.items()
        }

    @property
    def titles(self) -> Candidates:
        """The positions that are ranked; none where no ranking is of titles."""
        rankings = self._knowledge.rankings
        found = rankings.get("path") or rankings.get("position")
        return found.candidates if found else Candidates((), ())

    @cached_property
    def skills(self) -> Candidates:
        """The skills that are ranked; none where the question needs more than a title."""
        reader = self._readers.get("skills")
        asked = reader is not None and reader.can_ask({"position_title": "title"})
        return self._knowledge.names.skills if asked else Candidates((), ())

    def read(self, person: Person) -> dict[str, Read]:
        """What of the person each ranking of titles goes by; without those that ask for more.

        Raises:
            InputError: Not even one title or skill leaves the model room for a candidate.
        """
        asked: dict[str, Fields] = {}
        if career := career_of(person):
            asked["path"] = {"titles": career}
        if person.skills:
            asked["position"] = {"skills": person.skills}
        return {
            name: self._fitted(name, known)
            for name, known in asked.items()
            if name in self._readers and self._readers[name].can_ask(known)
        }

    def check(self, person: Person) -> None:
        """Raises InputError where what is told leaves the model no room for a candidate."""
        self.read(person)
        if person.position and len(self.skills):
            self._fitted("skills", {"position_title": person.position})

    def positions(self, people: Sequence[Person]) -> Float64[np.ndarray, "N C"]:
        """Log-probabilities of each person's next position, the current one left out.

        Where a career and skills are told, what the career says times what the skills say, this to
        the power that validation chose. Skills that are a held title's own change nothing. People
        may differ in what they tell.

        Raises:
            InputError: Nothing that a person tells is what a ranking goes by.
        """
        reads = [self.read(person) for person in people]
        if not all(reads):
            raise InputError("no ranking goes by what is told: give a career or skills")
        careers, skills = (self._ranked(name, reads) for name in ("path", "position"))
        return np.stack(
            [self._joint(*one) for one in zip(people, reads, careers, skills, strict=True)]
        )

    def _ranked(self, name: str, reads: Sequence[dict[str, Read]]) -> Float64[np.ndarray, "N C"]:
        """One ranking's log-probabilities; all titles alike for whom it does not read."""
        found = np.zeros((len(reads), len(self.titles)))
        places = [place for place, read in enumerate(reads) if name in read]
        if places:
            found[places] = self._rankers[name]([reads[place][name].known for place in places])
        return found

    def _joint(
        self, person: Person, read: dict[str, Read], by_career: Logs, by_skills: Logs
    ) -> Logs:
        career = career_of(person)
        if "position" in read:
            power = self._knowledge.exponent if "path" in read else 1.0
            by_career = by_career + power * said_by_skills(by_skills, self.titles.places_of(career))
        return without(by_career, self.titles.places_of(career[-1:]))

    def skills_of(self, titles: Sequence[str]) -> Float64[np.ndarray, "N S"]:
        """Log-probabilities of the skill that a posting of each title names next.

        They depend on the title alone, and are kept for who asks next.
        """
        if new := [title for title in dict.fromkeys(titles) if title not in self._skills_of]:
            known = [self._fitted("skills", {"position_title": title}).known for title in new]
            self._skills_of |= dict(zip(new, self._rankers["skills"](known), strict=True))
        return np.stack([self._skills_of[title] for title in titles])

    def _fitted(self, name: str, known: Fields) -> Read:
        fitted = self._readers[name].fitted(known)
        if fitted is None:
            told = ", ".join(item for value in known.values() for item in _listed(value))
            raise InputError(
                f"{told[:60]!r} leaves the model no room for a candidate: shorten it, or list "
                "shorter candidates"
            )
        sizes = [sum(len(_listed(value)) for value in some.values()) for some in (known, fitted)]
        return Read(fitted, sizes[0] - sizes[1])


def career_of(person: Person) -> tuple[str, ...]:
    """The titles held, oldest first, the position last."""
    held, position = person.history, person.position
    if not position or (held and title_key(held[-1]) == title_key(position)):
        return held
    return (*held, position)


def _listed(value: str | tuple[str, ...]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else value
