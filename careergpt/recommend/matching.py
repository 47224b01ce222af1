"""Matching: what each title and skill that a person tells is taken for."""

from __future__ import annotations

import re

from careergpt.data.names import title_key
from careergpt.errors import InputError
from careergpt.recommend.candidates import spelled
from careergpt.recommend.embeddings import bundled_model, near_names
from careergpt.recommend.occupations import NO_SKILL, Match
from careergpt.recommend.people import Person
from careergpt.recommend.predictor import PersonQuery, Predictor

SURE = 0.4
"""Confidence from which on a title is read as of the occupation that it is but like: of O*NET's
titles, held out, 74 % are right above and 34 % below (`benchmarks/titles.py`, three seeds)."""

SAME = 0.7
"""Cosine from which on an unknown skill is read as the known one."""

GUESSES = 20
"""Unknown skills of a person whose meaning is sought: each takes a tenth of a second."""

_WISH = re.compile(r"(?:no|not|never|without)\s", re.IGNORECASE)
"""How a name begins that says what somebody lacks, or does not want: in meaning it is like what it
denies, so that "no degree" would be read as a degree."""


def match_person(predictor: Predictor, person: Person) -> PersonQuery:
    """The person in the names that training knows, as the model reads them.

    Raises:
        InputError: What is told leaves the model no room for a candidate.
    """
    titles = {name: match_title(predictor, name) for name in (*person.history, person.position)}
    skills = {name: Match(*spelled(name, predictor.skills)) for name in person.skills}
    unknown = [name for name, match in skills.items() if not match.confidence]
    wishes = [name for name in unknown if _WISH.match(name)]
    meant = [name for name in unknown if not _WISH.match(name)][:GUESSES]
    skills |= dict.fromkeys(wishes, NO_SKILL)
    skills |= {name: _match_skill(predictor, name) for name in meant}
    known = Person(
        titles[person.position].occupation,
        tuple(dict.fromkeys(m.occupation for m in skills.values() if m is not NO_SKILL)),
        tuple(titles[title].occupation for title in person.history),
    )
    used = {title: titles[title] for title in person.career} | skills
    others = {n: to for n, to in used.items() if title_key(n) != title_key(to.occupation)}
    stand_ins = {
        to.occupation: found
        for told, to in titles.items()
        if told and (found := predictor.stand_in(to.occupation, told))
    }
    return predictor.read_person(PersonQuery(known, others, stand_ins, {}))


def match_title(predictor: Predictor, name: str) -> Match:
    """The known title that it is: by its spelling, or as one of its occupation's."""
    rankings = predictor.rankings
    for known in rankings.known_titles:
        if (found := Match(*spelled(name, known))).confidence:
            return found
    match = rankings.occupations.match(name, SURE) if name else None
    return match or Match(name, 0.0)


def match_goal(predictor: Predictor, query: PersonQuery | None, goal: str) -> Match:
    """The known title that a goal is.

    Raises:
        InputError: By another name it is the position that the person has.
    """
    match = match_title(predictor, goal)
    same = title_key(goal) == title_key(match.occupation)
    if query and not same and title_key(match.occupation) == title_key(query.person.position):
        also = predictor.rankings.occupations.bearers(goal)
        others = ", ".join(repr(name) for name in also if name != match.occupation)
        raise InputError(
            f"the goal {goal!r} is taken for {match.occupation!r}, which the person is: "
            f"name another{others and f', such as {others}'}"
        )
    return match


def _match_skill(predictor: Predictor, skill: str) -> Match:
    """The candidate that an unknown skill means; itself where its words say what it means.

    Of held-out lists, positions were found best by the words that were told; another skill in
    their place, of a cosine of 0.7 or of 0.8, lost up to 0.03 of MRR.
    """
    names = predictor.skills.names
    if predictor.skills.in_words(skill):
        return Match(skill, 0.0)
    if names and bundled_model():  # Letters alone take Low Power for Power BI.
        ((place, like), *_) = near_names(names).by_meaning(skill)
        if like >= SAME:
            return Match(names[place], like)
    return Match(skill, 0.0)
