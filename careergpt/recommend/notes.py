"""Notes: what is not known of a person, and how far to believe the answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float64

from careergpt.recommend.candidates import LISTS, Candidates, nearest
from careergpt.recommend.occupations import NO_SKILL, Match
from careergpt.recommend.people import Person
from careergpt.recommend.predictor import PersonQuery
from careergpt.recommend.rankings import Rankings

SHOWN = 5
"""Titles and skills that notes name, at most."""

LITTLE = 0.1
"""Nats that an answer differs from popularity; of less nobody learns anything."""


def unknown_names(query: PersonQuery, rankings: Rankings) -> Iterator[str]:
    """What is not known of what is told, what is near to it, and what is taken for a slip."""
    person, (titles, skills) = query.person, (rankings.candidates[kind] for kind in LISTS)
    others = [
        title
        for title in dict.fromkeys(person.career)
        if title not in query.stand_ins and not rankings.knows(title)
    ]
    no_candidates = [skill for skill in person.skills if skills.place(skill) is None]
    in_words = {skill: skills.in_words(skill) for skill in no_candidates}
    unknown = [skill for skill, known in in_words.items() if not known]
    strange = len(others) == len(set(person.career)) and len(unknown) == len(person.skills)
    if strange and any(person):
        yield "Nothing of what is told is known: what follows is a guess by what the words say."
    for name, match in query.taken_for.items():
        yield taken(name, match)
    for told, (used, confidence, _) in query.stand_ins.items():
        yield (
            f"Training has no move from {told!r}: those from {used!r}, as which it is read here "
            f"({confidence:.0%} sure), stand in."
        )
    for title in others[-SHOWN:]:
        yield (
            f"Not known: {title!r} is none of the candidates, and what follows goes by its "
            f"words alone{_near(title, titles)}."
        )
    if by_words := [skill for skill, known in in_words.items() if known]:
        named = _listed(by_words)
        yield f"Skills read by their words, for training saw none of that name often: {named}."
    if unknown and skills.names:
        near = _near(unknown[0], skills)
        yield f"Not known: none of the skills that training saw often is {_listed(unknown)}{near}."


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (" …" if names[SHOWN:] else "")


def taken(name: str, match: Match) -> str:
    """What a name was taken for."""
    if match is NO_SKILL:
        return f"{name!r} says what is not: tell what is, for the ranking goes by that alone."
    used, confidence, seniority = match
    more = f", {seniority}" if seniority else ""
    return f"{name!r} is taken for {used!r}{more} ({confidence:.0%} sure)."


def _near(name: str, candidates: Candidates) -> str:
    like = ", ".join(map(repr, nearest(name, candidates))) if len(candidates) else ""
    return like and f"; known are {like}"


def how_sure(
    logs: Float64[np.ndarray, " C"] | None,
    popularity: Float64[np.ndarray, " C"] | None,
    person: Person,
) -> Iterator[str]:
    """Whether what is told changes hardly anything: the answer is then that to anybody."""
    if logs is None or popularity is None:
        return
    inside = np.isfinite(logs)
    differs = np.exp(logs[inside]) @ (logs - popularity)[inside]
    if differs < LITTLE:
        what = "career" if person.career else "skills"
        yield (
            f"What is told of {what} says next to nothing: the answer is much the same for "
            "anybody, by how often titles occur."
        )


def of_the_ranking(query: PersonQuery, rankings: Rankings) -> Iterator[str]:
    """What was ranked, and what of the query did not fit."""
    titles, person = rankings.candidates["titles"], query.person
    lends = any(ranking.lent for ranking in rankings.by_task.values())
    goes = "those of the nearest titles that it saw" if lends else "their words alone"
    if new := sum(count == 0 for count in titles.counts):
        yield (
            f"{new:,} of the {len(titles):,} candidates were never in training: "
            f"their places go by {goes}."
        )
    if not query.readings and not len(titles):
        yield (
            "No positions: no title was in enough training records to be known. Train with a "
            "lower --data.min_count, or list titles with --candidates FILE."
        )
    elif not query.readings and any(person):
        what = "careers" if person.career else "skills"
        yield f"No positions: the model was not taught to rank them by {what} alone."
    lists = (
        ("path", "titles", person.career, "oldest"),
        ("position", "skills", person.skills, "last"),
    )
    for task, field, items, end in lists:
        read = query.readings[task].known[field] if task in query.readings else items
        if left_out := len(items) - len(read):
            yield f"{left_out:,} {field}, the {end} ones, do not fit into the model."
