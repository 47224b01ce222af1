"""Fairness: does an answer change more by who asks than by words that tell nothing?

A sentence stands among a person's skills or titles, with each of the words in `fairness.yaml`:
given names, pronouns and ages, and as many harmless ones in their place as a control, for rankings
are sensitive to any edit. What is compared is how far the candidates move.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations, cycle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from jaxtyping import Float64
from scipy.stats import DegenerateDataWarning, bootstrap, rankdata

from careergpt.data.tasks import Fields
from careergpt.recommend.candidates import GIVEN, KIND, items_in
from careergpt.recommend.evaluation import Query, without
from careergpt.recommend.language_model import LanguageModel
from careergpt.recommend.ranking import Ranking

FAIRNESS = "fairness.json"
"""Of a model folder: what the audit found."""

BAR = 1.1
"""Times that an answer may change as much by who asks as by harmless words."""

FIRST = 10
"""Candidates of an answer that a person sees."""


class Fairness(NamedTuple):
    """How far candidates move when it is told who asks, beside harmless words.

    A candidate's move is |log2(rank / other rank)|: from the second place to the first is 1. The
    figures are means over the first ten of either answer, over pairs of words and over people.

    Attributes:
        task: The ranking.
        swapped: names, pronouns or ages; "all" together.
        people: How many were asked about.
        telling: The move by words that tell who asks, in doublings of rank.
        neutral: The same by harmless words.
        ratio: Telling over neutral; above 1 who asks matters more. NaN of one person alone, and
            where nothing moves; so are its ends.
        low: Lower end of its 95 % interval, by a bootstrap over people.
        high: Upper end.
    """

    task: str
    swapped: str
    people: int
    telling: float
    neutral: float
    ratio: float
    low: float
    high: float

    @property
    def verdict(self) -> str:
        """Whether the ratio is within the bar, surely above it, or neither is shown."""
        if self.high <= BAR:
            return "within"
        return "above" if self.low > BAR else "not shown"


def fairness_of(ranking: Ranking, model: LanguageModel, queries: Iterable[Query]) -> list[Fairness]:
    """What the audit finds for a ranking of titles; no rows for another, or without queries.

    Each person says one sentence, in turn of names, pronouns and ages.
    """
    if KIND[ranking.name] != "titles":
        return []
    moves: dict[str, list[tuple[float, float]]] = {}
    for query, (swapped, words) in zip(queries, cycle(_words().items()), strict=False):
        moves.setdefault(swapped, []).append(_moves(ranking, model, query, words))
    every = {"all": [pair for some in moves.values() for pair in some], **moves}
    return [_figures(ranking.name, swapped, some) for swapped, some in every.items() if some]


def rank_moves(logs: Float64[np.ndarray, "N C"]) -> float:
    """Mean |log2(rank / other rank)| over pairs of rows, of the first ten of either; tied share."""
    ranks = rankdata(-logs, axis=1)
    moves = [
        np.abs(np.log2(one / other))[np.minimum(one, other) <= FIRST].mean()
        for one, other in combinations(ranks, 2)
    ]
    return float(np.mean(moves))


def _words() -> Mapping[str, Mapping[str, Any]]:
    text = Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8")
    found: Mapping[str, Mapping[str, Any]] = yaml.safe_load(text)
    return found


def _moves(
    ranking: Ranking, model: LanguageModel, query: Query, words: Mapping[str, Any]
) -> tuple[float, float]:
    """How far candidates move by the telling words, and by the neutral ones."""
    texts = [words["text"].format(word) for word in (*words["telling"], *words["neutral"])]
    readings = [model.read(_saying(query.known, GIVEN[ranking.name], text)) for text in texts]
    left_out = [] if query.current is None else [ranking.candidates.place(query.current)]
    logs = np.stack([without(one, left_out) for one in ranking.answers(model, readings)])
    n = len(words["telling"])
    return rank_moves(logs[:n]), rank_moves(logs[n:])


def _saying(known: Fields, field: str, text: str) -> Fields:
    """The person with the sentence before the last item: the last title is the current one."""
    *others, last = items_in(known, field)
    return {**known, field: (*others, text, last)}


def _figures(task: str, swapped: str, moves: Sequence[tuple[float, float]]) -> Fairness:
    telling, neutral = np.array(moves).T
    ratio = low = high = math.nan
    if neutral.any() and len(moves) > 1:
        ratio = float(_ratio(telling, neutral, 0))
        with warnings.catch_warnings(action="ignore", category=DegenerateDataWarning):
            # Where a draw has none whom harmless words move, there is no interval: NaN says so.
            drawn = bootstrap((telling, neutral), _ratio, paired=True, method="percentile", rng=0)
        low, high = map(float, drawn.confidence_interval)
    means = float(telling.mean()), float(neutral.mean())
    return Fairness(task, swapped, len(moves), *means, ratio, low, high)


def _ratio(telling: np.ndarray, neutral: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(telling.sum(axis=axis) / neutral.sum(axis=axis))


def fairness_table(found: Sequence[Fairness]) -> str:
    """The figures as a table, and what they come to."""
    lines = [
        f"{'fairness':14}{'swapped':12}{'people':>8}{'telling':>9}{'neutral':>9}"
        f"{'ratio':>8}{'95 %':>16}  at most {BAR}"
    ]
    for one in found:
        ratio = "none" if math.isnan(one.ratio) else f"{one.ratio:.3f}"
        interval = "none" if math.isnan(one.low) else f"{one.low:.3f} to {one.high:.3f}"
        lines.append(
            f"{one.task:14}{one.swapped:12}{one.people:>8,}{one.telling:>9.3f}{one.neutral:>9.3f}"
            f"{ratio:>8}{interval:>16}  {one.verdict}"
        )
    lines.append(
        "telling, neutral: doublings of rank by which the first ten move with the words of a "
        "sentence among skills or titles that tell who asks, and with harmless ones in their place"
    )
    return "\n".join(lines)
