"""Recommendations for a person: where to go, what to learn, what is asked for, and why."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax

from careergpt.data.names import title_key
from careergpt.data.prompts import Question, ready_prompts
from careergpt.data.tasks import Fields, render_prompt
from careergpt.errors import InputError
from careergpt.generation.decoding import generate
from careergpt.generation.sampling import Decoding
from careergpt.modeling.folder import SETTINGS, read_settings
from careergpt.modeling.loaded import LoadedModel, device_named, find_model
from careergpt.recommend.calibration import log_odds, skill_likelihoods
from careergpt.recommend.candidates import Candidates, read_candidates, spelled
from careergpt.recommend.count_models import KneserNey
from careergpt.recommend.evaluation import without
from careergpt.recommend.language_model import Reading
from careergpt.recommend.notes import NEAR, PersonQuery, how_sure, of_the_ranking, unknown_names
from careergpt.recommend.occupations import Occupations, read_occupations
from careergpt.recommend.people import Person, person_of
from careergpt.recommend.qualifications import qualifications_in
from careergpt.recommend.ranking import PEERS, Rankings, tasks_of
from careergpt.recommend.recommendation import (
    Effect,
    NextPosition,
    Qualifications,
    Recommendation,
    SkillToHave,
)

Logs = Float64[np.ndarray, " C"]
Texts = str | Sequence[str]

NEEDS = 10
"""Skills that a position is said to need."""

SURE = 0.5
"""Confidence from which on a title is read as the occupation that it is matched to."""

FIRST = 100
"""Candidates over which an answer is explained: the others hardly change it, and cost the most."""

REMEMBERED = 4_096
"""Titles, known or not, of which is kept what depends on them alone."""

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
        occupations: Occupations | None = None,
    ) -> None:
        """Reads nothing yet.

        Args:
            rankings: What the model folder knows.
            model: Its language model.
            top: Positions and skills that are listed.
            explain: Positions, the first ones, that are explained: one more scoring for each of
                the person's skills, and for each lacking one.
            exact: Explain over all candidates, not the first hundred alone.
            decoding: How qualifications are written.
            occupations: The taxonomy that the candidates are of: what other titles stand for.

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
        self._rankings, self._model, self._decoding = rankings, model, decoding
        self._top, self._explain, self._exact = top, explain, exact
        self._occupations = occupations
        self._models = {name: ranking.by(model) for name, ranking in rankings.by_task.items()}
        ranked = rankings.by_task.get("path") or rankings.by_task.get("position")
        self.titles = ranked.candidates if ranked else Candidates()
        # The question may need more than a title.
        skills = self._models.get("skills")
        by_title = skills is not None and skills.can_ask({"position_title": "title"})
        self.skills = rankings.candidates["skills"] if by_title else Candidates()
        # They depend on a title alone, and are kept for who asks next.
        self._title_reading = lru_cache(REMEMBERED)(self._read_title)
        self._written: dict[str, Qualifications] = {}
        self._skills_of: dict[str, Logs] = {}

    @classmethod
    def load(
        cls,
        folder: str,
        *,
        candidates: Texts | None = None,
        device: str = "auto",
        model: LoadedModel | None = None,
        top: int = 10,
        explain: int = 3,
        exact: bool = False,
        decoding: Decoding | None = None,
    ) -> Recommender:
        """The recommender of a model folder.

        Args:
            folder: The model folder.
            candidates: Titles to rank in place of the folder's, or their file (`read_candidates`).
            device: auto, cpu, cuda, …
            model: The folder's model, where it is loaded already.
            top: Positions and skills that are listed.
            explain: Positions, the first ones, that are explained.
            exact: Explain over all candidates, not the first hundred alone.
            decoding: How qualifications are written; None: as the folder says.

        Raises:
            InputError: There is no such model, or it has nothing to rank.
        """
        check_options(top, explain)
        source, settings = find_model(folder), read_settings(folder)
        taught = settings.get("taught")  # Earlier versions did not say.
        tasks = {n: t for n, t in tasks_of(settings).items() if taught is None or n in taught}
        rankings = Rankings.load(
            tasks, settings, Path(folder), count_models=(Path(folder) / PEERS).is_dir()
        )
        if candidates is not None:
            rankings = rankings.with_titles(read_candidates(candidates))
        occupations = None if candidates is None else read_occupations(candidates)
        if decoding is None:
            try:
                decoding = Decoding(**settings.get("decoding", {}))
            except TypeError as error:
                raise InputError(f"{SETTINGS}: its decoding cannot be read ({error})") from None
        if model is None:
            model = source.load(device_named(device))
        return cls(
            rankings,
            model,
            top=top,
            explain=explain,
            exact=exact,
            decoding=decoding,
            occupations=occupations,
        )

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
        titles = {name: self._title(name) for name in (*person.history, person.position)}
        skills = {name: spelled(name, self.skills) for name in person.skills}
        known = Person(
            titles[person.position],
            tuple(dict.fromkeys(skills.values())),
            tuple(titles[title] for title in person.history),
        )
        used = {title: titles[title] for title in person.career} | skills
        slips = {name: to for name, to in used.items() if title_key(name) != title_key(to)}
        fields: dict[str, Fields] = {}
        if known.career:
            fields["path"] = {"titles": known.career}
        if known.skills:
            fields["position"] = {"skills": known.skills}
        readings = {
            task: self._models[task].read(query)
            for task, query in fields.items()
            if task in self._models and self._models[task].can_ask(query)
        }
        if known.position and len(self.skills):
            self._title_reading(known.position)
        return PersonQuery(known, slips, readings)

    def _title(self, name: str) -> str:
        """The candidate that the title is, by its spelling or as a title of its occupation."""
        found = spelled(name, self.titles)
        if self._occupations is None or not name or self.titles.place(found) is not None:
            return found
        (match,) = self._occupations.match([name])
        return match.occupation if match.confidence >= SURE else name

    def answer(self, query: PersonQuery, write: bool = True) -> Recommendation:
        """Positions and skills for a person who was read; qualifications where `write` says so."""
        person = query.person
        (logs,) = self.log_probabilities(query) if query.readings else (None,)
        positions = self._positions(query, logs) if logs is not None else ()
        subject = person.position or (positions[0].title if positions else "")
        skills = self._likeliest_skills(subject, self._top) if subject else []
        held = set(map(title_key, person.skills))
        explained = bool(self._explain) and "position" in query.readings
        notes = [
            *unknown_names(person, query.slips, self.titles, self._rankings.candidates["skills"]),
            *how_sure(logs, self._popularity, person),
            *of_the_ranking(query, self._rankings),
        ]
        if explained and not self._exact and len(self.titles) > FIRST:
            notes.append(NEAR.format(FIRST))
        written = self.qualifications(subject) if subject and write else None
        if subject and write and written is None:
            notes.append(f"No qualifications: training does not know those of {subject!r}.")
        return Recommendation(
            person=person,
            positions=positions,
            candidates=len(self.titles),
            ranked_by={
                task: self._rankings.by_task[task].choice(reading.known).shares
                for task, reading in query.readings.items()
            },
            skills_for=subject,
            skills=tuple(SkillToHave(name, p, title_key(name) in held) for name, p in skills),
            qualifications=written,
            notes=tuple(notes),
        )

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
            power = self._rankings.exponent if path else 1.0
            held = [columns[p] for p in self.titles.places_of(career) if p in columns]
            said = self._said("position", skills, among)
            logs = logs + power * np.stack([skill_likelihoods(one, held) for one in said])
        current = [columns.get(place) for place in self.titles.places_of(career[-1:])]
        return np.stack([without(one, current) for one in logs])

    def after(self, careers: Sequence[tuple[str, ...]]) -> Float64[np.ndarray, "N C"]:
        """Log-probabilities of what follows each career, its last title left out.

        Raises:
            InputError: The model was not taught careers.
        """
        if "path" not in self._models:
            raise InputError("the model was not taught careers: train it on a table of them")
        readings = [self._models["path"].read({"titles": career}) for career in careers]
        pairs = zip(self._said("path", readings), careers, strict=True)
        return np.stack([without(one, self.titles.places_of(c[-1:])) for one, c in pairs])

    @property
    def moves(self) -> KneserNey | None:
        """The counts of moves between titles; None where the folder has none of these titles."""
        ranking = self._rankings.by_task.get("path")
        found = ranking.count_models.get("markov") if ranking else None
        return found if isinstance(found, KneserNey) else None

    @cached_property
    def _popularity(self) -> Logs | None:
        """Of each title by how many training records have it; None where none is counted."""
        counts = np.array(self.titles.counts, dtype=np.float64)
        return np.asarray(log_softmax(np.log(counts + 1))) if counts.any() else None

    def _said(
        self, task: str, readings: Sequence[Reading], among: Sequence[int] | None = None
    ) -> Float64[np.ndarray, "N C"]:
        """What one ranking says, by what validation found best."""
        return self._rankings.by_task[task].answers(self._models[task], readings, among)

    def skills_of(self, titles: Sequence[str]) -> Float64[np.ndarray, "N S"]:
        """Log-probabilities of the skill that a posting of each title names next."""
        if len(self._skills_of) > REMEMBERED:
            self._skills_of.clear()
        new = [title for title in dict.fromkeys(titles) if title not in self._skills_of]
        if (kept := self._rankings.skills_of) is not None:
            found = {title: logs for title in new if (logs := kept.of(title)) is not None}
            self._skills_of |= found
            new = [title for title in new if title not in found]
        if new:
            said = self._said("skills", list(map(self._title_reading, new)))
            self._skills_of |= dict(zip(new, said, strict=True))
        return np.stack([self._skills_of[title] for title in titles])

    def leave_one_out(
        self, query: PersonQuery, logs: Logs, places: Sequence[int]
    ) -> list[tuple[Effect, ...]]:
        """For each position what each of the person's skills does to it, the most helpful first.

        The effect is the position's log-odds by `logs`, the person's own distribution, less its
        log-odds for the person without the skill. Skills that the model has no room to read have
        none; neither has an only skill, without which it would be another question.
        """
        read = query.readings.get("position")
        skills = read.known["skills"] if read else ()
        asks = len(skills) > 1 and self._models["position"].can_ask({"skills": skills[1:]})
        if not places or not asks:
            return [()] * len(places)
        rests = [tuple(other for other in skills if other != skill) for skill in skills]
        own, others = self._log_odds_with(query, logs, rests, places)
        gains = own - others
        return [
            tuple(sorted(map(Effect, skills, column.tolist()), key=lambda e: -e.log_odds))
            for column in gains.T
        ]

    def add_one_in(
        self,
        query: PersonQuery,
        logs: Logs,
        places: Sequence[int],
        lacks: Sequence[Sequence[str]],
    ) -> list[Effect | None]:
        """For each position the lacking skill that would raise its log-odds most; None: none would.

        `lacks` has for each position its skills that the person lacks. Nothing is compared for a
        person without skills: one skill would bring in a whole new question.
        """
        wanted = list(dict.fromkeys(skill for skills in lacks[: len(places)] for skill in skills))
        if not places or not wanted or "position" not in query.readings:
            return [None] * len(places)
        # First of all skills: where not all can be read, the last are left out.
        more = [(skill, *query.person.skills) for skill in wanted]
        own, others = self._log_odds_with(query, logs, more, places)
        gains = others - own
        found: list[Effect | None] = []
        for column, skills in zip(gains.T, lacks, strict=False):
            effects = [Effect(skill, float(column[wanted.index(skill)])) for skill in skills]
            best = max(effects, key=lambda effect: effect.log_odds, default=None)
            found.append(best if best and best.log_odds > 0 else None)
        return found

    def _log_odds_with(
        self,
        query: PersonQuery,
        logs: Logs,
        lists: Sequence[tuple[str, ...]],
        places: Sequence[int],
    ) -> tuple[Float64[np.ndarray, "1 P"], Float64[np.ndarray, "N P"]]:
        """Log-odds of the places for the person, and with each of these lists of skills instead."""
        among = self._compared(query, logs)
        readings = [self._models["position"].read({"skills": skills}) for skills in lists]
        if among is None:
            others = self.log_probabilities(query, *readings)
            return log_odds(logs[None], places), log_odds(others, places)
        both = [query.readings["position"], *readings]
        found = log_odds(
            self.log_probabilities(query, *both, among=among), list(map(among.index, places))
        )
        return found[:1], found[1:]

    def _compared(self, query: PersonQuery, logs: Logs) -> list[int] | None:
        """The candidates over which the answer is explained; None: all."""
        if self._exact or len(logs) <= FIRST:
            return None
        held = self.titles.places_of(query.person.career)
        return list(dict.fromkeys([*_first(logs, FIRST), *held]))

    def _positions(self, query: PersonQuery, logs: Logs) -> tuple[NextPosition, ...]:
        places = _first(logs, self._top)
        titles = [self.titles.names[place] for place in places]
        held = set(map(title_key, query.person.skills))
        if len(self.skills) and titles:
            self.skills_of(titles)  # All at once.
        found = []
        for title, place in zip(titles, places, strict=True):
            needed = [skill for skill, _ in self._likeliest_skills(title, NEEDS)]
            has = tuple(skill for skill in needed if title_key(skill) in held)
            lacks = tuple(skill for skill in needed if title_key(skill) not in held)
            found.append(NextPosition(title, float(np.exp(logs[place])), has, lacks))
        explained, first = found[: self._explain], places[: self._explain]
        raised = self.leave_one_out(query, logs, first)
        would = self.add_one_in(query, logs, first, [one.lacks for one in explained])
        for number, one in enumerate(explained):
            found[number] = one._replace(raised_by=raised[number], would_raise=would[number])
        return tuple(found)

    def _likeliest_skills(self, title: str, number: int) -> list[tuple[str, float]]:
        """The skills that postings of the title name most, with their probabilities."""
        if not len(self.skills):
            return []
        (logs,) = self.skills_of([title])
        places = _first(logs, number)
        return [(self.skills.names[place], float(np.exp(logs[place]))) for place in places]

    def _read_title(self, title: str) -> Reading:
        return self._models["skills"].read({"position_title": title})

    def qualifications(
        self, title: str, on_token: Callable[[int, int], None] | None = None
    ) -> Qualifications | None:
        """What the model writes of the title's qualifications; None where it never saw them.

        What it writes anew is handed to `on_token`, as `generate` does.
        """
        task = self._rankings.tasks.get(DESCRIBE)
        trained = self._rankings.trained or self._rankings.candidates["titles"]
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


def check_options(top: int, explain: int) -> None:
    """Raises InputError for a number out of its range."""
    for name, found, least in (("top", top, 1), ("explain", explain, 0)):
        if found < least:
            raise InputError(f"--{name} must be {least} or more, found {found}")


def _first(logs: Logs, number: int) -> list[int]:
    """Places of the likeliest, those of probability 0 left out; of equals the first."""
    order = np.argsort(-logs, kind="stable")[:number].tolist()
    return [place for place in order if np.isfinite(logs[place])]
