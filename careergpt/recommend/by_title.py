"""Which skills a title needs, by the postings of that title."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.errors import InputError
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.kneser_ney import KneserNey
from careergpt.recommend.tables import count_table, read_table, write_table

BY_TITLE = "by_title.npz"


@dataclass(frozen=True, eq=False)
class SkillsByTitle:
    """Interpolated Kneser-Ney over (title, skill): titles that are no candidates share a row.

    Args:
        titles: The candidate titles.
        pairs: (titles + 1, skills) postings of the title that name the skill.
    """

    titles: Candidates
    pairs: sparse.csr_array

    @classmethod
    def fit(
        cls,
        postings: Iterable[tuple[Sequence[str], str]],
        titles: Candidates,
        skills: Candidates,
    ) -> SkillsByTitle:
        """Counts the postings' (skills, title)."""
        found = [
            (_row(title, titles), place)
            for names, title in postings
            for place in {skills.place(name) for name in names}
            if place is not None
        ]
        places = np.array(found, dtype=np.int64).reshape(-1, 2)
        return cls(titles, count_table(places, (len(titles) + 1, len(skills))))

    def log_probabilities(self, title: str) -> Float64[np.ndarray, " C"]:
        """Log-probability of each skill to be one that a posting of the title names."""
        return self._pairs.log_probabilities(_row(title, self.titles))

    @cached_property
    def _pairs(self) -> KneserNey:
        return KneserNey(self.pairs)

    def save(self, folder: Path) -> None:
        """Writes the counts into the folder."""
        write_table(folder / BY_TITLE, self.pairs)

    @classmethod
    def load(cls, folder: Path, titles: Candidates, skills: Candidates) -> SkillsByTitle:
        """What `save` wrote, for the same candidates."""
        pairs = read_table(folder / BY_TITLE, len(skills))
        if pairs.shape[0] != len(titles) + 1:
            raise InputError(f"{folder / BY_TITLE} is of other titles: take it from one model")
        return cls(titles, pairs)


def _row(title: str, titles: Candidates) -> int:
    place = titles.place(title)
    return len(titles) if place is None else place
