"""Evidence for titles that training never saw, lent by the nearest titles that it counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.recommend.candidates import Candidates
from careergpt.recommend.embeddings import bundled_encoder, bundled_model, cosines, letters_of

NEAREST = 5
"""Titles of training that lend to another."""

WIDTH = 0.06
"""Of the kernel over cosines, exp((cosine - 1) / width): what is unlike lends next to nothing. Of
0.06 and 0.1, whole or in part, it cost the fewest nats of moves, a fifth of the titles unseen."""

MOST = 5_000
"""Titles that are embedded, a minute's; of more, letters say which are near."""


class Lent(NamedTuple):
    """What each of some titles is lent by those of training: itself, if it is one of them.

    Attributes:
        titles: That are ranked.
        trained: That lend.
        shares: Of the evidence of each title of training, at most 1 together.
        lenders: The places of those of training that the shares are of, in their order; None: all.
    """

    titles: Candidates
    trained: Candidates
    shares: sparse.csr_array
    lenders: list[int] | None = None

    @classmethod
    def between(cls, titles: Candidates, trained: Candidates) -> Lent:
        """By the meaning of titles or, without the extra `embeddings`, by their letters."""
        own = [trained.place(name) for name in titles.names]
        shares = sparse.lil_array((len(titles), len(trained)))
        for row, place in enumerate(own):
            if place is not None:
                shares[row, place] = 1.0
        new = [row for row, place in enumerate(own) if place is None]
        names = [titles.names[row] for row in new]
        like = _likeness(names, trained.names) if names else np.empty((0, 0))
        for row, cosine in zip(new, like, strict=True):
            nearest = (-cosine).argsort(kind="stable")[:NEAREST]
            weights = np.exp((cosine[nearest] - 1) / WIDTH)
            shares[row, nearest] = weights / max(1.0, weights.sum())
        return cls(titles, trained, shares.tocsr())

    def at(self, places: Sequence[int]) -> Lent:
        """To these titles alone, by those that lend to them."""
        rows = self.shares[list(places)]
        lenders = np.unique(rows.indices).tolist()
        return Lent(self.titles.at(places), self.trained, rows[:, lenders], lenders)

    def near(self, title: str) -> list[tuple[str, float]]:
        """The titles of training that a title stands for, and its shares of them, 1 together."""
        place = self.titles.place(title)
        if place is None:
            return [(title, 1.0)]
        row = self.shares[[place]]
        names = (self.trained.names[column] for column in row.indices.tolist())
        return list(zip(names, (row.data / row.data.sum()).tolist(), strict=True))

    def evidence(self, logs: Float64[np.ndarray, "N T"]) -> Float64[np.ndarray, "N C"]:
        """Log-probabilities of the titles, by those of the ones that lend."""
        found = (self.shares @ np.exp(logs).T).T
        with np.errstate(divide="ignore"):  # What is left out lends nothing.
            logs = np.log(found / found.sum(axis=1, keepdims=True))
        return np.asarray(logs, dtype=np.float64)


def _likeness(names: Sequence[str], trained: Sequence[str]) -> np.ndarray:
    if bundled_model() is not None and len(names) <= MOST:
        encode = bundled_encoder()
        return cosines(encode(names), encode(trained))
    encode, vectors = letters_of(trained)
    return cosines(encode(names), vectors)
