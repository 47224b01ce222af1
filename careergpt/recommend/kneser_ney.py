"""Probabilities of pairs from their counts, smoothed for pairs that were never seen."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64
from scipy import sparse

FALLBACK_DISCOUNT = 0.5
"""For samples in which no pair, or every pair, is seen once: too small to estimate from."""


@dataclass(frozen=True, eq=False)
class KneserNey:
    """Interpolated Kneser-Ney bigrams (Kneser & Ney, 1995): P(column | row).

    One discount, n1 / (n1 + 2 n2) of the pairs seen once and twice (Ney, Essen & Kneser, 1994),
    is taken from each count and handed to the order below, in which a column counts the distinct
    rows that it was seen with, and one more.

    Args:
        counts: (R, C) how often each pair was seen.
    """

    counts: sparse.csr_array

    def log_probabilities(self, row: int) -> Float64[np.ndarray, " C"]:
        """Log-probability of each column after the row; of a row never seen, the order below."""
        some = slice(*self.counts.indptr[row : row + 2])
        after, seen = self.counts.indices[some], self.counts.data[some]
        if not len(seen):
            return np.asarray(np.log(self._lower), dtype=np.float64)
        probabilities = self._discount * len(seen) * self._lower
        probabilities[after] += seen - self._discount
        return np.asarray(np.log(probabilities / seen.sum()), dtype=np.float64)

    @cached_property
    def _discount(self) -> float:
        once, twice = (int((self.counts.data == n).sum()) for n in (1, 2))
        return once / (once + 2 * twice) if once and twice else FALLBACK_DISCOUNT

    @cached_property
    def _lower(self) -> Float64[np.ndarray, " C"]:
        """Probability of each column where nothing is known of the row."""
        seen_with = np.bincount(self.counts.indices, minlength=self.counts.shape[1]) + 1.0
        return np.asarray(seen_with / seen_with.sum(), dtype=np.float64)
