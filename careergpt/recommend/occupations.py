"""Occupations of a taxonomy, and the titles that are matched to them, whatever their spelling."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from careergpt.data.names import clean_title, title_key
from careergpt.data.tables import is_table, open_tables
from careergpt.data.taxonomies import LISTS
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.embeddings import NearNames

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

WIDTH = 0.08
"""Of the kernel of votes, exp((cosine - 1) / width): of 0.03 to 0.15 the most of O*NET's held-out
titles were right, by meaning and by letters."""

NONE = 0.75
"""The cosine of one more vote, for no occupation: what is like nothing is sure of nothing. Lower,
nonsense was taken for work; of held-out titles the confidence is a fifth too low."""

SKILL_LEVELS = {
    "1": "short instruction", "2": "secondary school", "3": "one to three years after school",
    "4": "a degree",
}  # fmt: skip
"""What each level of ISCO-08 mostly takes (ILO, 2012)."""

_END = re.compile(r"[,(/;:|&]|\s[-\u2013]\s|\b(?:of|for|in|at|and|with|to)\b", re.IGNORECASE)

_BESIDES = re.compile(r"[,(/;:|]|\s[-\u2013]\s")


class Match(NamedTuple):
    """The occupation that a title stands for.

    Attributes:
        occupation: Its name in the taxonomy.
        confidence: 1 for one of its titles, 1 / n for a title of n occupations; else its share of
            what the nearest titles vote for, or the likeness of a slip or a skill, in [0, 1].
        seniority: Junior, Senior, Lead or Manager, where that is not of the occupation's own name.
    """

    occupation: str
    confidence: float
    seniority: str = ""


NO_SKILL = Match("", 0.0)
"""Of a name that says what somebody lacks or does not want: it is left out."""


class Preparation(NamedTuple):
    """What an occupation takes, as far as it is known.

    Attributes:
        job_zone: 1 (little preparation) to 5 (extensive).
        education: Such as "Bachelor's degree".
        skill_level: 1 to 4, a key of `SKILL_LEVELS`.
    """

    job_zone: str = ""
    education: str = ""
    skill_level: str = ""

    def __str__(self) -> str:
        zone = self.job_zone and f"job zone {self.job_zone}"
        level = self.skill_level and f"skill level {self.skill_level}"
        if usual := SKILL_LEVELS.get(self.skill_level):
            level += f" ({usual})"
        return "; ".join(filter(None, [zone, self.education, level]))


class Occupations:
    """A taxonomy to match titles to.

    Example:
        nurses = Occupations({"Registered Nurse": ["Staff Nurse"], "Nurse Practitioner": []})
        nurses.match("Sr. staff nurse") == Match("Registered Nurse", 1.0, "Senior")
    """

    def __init__(
        self,
        titles: Mapping[str, Iterable[str]],
        preparation: Mapping[str, Preparation] | None = None,
        listed: Mapping[str, Mapping[str, Sequence[str]]] | None = None,
    ) -> None:
        """Of the names, and their other titles; what the work takes; the `LISTS`."""
        self.names = tuple(titles)
        self.titles: dict[str, list[str]] = {}  # The others, each in its first spelling.
        self._preparation = dict(preparation or {})
        self._listed = {name: dict(lists) for name, lists in (listed or {}).items()}
        self._of: dict[str, list[int]] = defaultdict(list)  # By key the places of the names.
        self._own: dict[str, int] = {}
        self._whole: Occupations | None = None
        for place, (name, others) in enumerate(titles.items()):
            first = {title_key(name): name}
            for other in filter(None, others):
                first.setdefault(title_key(other), other)
            own, *keys = first
            self._own[own] = place
            self._of[own].insert(0, place)
            for key in keys:
                self._of[key].append(place)
            self.titles[name] = [first[key] for key in keys]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]], among: Candidates | None = None) -> Occupations:
        """Of rows as `tables` makes them, and of others that say what their title takes.

        Args:
            rows: With the fields of `TAXONOMY` and position_title, as far as they are told.
            among: The only names that are kept; None: all.
        """
        titles: dict[str, list[str]] = defaultdict(list)
        preparation: dict[str, Preparation] = defaultdict(Preparation)
        listed: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        names: dict[str, str] = {}  # By key: "Audiologist" and "audiologist" are one occupation.
        for row in rows:
            told = Preparation(*(str(row.get(name) or "") for name in Preparation._fields))
            if told.skill_level not in SKILL_LEVELS:  # Of another scale: Intermediate.
                told = told._replace(skill_level="")
            title = str(row.get("position_title") or "")
            name = str(row.get("occupation") or (title if any(told) else ""))
            if not name or (among is not None and among.place(name) is None):
                continue
            name = names.setdefault(title_key(name), name)
            titles[name] += [title, *_items(row.get("other_titles"))]
            for field in LISTS:
                listed[name][field] += _items(row.get(field))
            known = preparation[name]
            preparation[name] = Preparation(*(a or b for a, b in zip(known, told, strict=True)))
        return cls(titles, preparation, listed)

    def only(self, names: Iterable[str]) -> Occupations:
        """Some of them, and their other titles: letters are counted once for both."""
        some = Occupations({name: self.titles[name] for name in names})
        some._whole = self
        return some

    def preparation(self, title: str) -> Preparation:
        """What the occupation takes that has the title."""
        places = self._of.get(title_key(title), ())
        told = (self._preparation.get(self.names[place], Preparation()) for place in places)
        return next(filter(any, told), Preparation())

    def listed(self, field: str, title: str) -> Sequence[str]:
        """What the taxonomy lists in a field of `LISTS` for the occupation of this name.

        Training's careers of the changes that it lists are made by `tables`, whatever their number.
        """
        known = self._own.get(title_key(title))
        return () if known is None else self._listed.get(self.names[known], {}).get(field, ())

    def bearers(self, title: str) -> list[str]:
        """The occupations that bear the title, or bear it without its seniority."""
        key = title_key(clean_title(title))
        places = self._of.get(key) or self._of.get(without_seniority(key)[0]) or ()
        return [self.names[place] for place in places]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Rows of which `of` makes the same."""
        for name, titles in self.titles.items():
            told = self._preparation.get(name, Preparation())._asdict()
            known = {**self._listed.get(name, {}), **told}
            known = {field: value for field, value in known.items() if value}
            yield {"occupation": name, "other_titles": titles, **known}

    def match(self, title: str, least: float = 0.0) -> Match | None:
        """The occupation of the title; None where the nearest is not that likely it.

        One of several that bear the title is nearer than any that is but like it. What stands after
        a comma or a bracket is left out where the whole is like none: "RN, ICU (nights)".
        """
        if (match := self._exact(title)) or not self.names:
            return match
        (match,) = self.nearest(title, 1)
        head = _BESIDES.split(title)[0]
        return match if match.confidence >= least else self._exact(head)

    def nearest(self, text: str, k: int) -> list[Match]:
        """The k occupations for which most titles like the text vote, each by its likeness."""
        _, apart = without_seniority(clean_title(text))
        votes: dict[int, float] = defaultdict(float)
        for column, like in self._near.by_meaning(text):
            bearers = self._of[self._near.names[column]]
            for place in bearers:
                votes[place] += math.exp((like - 1) / WIDTH) / len(bearers)
        cast = sum(votes.values()) + math.exp((NONE - 1) / WIDTH)
        first = sorted(votes, key=votes.__getitem__, reverse=True)[:k]
        return [Match(self.names[place], votes[place] / cast, apart) for place in first]

    @cached_property
    def _near(self) -> NearNames:
        keys = tuple(self._of)
        return self._whole._near.only(keys) if self._whole else NearNames(keys)

    def _exact(self, title: str) -> Match | None:
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
                names = tuple(self.names[place] for place in places)
                ((nearest, _), *_) = NearNames(names).by_meaning(known)
                return Match(names[nearest], 1 / len(places), seniority)
        return None


def _items(cell: str | Sequence[str] | None) -> list[str]:
    """The items of a list's cell, which may be empty, or one item alone."""
    return [cell] if isinstance(cell, str) and cell else [*(cell or ())]


def read_occupations(given: str | Sequence[str]) -> Occupations | None:
    """The taxonomy that a file of candidates is; None: it is but a list of titles."""
    if isinstance(given, str) and is_table(given):
        (table, *_) = open_tables(given)
        if "occupation" in table.columns:
            return Occupations.of(row.cells for row in table.rows())
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
