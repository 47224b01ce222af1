"""Recommendations for a person: where to go, what to learn, what is asked for, and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from careergpt.data.names import title_key
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tasks import Task, render_prompt
from careergpt.errors import InputError
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.loaded import LoadedModel
from careergpt.recommend.explanation import add_one_in, leave_one_out
from careergpt.recommend.forecast import Forecast, Read, career_of
from careergpt.recommend.knowledge import Knowledge
from careergpt.recommend.people import Person
from careergpt.recommend.qualifications import qualifications_in
from careergpt.recommend.recommendation import (
    NextPosition,
    Qualifications,
    Recommendation,
    SkillToHave,
)
from careergpt.recommend.spelling import known_like, spelled

NEEDS = 10
"""Skills that a position is said to need."""

SHOWN = 5
"""Titles and skills that notes name, at most."""

DESCRIBE = "describe"
"""The task whose answer names qualifications."""


@dataclass(frozen=True)
class Wish:
    """How much is recommended.

    Args:
        top: Positions and skills that are listed.
        explain: Positions, the first ones, that are explained: one more scoring of all candidates
            for each of the person's skills, and for each lacking one.
        decoding: How qualifications are written.
    """

    top: int = 10
    explain: int = 3
    decoding: Decoding = Decoding()

    def __post_init__(self) -> None:
        """Raises InputError for a number out of its range."""
        for name, least in {"top": 1, "explain": 0}.items():
            if getattr(self, name) < least:
                raise InputError(f"--{name} must be {least} or more, found {getattr(self, name)}")


class Recommender:
    """Answers people by one model folder."""

    def __init__(
        self, tasks: Mapping[str, Task], knowledge: Knowledge, model: LoadedModel, wish: Wish
    ) -> None:
        """Loads nothing.

        Args:
            tasks: All tasks of the folder.
            knowledge: Its candidates and calibrations.
            model: Its language model.
            wish: How much to recommend.

        Raises:
            InputError: There are no candidates to rank.
        """
        if not (len(knowledge.names.titles) or len(knowledge.names.skills)):
            raise InputError(
                f"{model.source} names no candidates: fit writes them into its model folder; or "
                "give a list with --candidates FILE"
            )
        if not knowledge.rankings:
            raise InputError(
                f"{model.source} was taught none of the tasks path, position and skills, by which "
                f"candidates are ranked; it knows {', '.join(tasks)}"
            )
        self._written: dict[str, Qualifications | None] = {}
        self._tasks, self._model, self._wish = tasks, model, wish
        self._forecast, self._names = Forecast(knowledge, model), knowledge.names

    def check(self, person: Person) -> None:
        """Raises InputError for a person who leaves the model no room for a candidate."""
        self._forecast.check(self._spelled(person))

    def recommend(self, person: Person) -> Recommendation:
        """Positions, skills and qualifications for a person."""
        told, person = person, self._spelled(person)
        read = self._forecast.read(person)
        positions = self._positions(person) if read else ()
        subject = person.position or (positions[0].title if positions else "")
        return Recommendation(
            person=person,
            positions=positions,
            candidates=len(self._forecast.titles),
            skills_for=subject,
            skills=self._skills(subject, person),
            qualifications=self._qualifications(subject),
            notes=(*self._strange(told, person), *self._notes(person, read)),
        )

    def _positions(self, person: Person) -> tuple[NextPosition, ...]:
        forecast, wish = self._forecast, self._wish
        logs = forecast.positions([person])[0]
        places = _first(logs, wish.top)
        titles = [forecast.titles.names[place] for place in places]
        own = {title_key(skill) for skill in person.skills}
        found = [
            NextPosition(
                title,
                float(np.exp(logs[place])),
                has=tuple(skill for skill in needed if title_key(skill) in own),
                lacks=tuple(skill for skill in needed if title_key(skill) not in own),
            )
            for title, place, needed in zip(titles, places, self._needs(titles), strict=True)
        ]
        explained, rest = found[: wish.explain], found[wish.explain :]
        first = places[: wish.explain]
        raised = leave_one_out(forecast, person, logs, first)
        would = add_one_in(forecast, person, logs, first, [one.lacks for one in explained])
        whys = zip(explained, raised, would, strict=True)
        return (*(one._replace(raised_by=by, would_raise=more) for one, by, more in whys), *rest)

    def _needs(self, titles: Sequence[str]) -> list[tuple[str, ...]]:
        """The skills that postings of each title name most."""
        names = self._forecast.skills.names
        if not names or not titles:
            return [()] * len(titles)
        found = self._forecast.skills_of(titles)
        return [tuple(names[place] for place in _first(logs, NEEDS)) for logs in found]

    def _skills(self, title: str, person: Person) -> tuple[SkillToHave, ...]:
        names = self._forecast.skills.names
        if not names or not title:
            return ()
        logs = self._forecast.skills_of([title])[0]
        own = {title_key(skill) for skill in person.skills}
        return tuple(
            SkillToHave(names[place], float(np.exp(logs[place])), title_key(names[place]) in own)
            for place in _first(logs, self._wish.top)
        )

    def _qualifications(self, title: str) -> Qualifications | None:
        """They depend on the title alone, and are kept for who asks next."""
        if title not in self._written:
            self._written[title] = self._write(title)
        return self._written[title]

    def _write(self, title: str) -> Qualifications | None:
        task = self._tasks.get(DESCRIBE)
        if task is None or not task.weight or not title:
            return None
        pieces = render_prompt(task, {"position_title": title})
        if pieces is None:
            return None
        prompts = ready_prompts([Question("", pieces)], self._model.tokenizer)
        if len(prompts[0].token_ids) >= self._model.context:
            return None
        parts = self._model.model, self._model.tokenizer
        written = generate(*parts, prompts, self._wish.decoding, self._model.context)[0].text
        part = qualifications_in(written)
        return Qualifications(title, part or written, part is None)

    def _spelled(self, person: Person) -> Person:
        """The person with titles and skills that training knows in its spelling, slips mended."""
        titles, skills = self._forecast.titles, self._forecast.skills
        return Person(
            spelled(person.position, titles),
            tuple(dict.fromkeys(spelled(skill, skills) for skill in person.skills)),
            tuple(spelled(title, titles) for title in person.history),
        )

    def _strange(self, told: Person, person: Person) -> Iterator[str]:
        """What is not known of what is told, and what is taken for a slip."""
        titles, skills = self._forecast.titles, self._forecast.skills
        for name in dict.fromkeys((*career_of(told), *told.skills)):
            used = spelled(name, skills if name in told.skills else titles)
            if title_key(used) != title_key(name):
                yield f"{name!r} is taken for {used!r}."
        others = [t for t in dict.fromkeys(career_of(person)) if titles.place(t) is None]
        for title in others[-SHOWN:]:
            like = ", ".join(map(repr, known_like(title, titles)))
            yield (
                f"Not known: {title!r} is none of the candidates, and what follows goes by its "
                f"words alone{like and f'; known are {like}'}."
            )
        unknown = [s for s in person.skills if skills.place(s) is None]
        if unknown and skills.names:
            shown = ", ".join(map(repr, unknown[:SHOWN])) + (" …" if unknown[SHOWN:] else "")
            yield f"Not known: none of the skills that training saw often is {shown}."

    def _notes(self, person: Person, read: Mapping[str, Read]) -> Iterator[str]:
        if new := sum(count == 0 for count in self._forecast.titles.counts):
            yield (
                f"{new:,} of the {len(self._forecast.titles):,} candidates were never in training: "
                "their places go by their words alone."
            )
        if not read and not len(self._names.titles):
            yield (
                "No positions: no title was in enough training records to be known. Train with a "
                "lower --data.min_count, or list titles with --candidates FILE."
            )
        elif not read:
            told = "careers" if career_of(person) else "skills"
            yield f"No positions: the model was not taught to rank them by {told} alone."
        for ranking, listed in (("path", "titles, the oldest"), ("position", "skills, the last")):
            if (some := read.get(ranking)) and some.left_out:
                yield f"{some.left_out:,} {listed} ones, do not fit into the model."


def _first(logs: Float64[np.ndarray, " C"], number: int) -> list[int]:
    """Places of the likeliest, those of probability 0 left out; of equals the first."""
    order = np.argsort(-logs, kind="stable")[:number].tolist()
    return [place for place in order if np.isfinite(logs[place])]
