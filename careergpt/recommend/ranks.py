"""Where the targets of a query come among the ranked candidates."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax, logsumexp

LogProbabilities = Float64[np.ndarray, " C"]

CUTOFFS = (1, 5, 10)

Targets = Sequence[int | None]
"""Places of what was to be found; None for what is no candidate."""


class RankedCase(NamedTuple):
    """One query and where its targets came; several targets share the query equally.

    Attributes:
        inside: Targets among the candidates. Without any, the case counts as not found: its rank
            and nats are infinite, the rest is 0.
        outside: Targets that are no candidates.
        rank: From 1, of the target ranked first. Tied candidates have the mean of their ranks:
            what a draw among them expects.
        recall: Share of the targets inside that are among the first 1, 5 and 10.
        average_precision: Mean precision at the targets; tied candidates are taken together.
        nats: Mean -log P of the targets.
        confidence: P of the first candidate.
        correct: Chance that a drawn target is the first candidate, or one drawn of the tied first.
    """

    inside: int
    outside: int
    rank: float
    recall: tuple[float, ...]
    average_precision: float
    nats: float
    confidence: float
    correct: float


def without(
    log_probabilities: LogProbabilities, left_out: Iterable[int | None]
) -> LogProbabilities:
    """The distribution over the other candidates; what is left out has probability 0.

    Args:
        log_probabilities: Of the candidates.
        left_out: Places such as the current title's; None is no candidate, and leaves out nothing.
    """
    rest = log_probabilities.copy()
    rest[[place for place in left_out if place is not None]] = -np.inf
    if not np.isfinite(rest).any():  # There was but one candidate.
        return rest
    return np.asarray(log_softmax(rest), dtype=np.float64)


def places_inside(targets: Targets) -> list[int]:
    """The targets that are candidates, each once: a list of skills may spell one in two ways."""
    return sorted({place for place in targets if place is not None})


def not_found(targets: Targets) -> RankedCase:
    """A query of which no target is a candidate."""
    nothing = (0.0,) * len(CUTOFFS)
    return RankedCase(0, _outside(targets), math.inf, nothing, 0.0, math.inf, 0.0, 0.0)


def ranked_case(log_probabilities: LogProbabilities, targets: Targets) -> RankedCase:
    """Where a query's targets came; the candidates' probabilities must sum to 1."""
    inside = places_inside(targets)
    if not inside:
        return not_found(targets)
    # A NaN would rank first: it is neither above nor below.
    if not abs(logsumexp(log_probabilities)) < 1e-6:
        raise ValueError("the candidates' probabilities do not sum to 1: normalise them first")
    own = log_probabilities[inside]
    above = (log_probabilities > own[:, None]).sum(axis=1)
    tied = (log_probabilities == own[:, None]).sum(axis=1)
    ranks = above + (tied + 1) / 2
    top = log_probabilities.max()
    return RankedCase(
        inside=len(inside),
        outside=_outside(targets),
        rank=_first_rank(above, tied),
        recall=tuple(float((ranks <= cutoff).mean()) for cutoff in CUTOFFS),
        average_precision=float(np.mean((own >= own[:, None]).sum(axis=1) / (above + tied))),
        nats=float(-own.mean()),
        confidence=math.exp(top),
        correct=float((own == top).mean() / (log_probabilities == top).sum()),
    )


def _outside(targets: Targets) -> int:
    return sum(place is None for place in targets)


def _first_rank(above: np.ndarray, tied: np.ndarray) -> float:
    """Expected rank of the first target, when candidates that tie with it are put in any order."""
    best = above.argmin()
    targets_tied = int((above == above[best]).sum())
    return float(above[best] + (tied[best] + 1) / (targets_tied + 1))
