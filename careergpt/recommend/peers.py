"""Strong peers: what sentence embeddings and logistic regression reach, as rows of a test.

They are made of the count models' tables: of theirs nothing lies in a model folder.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax

from careergpt.recommend.count_models import KneserNey
from careergpt.recommend.count_tables import CountModel, Logs
from careergpt.recommend.embeddings import bundled_encoder, bundled_model, cosines
from careergpt.recommend.position_models import Neighbours

WIDTH = 0.1
"""Of the kernel over cosines, and of their softmax; of 0.05 to 0.15 validation chose it."""

PRIOR_MOVES = 3.0
"""Moves shared out by popularity."""

MOST_LOGITS = 20_000_000
"""Lists times titles that a regression is fitted on, at most: a minute and 0.5 GB."""


@lru_cache(maxsize=4)
def _vectors(names: tuple[str, ...]) -> Any:
    return bundled_encoder()(names)


@lru_cache(maxsize=4096)
def likeness(title: str, names: tuple[str, ...]) -> Float64[np.ndarray, " C"]:
    """The cosine of the title with each name, by all-MiniLM-L6-v2."""
    return np.asarray(cosines(bundled_encoder()([title]), _vectors(names))[0])


class EmbeddingCosine(KneserNey):
    """Titles by their likeness to the latest one, whatever was counted."""

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """Softmax of the cosines over their width."""
        like = likeness(given[-1], self.candidates["titles"].names)
        return np.asarray(log_softmax(like / WIDTH), dtype=np.float64)


class SmoothedMarkov(KneserNey):
    """A Markov chain over titles in which moves from like titles count too."""

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """Moves from all titles, weighed by exp((cosine - 1) / width), over popularity."""
        weights = np.exp((likeness(given[-1], self.candidates["titles"].names) - 1) / WIDTH)
        moves = self.tables[""][: len(weights)].T @ weights
        prior = PRIOR_MOVES * self.backoff
        return np.asarray(np.log((moves + prior) / (moves + prior).sum()))


class LogisticNeighbours(Neighbours):
    """Half multinomial logistic regression on the words' TF-IDF, half the neighbours' votes."""

    @cached_property
    def _regression(self) -> Any:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        lists, titles = self._vectors[1].tocsr(), self.tables["_positions"].indices
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # Its ranks change no more.
            return LogisticRegression(C=20.0, max_iter=60).fit(lists, titles)

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """The mean of both."""
        shares = np.exp(super().distribution(given)) / 2
        shares[self._regression.classes_] += (
            self._regression.predict_proba(self.query_vector(given))[0] / 2
        )
        return np.asarray(np.log(shares))


def strong_peers(count_models: Mapping[str, CountModel]) -> dict[str, CountModel]:
    """The peers that these count models' tables give, by name; none without the extra."""
    found: dict[str, CountModel] = {}
    if bundled_model() is None:
        return found
    for model in count_models.values():
        parts = model.task, model.candidates, model.tables
        if model.task == "path" and isinstance(model, KneserNey):
            found |= {"smoothed": SmoothedMarkov(*parts), "cosine": EmbeddingCosine(*parts)}
        if isinstance(model, Neighbours):
            lists, titles = model.tables["_positions"].shape
            # Of one title there is nothing to regress.
            if lists * titles <= MOST_LOGITS and len({*model.tables["_positions"].indices}) > 1:
                found["logistic"] = LogisticNeighbours(*parts)
    return found
