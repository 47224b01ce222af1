"""A Markov chain over titles: what a career's next title is, by its last one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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

MARKOV = "markov.npz"


@dataclass(frozen=True, eq=False)
class MarkovChain:
    """Interpolated Kneser-Ney over candidate titles.

    The title before is the latest that is a candidate: others stand in no table; careers without
    one share a row of their own. On real careers the last two titles foretold no more than the last
    alone, and plain popularity below foretold less.

    Args:
        candidates: The titles.
        moves: (candidates + 1, candidates) moves from one to another; the last row is from none.
    """

    candidates: Candidates
    moves: sparse.csr_array

    @classmethod
    def fit(cls, careers: Iterable[Sequence[str]], candidates: Candidates) -> MarkovChain:
        """Counts the moves of careers, each a list of titles, oldest first.

        Memory: 16 bytes a move, and the distinct moves.
        """
        pairs = np.fromiter(_moves(careers, candidates), np.dtype((np.int64, 2)))
        return cls(candidates, count_table(pairs, (len(candidates) + 1, len(candidates))))

    def log_probabilities(self, history: Sequence[str]) -> Float64[np.ndarray, " C"]:
        """Log-probability of each candidate to be the next title.

        Args:
            history: The career so far, oldest first.
        """
        places = (self.candidates.place(title) for title in reversed(history))
        before = next((place for place in places if place is not None), len(self.candidates))
        return self._pairs.log_probabilities(before)

    @cached_property
    def _pairs(self) -> KneserNey:
        return KneserNey(self.moves)

    def save(self, folder: Path) -> None:
        """Writes the counts into the folder."""
        write_table(folder / MARKOV, self.moves)

    @classmethod
    def load(cls, folder: Path, candidates: Candidates) -> MarkovChain:
        """What `save` wrote, for the same candidates."""
        moves = read_table(folder / MARKOV, len(candidates))
        if moves.shape[0] != len(candidates) + 1:
            raise InputError(f"{folder / MARKOV} is no table of moves: take it from one model")
        return cls(candidates, moves)


def _moves(careers: Iterable[Sequence[str]], candidates: Candidates) -> Iterator[tuple[int, int]]:
    """(place of the latest candidate before, or their number; place of the candidate after)."""
    for career in careers:
        before = len(candidates)
        for number, title in enumerate(career):
            place = candidates.place(title)
            if place is not None:
                if number:
                    yield before, place
                before = place
