"""How well a ranking does over many queries, and how far its probabilities can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from careergpt.modeling.loss import perplexity
from careergpt.recommend.ranks import RankedCase

BINS = 15
"""Of equal width, over the confidence in the first candidate (Guo et al., 2017)."""


class RankingMetrics(NamedTuple):
    """Means over the queries that have a target among the candidates; NaN where none has.

    Attributes:
        n: Queries scored. Those without a target among the candidates are left out, not failed:
            no ranking could find it. With them as failures, a mean is its n / (n + left_out) part.
        left_out: Queries left out.
        outside: Targets that are no candidates, of all queries.
        mrr: Mean reciprocal rank of the first target, in (0, 1]; higher is better.
        recall_at_1: Share of a query's targets that come first, in [0, 1].
        recall_at_5: The same among the first five.
        recall_at_10: The same among the first ten.
        mean_average_precision: In (0, 1] (Manning et al., 2008, section 8.4).
        nats: Mean -log P(target | query); lower is better.
        perplexity: exp(nats), as CAREER reports it for moves (Vafa et al., 2022).
        calibration_error: Expected gap between confidence and accuracy, in [0, 1].
    """

    n: int
    left_out: int
    outside: int
    mrr: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    mean_average_precision: float
    nats: float
    perplexity: float
    calibration_error: float


def measure(cases: Iterable[RankedCase]) -> RankingMetrics:
    """What the cases come to."""
    every = list(cases)
    scored = [case for case in every if case.inside]
    recalls = zip(*(case.recall for case in scored), strict=True) if scored else [(), (), ()]
    at_1, at_5, at_10 = map(_mean, recalls)
    nats = _mean([case.nats for case in scored])
    return RankingMetrics(
        n=len(scored),
        left_out=len(every) - len(scored),
        outside=sum(case.outside for case in every),
        mrr=_mean([1 / case.rank for case in scored]),
        recall_at_1=at_1,
        recall_at_5=at_5,
        recall_at_10=at_10,
        mean_average_precision=_mean([case.average_precision for case in scored]),
        nats=nats,
        perplexity=perplexity(nats),
        calibration_error=calibration_error(
            [case.confidence for case in scored], [case.correct for case in scored]
        ),
    )


def calibration_error(confidence: Sequence[float], correct: Sequence[float]) -> float:
    """Mean over queries of |accuracy - confidence| of their bin, in [0, 1].

    Args:
        confidence: Probability of each query's first candidate.
        correct: Whether it was right, in [0, 1].
    """
    # A bin holds its upper edge: 1 belongs to the last.
    bins = np.clip(np.ceil(np.asarray(confidence) * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=np.asarray(correct) - np.asarray(confidence))
    return float(np.abs(gaps).sum() / len(confidence)) if len(gaps) else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
