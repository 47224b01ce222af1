"""The least that a ranking must beat: what is frequent, whoever asks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.recommend.candidates import Candidates
from careergpt.recommend.tables import count_table, read_table, write_table

POPULARITY = "popularity.npz"


@dataclass(frozen=True, eq=False)
class Popularity:
    """Candidates by how often they were the answer in training.

    Args:
        counts: (1, candidates).
    """

    counts: sparse.csr_array

    @classmethod
    def fit(cls, targets: Iterable[str], candidates: Candidates) -> Popularity:
        """Counts the answers: the titles that moves led to, postings' titles, or their skills."""
        places = (candidates.place(target) for target in targets)
        found = np.fromiter((place for place in places if place is not None), np.int64)
        pairs = np.stack([np.zeros_like(found), found], axis=1)
        return cls(count_table(pairs, (1, len(candidates))))

    def log_probabilities(self, _query: object = ()) -> Float64[np.ndarray, " C"]:
        """Log share of each candidate, one added to each count (Laplace's rule of succession)."""
        counts = self.counts.toarray()[0] + 1.0
        return np.asarray(np.log(counts / counts.sum()), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """Writes the counts into the folder."""
        write_table(folder / POPULARITY, self.counts)

    @classmethod
    def load(cls, folder: Path, candidates: Candidates) -> Popularity:
        """What `save` wrote, for the same candidates."""
        return cls(read_table(folder / POPULARITY, len(candidates)))
