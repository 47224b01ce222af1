"""Candidates: the titles or skills that may be recommended, each by its place."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher, get_close_matches
from functools import cached_property
from typing import Any

from careergpt.data.names import clean_title, key_words, plain_key, spellings, title_key
from careergpt.data.objects import Table
from careergpt.data.tables import is_table, open_tables
from careergpt.data.tasks import Fields
from careergpt.data.text_files import read_lines
from careergpt.errors import InputError, printable
from careergpt.recommend.embeddings import near_names

GIVEN = {"path": "titles", "position": "skills", "skills": "position_title"}
"""For each task that is answered by a ranking the field that it asks by."""

TARGET = {"path": "titles", "position": "position_title", "skills": "skills"}
"""The field that its candidates fill."""

KIND = {"path": "titles", "position": "titles", "skills": "skills"}
"""The list that its candidates are of: careers and positions have one list of titles."""

LISTS = ("titles", "skills")
"""Fields that hold lists."""

LONGEST = 100
"""Characters; what is longer is a sentence, and would leave the model no room for the question."""

MOST = 100_000
"""Candidates that training names, the most frequent ones: more are more than one waits for."""

COLUMNS = (
    "occupation",
    "position_title",
    "title",
    "preferredlabel",
    "alternate title",
    "job_title",
    "name",
)
"""Headers under which titles are found, ours, O*NET's and ESCO's; compared without case."""

_SLIP = 0.9
"""Ratcliff and Obershelp's likeness from which on a name is a slip."""

_LIKE = 0.25
"""Cosine from which on a name is mentioned as near."""

_APART = 2
"""Letters that but one of two words has, at most, where one is a slip of the other."""

_LONG = 5
"""Letters of a word in which a slip shows: a shorter one may be another word."""


def items_in(record: Fields, field: str) -> tuple[str, ...]:
    """The items of a list, or a text as the only one; none where the record lacks the field."""
    value = record.get(field, ())
    return (value,) if isinstance(value, str) else value


@dataclass(frozen=True)
class Candidates:
    """Names that may be recommended, compared as `title_key` says: in any spelling.

    Of `Candidates(("Nurse", "C++"), (9, 5))`, "NURSE." has the place 0 and "C" none.

    Args:
        names: Each as most records spell it.
        counts: Training records that have it, in the same order; 0 where they were not counted.
    """

    names: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.names):
            raise InputError(f"{len(self.names)} candidates have {len(self.counts)} counts")
        # Folders of before may have Sr. and Senior as two: the first of them is found.
        if len(set(map(plain_key, self.names))) != len(self.names):
            raise InputError("two candidates differ by case or punctuation only: keep one of them")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Key -> place, from 0."""
        places: dict[str, int] = {}
        for place, name in enumerate(self.names):
            places.setdefault(title_key(name), place)
        return places

    @cached_property
    def _by_length(self) -> Mapping[int, list[str]]:
        found: dict[int, list[str]] = defaultdict(list)
        for key in self.places:
            found[len(key)].append(key)
        return found

    def as_long_as(self, key: str, apart: int) -> list[str]:
        """The keys that are so many characters longer or shorter, at most."""
        lengths = range(len(key) - apart, len(key) + apart + 1)
        return [one for length in lengths for one in self._by_length.get(length, ())]

    def place(self, name: str) -> int | None:
        """The place of the candidate that the name is compared as equal to; None: no candidate."""
        return self.places.get(title_key(name))

    def places_of(self, names: Iterable[str]) -> list[int]:
        """The places of those names that are candidates."""
        return [place for name in names if (place := self.place(name)) is not None]

    @cached_property
    def words(self) -> frozenset[str]:
        """The words of all names."""
        return frozenset(word for name in self.names for word in key_words(name))

    def in_words(self, name: str) -> bool:
        """Whether the name is made of words of candidates: it says something, though it is none."""
        return bool(words := key_words(name)) and self.words.issuperset(words)

    def at(self, places: Iterable[int]) -> Candidates:
        """Those of these places, in this order."""
        places = list(places)
        names = tuple(self.names[place] for place in places)
        return Candidates(names, tuple(self.counts[place] for place in places))

    @classmethod
    def of(cls, records: Iterable[tuple[str, ...] | list[str]], min_count: int) -> Candidates:
        """What `min_count` records or more name, the most frequent first.

        A record counts once, however often it names it: one person's odd title, held five times,
        does not become a candidate.

        Args:
            records: The names of each training record: its titles, its skills, or its one title.
            min_count: From how many records on.
        """
        known = {
            key: some
            for key, some in spellings(records).items()
            if 0 < len(key) <= LONGEST and some.total() >= min_count
        }
        # Of two as frequent, the same one is first whatever the records' order.
        keys = sorted(known, key=lambda key: (-known[key].total(), key))[:MOST]
        names = (max(known[key], key=lambda name: (known[key][name], name)) for key in keys)
        return cls(tuple(names), tuple(known[key].total() for key in keys))

    @classmethod
    def from_lines(cls, lines: Iterable[str]) -> Candidates:
        """A user's own list, one a line; of names compared as equal, the first stands for all.

        Raises:
            InputError: No line holds a name.
        """
        names: dict[str, str] = {}
        for line in lines:
            names.setdefault(title_key(line), line.strip())
        names.pop("", None)
        if not names:
            raise InputError("the list of candidates holds no name: write one a line")
        return cls(tuple(names.values()), (0,) * len(names))

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Candidates:
        """What `asdict` gave, from a model folder."""
        names, counts = tuple(content["names"]), tuple(content["counts"])
        if len(names) > MOST:
            raise InputError(f"{len(names):,} candidates: at most {MOST:,} can be ranked")
        for name in names:
            if name != printable(name) or not 0 < len(title_key(name)) <= LONGEST:
                raise InputError(f"no candidate is {name[:LONGEST]!r}")
        if not all(isinstance(count, int) and 0 <= count < 2**53 for count in counts):
            raise InputError("counts of candidates must be whole numbers")
        return cls(names, counts)


def read_candidates(given: str | Sequence[str]) -> Candidates:
    """The titles of a list, or of the file of this name: one a line, or a table's column of titles.

    O*NET's tables are text files with tabs.

    Raises:
        InputError: The file is missing, has no such column, or nothing holds a name.
    """
    if not isinstance(given, str):
        return Candidates.from_lines(map(clean_title, given))
    path = given
    try:
        if is_table(path):
            return Candidates.from_lines(map(clean_title, _column(open_tables(path)[0])))
        return Candidates.from_lines(clean_title(line) for _, line in read_lines(path))
    except InputError as error:
        where = "" if path in str(error) else f"--candidates {path}: "
        raise InputError(f"{where}{error}") from None


def _column(table: Table) -> Iterator[str]:
    """The cells of the table's column of titles."""
    by_name = {name.casefold(): name for name in reversed(table.columns)}
    column = next((by_name[name] for name in COLUMNS if name in by_name), None)
    if column is None and len(table.columns) == 1:
        column = table.columns[0]
    if column is None:
        raise InputError(
            f"{table.name} has no column of titles (it has: {', '.join(table.columns[:8])}); "
            "name one of them position_title"
        )
    for row in table.rows():
        cell = row.cells.get(column)
        if isinstance(cell, str) and cell.strip():
            yield cell


def spelled(name: str, candidates: Candidates) -> tuple[str, float]:
    """The candidate that the name is or, by a slip in long words, was to be, and their likeness.

    The name itself and 0 where it is none.
    """
    place, key = candidates.place(name), title_key(name)
    if place is not None:
        return candidates.names[place], 1.0
    words = key.split()
    near = candidates.as_long_as(key, _APART * len(words))  # Most are told apart by it alone.
    for other in get_close_matches(key, near, n=1, cutoff=_SLIP) if near else ():
        if _is_slip(words, other.split()):
            like = SequenceMatcher(None, other, key).ratio()
            return candidates.names[candidates.places[other]], like
    return name, 0.0


def nearest(name: str, candidates: Candidates) -> list[str]:
    """The candidates whose letters are most like the name's, three at most; empty: none is like it.

    By the cosine of TF-IDF over runs of two to four letters within words.
    """
    found = near_names(candidates.names).by_letters(name)[:3]
    return [candidates.names[place] for place, like in found if like >= _LIKE]


def _is_slip(words: list[str], others: list[str]) -> bool:
    """Whether they differ by a letter, or two that changed places, in each of some long words.

    Level II is not level III, nor C the same as C#, nor medication a slip of education.
    """
    return len(words) == len(others) and all(
        word == other
        or (
            min(len(word), len(other)) >= _LONG
            and (word + other).isalpha()
            and _letters_apart(word, other) <= _APART
        )
        for word, other in zip(words, others, strict=True)
    )


def _letters_apart(word: str, other: str) -> int:
    """Letters that but one of them has: 1 if a letter is left out, 2 if one is changed or moved."""
    blocks = SequenceMatcher(None, word, other).get_matching_blocks()
    return len(word) + len(other) - 2 * sum(block.size for block in blocks)
