"""Titles are occupations: each title, whatever its spelling, is matched to one of a taxonomy."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from careergpt.data.names import clean_title, title_key
from careergpt.data.objects import Table
from careergpt.data.tables import is_table, open_tables
from careergpt.data.taxonomies import PREPARATION
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.embeddings import (
    Encoder,
    Vectors,
    bundled_encoder,
    bundled_model,
    cosines,
    letters_encoder,
)

SENIORITY = {
    "junior": "Junior", "trainee": "Junior", "intern": "Junior", "entry level": "Junior",
    "i": "Junior", "senior": "Senior", "iii": "Senior", "iv": "Senior",
    "lead": "Lead", "principal": "Lead", "staff": "Lead",
    "manager": "Manager", "supervisor": "Manager", "head": "Manager", "director": "Manager",
    "ii": "",
}  # fmt: skip
"""Words at a title's ends that say how far one has come, not what one does."""

FIRST = {"principal", "staff", "head"}
"""Those that say so before other words alone: of a Chief of Staff or a School Principal not."""

ENOUGH = 5
"""Distinct titles, from which on one sees what a word in them is."""

_END = re.compile(r"[,(/;:|&]|\s[-\u2013]\s|\b(?:of|for|in|at|and|with|to)\b", re.IGNORECASE)

SHORTLIST = 200
"""Titles beside the occupations' names that are embedded for a text."""


class Match(NamedTuple):
    """The occupation that a title stands for.

    Attributes:
        occupation: Its name in the taxonomy.
        confidence: 1 for one of its titles, 1 / n for a title of n occupations; else the cosine of
            the nearest title, or the likeness of a slip, in [0, 1].
        seniority: Junior, Senior, Lead or Manager, where that is not of the occupation's own name.
    """

    occupation: str
    confidence: float
    seniority: str = ""


class Preparation(NamedTuple):
    """What an occupation takes: a job zone of 1 to 5 and education, as far as they are known."""

    job_zone: str = ""
    education: str = ""

    def __str__(self) -> str:
        zone = self.job_zone and f"job zone {self.job_zone}"
        return "; ".join(filter(None, [zone, self.education]))


def preparation_of(records: Iterable[Mapping[str, Any]]) -> dict[str, Preparation]:
    """By key of the title what each takes, of records that say so."""
    found: dict[str, Preparation] = {}
    for record in records:
        told = Preparation(*(str(record.get(name) or "") for name in PREPARATION))
        if any(told) and (title := record.get("position_title")):
            found.setdefault(title_key(str(title)), told)
    return found


class Occupations:
    """A taxonomy to match titles to.

    Example:
        nurses = Occupations({"Registered Nurse": ["Staff Nurse"], "Nurse Practitioner": []})
        nurses.match(["Sr. staff nurse"]) == [Match("Registered Nurse", 1.0, "Senior")]
    """

    def __init__(
        self,
        titles: Mapping[str, Iterable[str]],
        preparation: Mapping[str, Preparation] | None = None,
    ) -> None:
        """Of the names, and their other titles; and of what their work takes, where it is known."""
        self.names = tuple(titles)
        self._of: dict[str, list[int]] = defaultdict(list)  # By key the places of the names.
        for place, (name, others) in enumerate(titles.items()):
            self._of[title_key(name)].insert(0, place)
            for key in {*map(title_key, others)} - {title_key(name), ""}:
                self._of[key].append(place)
        self.preparation = dict(preparation or {})
        self._own = {title_key(name): place for place, name in enumerate(self.names)}

    @classmethod
    def of_table(cls, table: Table) -> Occupations:
        """Of a table that `tables` made: its columns occupation, position_title, other_titles."""
        titles: dict[str, list[str]] = defaultdict(list)
        preparation: dict[str, Preparation] = {}
        for row in table.rows():
            name = str(row.cells.get("occupation"))
            preparation |= preparation_of([{**row.cells, "position_title": name}])
            for column in ("position_title", "other_titles"):
                cell = row.cells.get(column) or []
                titles[name] += [cell] if isinstance(cell, str) else cell
        return cls(titles, preparation)

    @property
    def by_letters(self) -> bool:
        """Whether titles that are spelled in no known way are matched by their letters alone."""
        return bundled_model() is None

    def match(self, titles: Sequence[str]) -> list[Match]:
        """The occupation of each title."""
        return [self.exact(title) or self.nearest(title, 1)[0] for title in titles]

    def nearest(self, text: str, k: int) -> list[Match]:
        """The k occupations of which a title is most like the text, by meaning."""
        _, apart = without_seniority(clean_title(text))
        keys, like = self._likeness(text)
        best: dict[int, float] = {}
        for column in (-like).argsort(kind="stable"):
            for place in self._of[keys[column]]:
                best.setdefault(place, min(max(float(like[column]), 0.0), 1.0))
            if len(best) >= k:
                break
        return [Match(self.names[p], c, apart) for p, c in list(best.items())[:k]]

    def _likeness(self, text: str) -> tuple[list[str], np.ndarray]:
        """Titles and the cosine of the text with each.

        With embeddings these are the names, and of the others those whose letters are most alike:
        to embed all of a taxonomy's takes minutes.
        """
        keys = list(self._of)
        encode, vectors = self._letters
        like = cosines(encode([text]), vectors)[0]
        if self._encode is encode:
            return keys, like
        near = (keys[column] for column in (-like).argsort(kind="stable")[:SHORTLIST])
        others = [key for key in near if key not in self._own]
        query = self._encode([text])
        like = cosines(query, self._name_vectors)[0]
        if others:
            like = np.concatenate([like, cosines(query, self._encode(others))[0]])
        return [*self._own, *others], like

    def exact(self, title: str) -> Match | None:
        """The occupation that has the title, or has it without its seniority.

        Of several that have it, the one whose name is nearest in meaning, and one share of them
        as confidence.
        """
        key = title_key(clean_title(title))
        rest, apart = without_seniority(key)
        for known, seniority in ((key, ""), (rest, apart)):
            if known in self._own:
                return Match(self.names[self._own[known]], 1.0, seniority)
            if places := self._of.get(known):
                like = cosines(self._encode([known]), self._encode([self.names[p] for p in places]))
                place = places[int(like[0].argmax())]
                return Match(self.names[place], 1 / len(places), seniority)
        return None

    @cached_property
    def _letters(self) -> tuple[Encoder, Vectors]:
        encode = letters_encoder(list(self._of))
        return encode, encode(list(self._of))

    @cached_property
    def _encode(self) -> Encoder:
        return self._letters[0] if self.by_letters else bundled_encoder()

    @cached_property
    def _name_vectors(self) -> Vectors:
        return self._encode(list(self._own))


def read_occupations(given: str | Sequence[str]) -> Occupations | None:
    """The taxonomy that a file of candidates is; None: it is but a list of titles."""
    if isinstance(given, str) and is_table(given):
        (table, *_) = open_tables(given)
        return Occupations.of_table(table) if "occupation" in table.columns else None
    return None


def without_seniority(title: str, manages: bool = True) -> tuple[str, str]:
    """The title's key without the words of seniority at its ends, and the first of these.

    Without `manages`, words such as Manager stay.

    Example:
        without_seniority("Sr. Data Analyst II") == ("data analyst", "Senior")
    """
    apart = {word: kind for word, kind in SENIORITY.items() if manages or kind != "Manager"}
    words, found = title_key(title).replace("entry level", "entry-level").split(), []
    while len(words) > 1 and words[0].replace("-", " ") in apart:
        found.append(apart[words.pop(0).replace("-", " ")])
    while len(words) > 1 and words[-1] in apart.keys() - FIRST:
        found.append(apart[words.pop()])
    return " ".join(words), next(filter(None, found), "")


def levels_of(titles: Iterable[str]) -> list[str]:
    """For each title what it has in common with those that are but another level of it.

    Managers are an occupation of their own: a nurse manager is no level of a nurse.
    """
    return [without_seniority(title, manages=False)[0] for title in titles]


def occupations_and_skills(
    titles: Candidates, skills: Candidates, every: Iterable[str]
) -> dict[str, Candidates]:
    """The candidates without those that name no occupation, or no skill, going by all titles.

    A title of one word goes that mostly stands before the word for who does the work: of "Tier 2
    Technician" and "General Manager", Tier and General. A skill goes that is a title and ends in a
    word for who does the work: Java Developer, while Project Management stays.
    """
    ends, before = Counter[str](), Counter[str]()
    for core in {*levels_of(_END.split(title)[0] for title in every)}:
        *others, last = core.split() or [""]
        if others:
            ends[last] += 1
            before.update({*others} - {last})
    parts = {word for word, n in before.items() if n >= ENOUGH and n > 2 * ends[word]}
    works = {word for word, n in ends.items() if n >= ENOUGH} - parts
    who = (p for p, name in enumerate(titles.names) if title_key(name) not in parts)
    what = (
        p for p, name in enumerate(skills.names)
        if titles.place(name) is None or without_seniority(name, False)[0].split()[-1] not in works
    )  # fmt: skip
    return {"titles": titles.at(who), "skills": skills.at(what)}
