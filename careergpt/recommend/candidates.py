"""Candidates: the titles or skills that may be recommended, each by its place."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from careergpt.data.names import title_key
from careergpt.errors import InputError, printable

LONGEST = 100
"""Characters; what is longer is a sentence, and would leave the model no room for the question."""

MOST = 100_000
"""Candidates that training names, the most frequent ones: more are more than one waits for."""


@dataclass(frozen=True)
class Candidates:
    """Names that may be recommended, compared by case, white space and punctuation only.

    Args:
        names: Each as most records spell it.
        counts: Training records that have it, in the same order; 0 where nobody counted.
    """

    names: tuple[str, ...]
    counts: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.counts) != len(self.names):
            raise InputError(f"{len(self.names)} candidates have {len(self.counts)} counts")
        if len(self.places) != len(self.names):
            raise InputError("two candidates differ by case or punctuation only: keep one of them")

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Key -> place, from 0."""
        return {title_key(name): place for place, name in enumerate(self.names)}

    def place(self, name: str) -> int | None:
        """The place of the candidate that the name is compared as equal to; None: no candidate."""
        return self.places.get(title_key(name))

    def places_of(self, names: Iterable[str]) -> list[int]:
        """The places of those names that are candidates."""
        return [place for name in names if (place := self.place(name)) is not None]

    @classmethod
    def of(cls, records: Iterable[tuple[str, ...] | list[str]], min_count: int) -> Candidates:
        """What `min_count` records or more name, the most frequent first.

        A record counts once, however often it names it: nobody's odd title, held five times,
        becomes a candidate.

        Args:
            records: The names of each training record: its titles, its skills, or its one title.
            min_count: From how many records on.
        """
        spellings: dict[str, Counter[str]] = defaultdict(Counter)
        for record in records:
            for key, name in {title_key(name): name for name in record}.items():
                spellings[key][name] += 1
        known = {
            key: some
            for key, some in spellings.items()
            if 0 < len(key) <= LONGEST and some.total() >= min_count
        }
        # Of two as frequent, the same one is first whatever the records' order.
        keys = sorted(known, key=lambda key: (-known[key].total(), key))[:MOST]
        names = (max(known[key], key=lambda name: (known[key][name], name)) for key in keys)
        return cls(tuple(names), tuple(known[key].total() for key in keys))

    @classmethod
    def listed(cls, lines: Iterable[str]) -> Candidates:
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

    def to_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {"names": list(self.names), "counts": list(self.counts)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Candidates:
        """What `to_json` gave, from a model folder."""
        names, counts = tuple(content["names"]), tuple(content["counts"])
        if len(names) > MOST:
            raise InputError(f"{len(names):,} candidates: at most {MOST:,} can be ranked")
        for name in names:
            if name != printable(name) or not 0 < len(title_key(name)) <= LONGEST:
                raise InputError(f"no candidate is {name[:LONGEST]!r}")
        if not all(isinstance(count, int) and 0 <= count < 2**53 for count in counts):
            raise InputError("counts of candidates must be whole numbers")
        return cls(names, counts)
