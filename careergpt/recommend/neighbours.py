"""Nearest neighbours: which position suits these skills, by the postings whose skills are alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.data.names import key_words
from careergpt.errors import InputError
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.tables import count_table, read_table, write_table

WORDS, POSITIONS = "neighbours_words.npz", "neighbours_positions.npz"

NEIGHBOURS = 50

PRIOR_VOTES = 3.0
"""Votes shared out by popularity; of 0.3, 1, 3 and 10 it cost the fewest validation nats."""


@dataclass(frozen=True, eq=False)
class SkillNeighbours:
    """The 50 training lists of skills most like the query vote, each with its cosine.

    Lists are vectors of words by TF-IDF with ln((1 + n) / (1 + df)) + 1 (Manning et al., 2008,
    chapter 6): by whole skills, lists that say one thing in other words would never meet. Only
    words of candidate skills count: rarer ones stand in no table.

    Args:
        skills: The candidate skills, whose words count.
        words: (lists, words) 1 where the list has the word.
        positions: (lists, candidates) 1 at the list's position.
    """

    skills: Candidates
    words: sparse.csr_array
    positions: sparse.csr_array

    @classmethod
    def fit(
        cls,
        postings: Iterable[tuple[Sequence[str], str]],
        skills: Candidates,
        positions: Candidates,
    ) -> SkillNeighbours:
        """Remembers the postings' (skills, position) whose position is a candidate.

        Memory: about 90 bytes a word of a list at the peak, 24 of which stay.
        """
        columns = word_columns(skills)
        listed, titled = [], []
        for names, position in postings:
            place = positions.place(position)
            if place is not None:
                listed.append(np.array(_words_in(names, columns), dtype=np.int32))
                titled.append(place)
        rows = np.repeat(np.arange(len(listed)), [len(row) for row in listed])
        words = np.stack([rows, np.concatenate([*listed, np.empty(0, np.int32)])], axis=1)
        titles = np.stack([np.arange(len(titled)), np.array(titled, dtype=np.int64)], axis=1)
        return cls(
            skills,
            count_table(words, (len(listed), len(columns))),
            count_table(titles, (len(listed), len(positions))),
        )

    def log_probabilities(self, skills: Sequence[str]) -> Float64[np.ndarray, " C"]:
        """Log-probability of each candidate position, given the skills.

        Where several lists are as near as the fiftieth, all of them vote: their order is no reason.
        """
        cosines = self._cosines(skills)
        near = np.flatnonzero(cosines > 0)
        if len(near) > NEIGHBOURS:
            farthest = np.partition(cosines, -NEIGHBOURS)[-NEIGHBOURS]
            near = np.flatnonzero(cosines >= farthest)
        votes = self.positions[near].T @ cosines[near] + PRIOR_VOTES * self._prior
        return np.asarray(np.log(votes / votes.sum()), dtype=np.float64)

    def _cosines(self, skills: Sequence[str]) -> Float64[np.ndarray, " N"]:
        """Cosine of each remembered list with the query; 0 where it shares no word."""
        columns = _words_in(skills, self._columns)
        weights = self._rarity[columns]
        # Column by column: only lists that share a word are read.
        products = self._vectors[:, columns] @ weights
        return np.asarray(products / (np.linalg.norm(weights) or 1), dtype=np.float64)

    @cached_property
    def _columns(self) -> dict[str, int]:
        return word_columns(self.skills)

    @cached_property
    def _rarity(self) -> Float64[np.ndarray, " W"]:
        """Inverse document frequency of each word among the remembered lists."""
        lists, words = self.words.shape
        lists_with = np.bincount(self.words.indices, minlength=words)
        return np.asarray(np.log((1 + lists) / (1 + lists_with)) + 1, dtype=np.float64)

    @cached_property
    def _vectors(self) -> sparse.csc_array:
        """(lists, words) of length 1; 0 for a list without known words."""
        weights = self._rarity[self.words.indices]
        row = np.repeat(np.arange(self.words.shape[0]), np.diff(self.words.indptr))
        lengths = np.sqrt(np.bincount(row, weights=weights**2, minlength=self.words.shape[0]))
        parts = (weights / lengths[row], self.words.indices, self.words.indptr)
        return sparse.csr_array(parts, shape=self.words.shape).tocsc()

    @cached_property
    def _prior(self) -> Float64[np.ndarray, " C"]:
        """Share of each position among the remembered lists, one added to each count."""
        counts = np.bincount(self.positions.indices, minlength=self.positions.shape[1]) + 1.0
        return np.asarray(counts / counts.sum(), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Writes the tables into the folder."""
        write_table(folder / WORDS, self.words)
        write_table(folder / POSITIONS, self.positions)

    @classmethod
    def load(cls, folder: Path, skills: Candidates, positions: Candidates) -> SkillNeighbours:
        """What `save` wrote, for the same candidates."""
        words = read_table(folder / WORDS, len(word_columns(skills)))
        titles = read_table(folder / POSITIONS, len(positions))
        if words.shape[0] != titles.shape[0]:
            raise InputError(f"{folder}: {WORDS} and {POSITIONS} are not of one model")
        return cls(skills, words, titles)


def word_columns(skills: Candidates) -> dict[str, int]:
    """The words of the candidate skills, each with its column."""
    words = {word for name in skills.names for word in key_words(name)}
    return {word: column for column, word in enumerate(sorted(words))}


def _words_in(skills: Iterable[str], columns: Mapping[str, int]) -> list[int]:
    """The columns of the skills' words, each once."""
    words = {word for skill in skills for word in key_words(skill)}
    return sorted(columns[word] for word in words if word in columns)
