"""Recommendations for a person: where to go, what to learn, what is asked for, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from careergpt.data.names import title_key
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tasks import render_prompt
from careergpt.errors import InputError
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.folder import SETTINGS, read_settings
from careergpt.modeling.loaded import LoadedModel, device_named, find_model
from careergpt.recommend.candidates import read_candidates
from careergpt.recommend.explanation import FIRST, NEAR, Explanation
from careergpt.recommend.matching import match_goal, match_person
from careergpt.recommend.notes import how_sure, of_the_ranking, taken, unknown_names
from careergpt.recommend.occupations import levels_of, read_occupations
from careergpt.recommend.paths import Paths, paths_of
from careergpt.recommend.people import Person, person_of
from careergpt.recommend.predictor import NEEDS, Logs, PersonQuery, Predictor, first
from careergpt.recommend.qualifications import qualifications_in
from careergpt.recommend.ranking import LIKELY
from careergpt.recommend.rankings import PEERS, Rankings, tasks_of
from careergpt.recommend.recommendation import (
    SHOWN,
    NextPosition,
    Qualifications,
    Recommendation,
    SkillToHave,
)

Texts = str | Sequence[str]

RARE = 0.001
"""Probability below which a way to a goal is none that one would advise."""

SHORTENED = (
    f"The model compares the {LIKELY} likeliest positions and skills by counts; of the others, "
    "there being so many, counts alone decide."
)

DESCRIBE = "describe"
"""The task whose answer names qualifications."""


class Recommender:
    """Answers people by one model folder.

    `Recommender.load("runs/demo/model").recommend(position="Nurse", skills=["triage"]).positions`
    """

    def __init__(
        self,
        rankings: Rankings,
        model: LoadedModel,
        *,
        top: int = 10,
        explain: int = 3,
        exact: bool = False,
        decoding: Decoding = Decoding(),
    ) -> None:
        """Reads nothing yet.

        Args:
            rankings: What the model folder knows.
            model: Its language model.
            top: Positions and skills that are listed.
            explain: Positions, the first ones, that are explained: one more scoring for each of
                the person's skills, and for each lacking one that is shown.
            exact: Rank by the model, and explain over, all candidates, however many.
            decoding: How qualifications are written.

        Raises:
            InputError: There are no candidates to rank.
        """
        check_options(top, explain)
        if not any(map(len, rankings.candidates.values())):
            raise InputError(
                f"{model.source} names no candidates: fit writes them into its model folder; or "
                "give a list with --candidates FILE"
            )
        if not rankings.by_task:
            raise InputError(
                f"{model.source} was taught none of the tasks path, position and skills, by which "
                f"candidates are ranked; it knows {', '.join(rankings.tasks)}"
            )
        self.predictor = Predictor(rankings.exactly() if exact else rankings, model)
        self._model, self._decoding = model, decoding
        self._top, self._explain, self._exact = top, explain, exact
        self._written: dict[str, Qualifications] = {}

    @classmethod
    def load(
        cls,
        folder: str,
        *,
        candidates: Texts | None = None,
        device: str = "auto",
        model: LoadedModel | None = None,
        decoding: Decoding | None = None,
        **options: Any,
    ) -> Recommender:
        """The recommender of a model folder; other options are the constructor's.

        Args:
            folder: The model folder.
            candidates: Titles to rank in place of the folder's, or their file (`read_candidates`).
            device: auto, cpu, cuda, …
            model: The folder's model, where it is loaded already.
            decoding: How qualifications are written; None: as the folder says.
            **options: top, explain, exact.

        Raises:
            InputError: There is no such model, or it has nothing to rank.
        """
        check_options(**options)
        source, settings = find_model(folder), read_settings(folder)
        taught = settings.get("taught")  # Earlier versions did not say.
        tasks = {n: t for n, t in tasks_of(settings).items() if taught is None or n in taught}
        rankings = Rankings.load(
            tasks, settings, Path(folder), count_models=(Path(folder) / PEERS).is_dir()
        )
        if candidates is not None:
            rankings = rankings.with_titles(read_candidates(candidates))
            if occupations := read_occupations(candidates):
                rankings = replace(rankings, occupations=occupations)
        if decoding is None:
            try:
                decoding = Decoding(**settings.get("decoding", {}))
            except TypeError as error:
                raise InputError(f"{SETTINGS}: its decoding cannot be read ({error})") from None
        if model is None:
            model = source.load(device_named(device))
        return cls(rankings, model, decoding=decoding, **options)

    def recommend(
        self,
        position: str | None = None,
        skills: Texts | None = None,
        history: Texts | None = None,
        write: bool = True,
    ) -> Recommendation:
        """Positions, skills and qualifications for a person.

        Args:
            position: The title that the person has.
            skills: What they can do: a list, or a text such as "sql, excel".
            history: Titles held, oldest first: a list, or a text such as "Intern; Analyst".
            write: Whether qualifications are written.

        Raises:
            InputError: Nothing is told, or what is told leaves the model no room.
        """
        values = {"position": position, "skills": skills, "history": history}
        return self.answer(self.read(person_of(values, "recommend")), write)

    def read(self, person: Person) -> PersonQuery:
        """The person as the model reads them.

        Raises:
            InputError: What is told leaves the model no room for a candidate.
        """
        return match_person(self.predictor, person)

    def paths(self, query: PersonQuery | None, goal: str = "", steps: int = 3) -> Paths:
        """The likeliest paths of a person who was read, or what leads to a goal: `paths_of`.

        Raises:
            InputError: Steps are out of range, or the goal is no candidate or the position held.
        """
        match = match_goal(self.predictor, query, goal)
        notes = list(unknown_names(query, self.predictor.rankings)) if query else []
        if title_key(goal) != title_key(match.occupation):
            notes.append(taken(goal, match))
        found = paths_of(self.predictor, query, match.occupation, steps)
        if query and goal and found.paths and found.paths[0].probability < RARE:
            notes.append(
                f"Hardly anybody gets from here to {found.goal!r} in so few moves: each of these "
                f"ways is less likely than one in {1 / RARE:,.0f}."
            )
        return found._replace(notes=tuple(notes))

    def answer(self, query: PersonQuery, write: bool = True) -> Recommendation:
        """Positions and skills for a person who was read; qualifications where `write` says so."""
        person, predictor, rankings = query.person, self.predictor, self.predictor.rankings
        logs = predictor.log_probabilities(query)[0] if query.readings else None
        positions = self._positions(query, logs) if logs is not None else ()
        subject = self._subject(query) or (positions[0].title if positions else "")
        held = set(map(title_key, person.skills))
        notes = [
            *unknown_names(query, rankings),
            *how_sure(logs, predictor.popularity, person),
            *of_the_ranking(query, rankings),
        ]
        written = self.qualifications(subject) if subject and write else None
        if subject and write and written is None:
            notes.append(f"No qualifications: training does not know those of {subject!r}.")
        return Recommendation(
            person=person,
            positions=positions,
            candidates=len(predictor.titles),
            ranked_by={
                task: rankings.by_task[task].choice(reading.known).shares
                for task, reading in query.readings.items()
            },
            skills_for=subject,
            skills=tuple(
                SkillToHave(skill, share, title_key(skill) in held)
                for skill, share in predictor.relevant_skills(subject, self._top).items()
            ),
            qualifications=written,
            taken_for=query.taken_for,
            notes=tuple(notes),
            shortcuts=tuple(self._shortcuts(query)),
        )

    def _subject(self, query: PersonQuery) -> str:
        """The position, or what stands in for one of which training knows nothing."""
        position = query.person.position
        if position in query.stand_ins and not self.predictor.rankings.knows(position):
            return query.stand_ins[position].occupation
        return position

    def _shortcuts(self, query: PersonQuery) -> Iterator[str]:
        if any(ranking.shortens for ranking in self.predictor.rankings.by_task.values()):
            yield SHORTENED
        explained = self._explain and "position" in query.readings
        if explained and not self._exact and len(self.predictor.titles) > FIRST:
            yield NEAR

    @cached_property
    def _levels(self) -> list[str]:
        return levels_of(self.predictor.titles.names)

    def _positions(self, query: PersonQuery, logs: Logs) -> tuple[NextPosition, ...]:
        predictor, names = self.predictor, self.predictor.titles.names
        levels: dict[str, list[int]] = {}  # Of each occupation, the likeliest first.
        before = set(predictor.titles.places_of(query.person.career))  # Some go back: no advice.
        for place in first(logs, len(logs)):
            if place not in before:
                levels.setdefault(self._levels[place], []).append(place)
        of_each = list(levels.values())[: self._top]
        places = [some[0] for some in of_each]
        titles = [names[place] for place in places]
        held = set(map(title_key, query.person.skills))
        subject = self._subject(query)
        if len(predictor.skills) and titles:
            predictor.skills_of([*filter(None, [subject]), *titles])  # All at once.
        common, found = predictor.in_common(subject, titles), []
        left = query.career[-1] if query.career else ""
        for title, (place, *others), shared in zip(titles, of_each, common, strict=True):
            needed = predictor.relevant_skills(title)
            more = predictor.optional_skills(title)
            has = tuple(skill for skill in (*needed, *more) if title_key(skill) in held)
            lacks = tuple(skill for skill in needed if title_key(skill) not in held)
            optional = tuple(skill for skill in more if title_key(skill) not in held)[:NEEDS]
            also = {names[other]: float(np.exp(logs[other])) for other in others}
            takes, share = predictor.preparation(title), float(np.exp(logs[place]))
            one = NextPosition(title, share, also, takes, has, lacks, optional=optional)
            seen, listed = predictor.known_move(left, title)
            found.append(one._replace(in_common=shared, seen=seen, listed=listed))
        explained = found[: self._explain]
        why = Explanation(predictor, query, logs, places[: self._explain], self._exact)
        # Each skill is one more question: those that a reader is shown, unless all are asked for.
        asked = [one.lacks if self._exact else one.lacks[:SHOWN] for one in explained]
        raised, would = why.leave_one_out(), why.add_one_in(asked)
        for number, one in enumerate(explained):
            found[number] = one._replace(raised_by=raised[number], would_raise=would[number])
        return tuple(found)

    def qualifications(
        self, title: str, on_token: Callable[[int, int], None] | None = None
    ) -> Qualifications | None:
        """What the model writes of the title's qualifications; None where it never saw them.

        What it writes anew is handed to `on_token`, as `generate` does.
        """
        rankings = self.predictor.rankings
        task = rankings.tasks.get(DESCRIBE)
        trained = rankings.trained or rankings.candidates["titles"]
        if task is None or not task.weight or trained.place(title) is None:
            return None
        pieces = render_prompt(task, {"position_title": title})
        if pieces is None:
            return None
        _, model, tokenizer, context, form = self._model
        prompts = ready_prompts([Question("", pieces)], tokenizer, form)
        if len(prompts[0].token_ids) >= context:
            return None
        if title not in self._written:
            (answer,) = generate(model, tokenizer, prompts, self._decoding, context, on_token)
            part = qualifications_in(answer.text)
            self._written[title] = Qualifications(title, part or answer.text, part is None)
        return self._written[title]


def check_options(top: int = 1, explain: int = 0, **_: object) -> None:
    """Raises InputError for a number out of its range."""
    for name, found, least in (("top", top, 1), ("explain", explain, 0)):
        if found < least:
            raise InputError(f"--{name} must be {least} or more, found {found}")
