"""Evaluation of rankings: unseen records as queries, where their targets come, and the figures."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64
from scipy.special import log_softmax, logsumexp

from careergpt.data.names import title_key
from careergpt.data.tasks import Field, Fields, Task, fields_of, missing_from
from careergpt.modeling.loss import perplexity
from careergpt.recommend.candidates import TARGET, Candidates, items_in

LogProbabilities = Float64[np.ndarray, " C"]

CUTOFFS = (1, 5, 10)

BINS = 15
"""Of equal width, over the confidence in the first candidate (Guo et al., 2017)."""

# Queries that are ranked at once: their (queries, candidates) tables stay in memory.
_AT_ONCE = 256

# The ranker of queries that none is asked: no target is a candidate.
_NO_RANKER = ""

Targets = Sequence[int | None]
"""Places of what was to be found; None for what is no candidate."""


class Query(NamedTuple):
    """What is known of a record, and what is to be found.

    Attributes:
        known: Fields that the question shows; of a career all titles but the last.
        targets: The title, or the skills.
        current: The title held before the target; None where there is no career.
    """

    known: Fields
    targets: tuple[str, ...]
    current: str | None

    @property
    def sequence(self) -> tuple[str, ...]:
        """The career's titles in normalised form, the target last; empty where there is none."""
        career = () if self.current is None else (*items_in(self.known, "titles"), *self.targets)
        return tuple(map(title_key, career))

    @property
    def changes(self) -> bool:
        """Whether the career goes on under another title."""
        return self.current is not None and title_key(self.current) != title_key(self.targets[0])


def ranking_tasks(tasks: Mapping[str, Task]) -> dict[str, Task]:
    """The tasks that are answered by a ranking, of those that weigh something."""
    return {name: tasks[name] for name in TARGET if name in tasks and tasks[name].weight > 0}


def ranking_fields(tasks: Mapping[str, Task]) -> tuple[str, ...]:
    """The fields that rankings are made of: those of their tasks, descriptions not among them."""
    fields = (field for task in ranking_tasks(tasks).values() for field in fields_of(task))
    return tuple(dict.fromkeys((*TARGET.values(), *fields)))


def sequences_of(records: Iterable[Fields]) -> set[tuple[str, ...]]:
    """The careers of records, each as its titles in normalised form."""
    return {tuple(map(title_key, items_in(record, "titles"))) for record in records}


def queries_of(name: str, task: Task, records: Iterable[Fields]) -> Iterator[Query]:
    """The queries of records that have what the task asks and answers; of a career its last move.

    The career Clerk > Analyst > Manager asks what comes after Clerk > Analyst.
    """
    field = TARGET[name]
    for record in records:
        targets = items_in(record, field)
        # Of one title alone there is no move, though a template may ask for no more.
        if len(targets) < (2 if name == "path" else 1) or missing_from(task, record):
            continue
        others = (f for f in fields_of(task) if f != field and f in record)
        known: dict[str, Field] = {f: record[f] for f in others}
        if name == "path":
            known[field] = targets[:-1]
            yield Query(known, targets[-1:], targets[-2])
        else:
            yield Query(known, targets, None)


class Outcome(NamedTuple):
    """Where a query's targets came; several targets share the query equally.

    Attributes:
        inside: Targets among the candidates. Without any, the query counts as not answered: its
            rank and nats are infinite, the rest is 0.
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
    rank: float = math.inf
    recall: tuple[float, ...] = (0.0,) * len(CUTOFFS)
    average_precision: float = 0.0
    nats: float = math.inf
    confidence: float = 0.0
    correct: float = 0.0


def places_inside(targets: Targets) -> list[int]:
    """The targets that are candidates, each once: a list of skills may spell one in two ways."""
    return sorted({place for place in targets if place is not None})


def outcome_of(log_probabilities: LogProbabilities | None, targets: Targets) -> Outcome:
    """Where a query's targets came; the candidates' probabilities must sum to 1.

    They may be None where no target is a candidate.
    """
    inside, outside = places_inside(targets), sum(place is None for place in targets)
    if log_probabilities is None or not inside:
        return Outcome(0, outside)
    # A NaN would rank first: it is neither above nor below.
    if not abs(logsumexp(log_probabilities)) < 1e-6:
        raise ValueError("the candidates' probabilities do not sum to 1: normalise them first")
    own = log_probabilities[inside]
    above = (log_probabilities > own[:, None]).sum(axis=1)
    tied = (log_probabilities == own[:, None]).sum(axis=1)
    ranks = above + (tied + 1) / 2
    top = log_probabilities.max()
    # The expected rank of the first, when candidates that tie with it are put in any order.
    best = above.argmin()
    targets_tied = int((above == above[best]).sum())
    return Outcome(
        inside=len(inside),
        outside=outside,
        rank=float(above[best] + (tied[best] + 1) / (targets_tied + 1)),
        recall=tuple(float((ranks <= cutoff).mean()) for cutoff in CUTOFFS),
        average_precision=float(np.mean((own >= own[:, None]).sum(axis=1) / (above + tied))),
        nats=float(-own.mean()),
        confidence=math.exp(top),
        correct=float((own == top).mean() / (log_probabilities == top).sum()),
    )


def without(
    log_probabilities: LogProbabilities, left_out: Iterable[int | None]
) -> LogProbabilities:
    """The distribution over the other candidates; what is left out has probability 0.

    None in `left_out` is no candidate, and leaves out nothing.
    """
    rest = log_probabilities.copy()
    rest[[place for place in left_out if place is not None]] = -np.inf
    if not np.isfinite(rest).any():  # There was but one candidate.
        return rest
    return np.asarray(log_softmax(rest), dtype=np.float64)


Outcomes = dict[tuple[str, str], list[Outcome]]
"""By task and ranker.

The task is path, position or skills; or "path/changed": moves that change the title, the current
one being no candidate; or "path/seen" and "path/unseen": careers that training has, title by title,
and those that it has not. The ranker is model, blend, baseline, or a count model's name.
"""


def evaluate(
    name: str,
    candidates: Candidates,
    rank: Callable[[Sequence[Fields]], Mapping[str, Float64[np.ndarray, "N C"]]],
    queries: Iterable[Query],
    trained: Container[tuple[str, ...]] | None = None,
) -> Outcomes:
    """Where the targets come, by ranker, in all queries and in some of their kinds: see `Outcomes`.

    `trained` are the sequences of training's careers; None where nobody knows them. Queries whose
    targets are no candidates are in rows of their own, for `joined` to deal out.
    """
    found: Outcomes = defaultdict(list)

    def add(ranker: str, query: Query, targets: Targets, logs: LogProbabilities | None) -> None:
        current = candidates.place(str(query.current))
        for kind, outcome in _outcomes(query, targets, logs, current, trained):
            found[name + kind, ranker].append(outcome)

    rest = iter(queries)
    while batch := list(islice(rest, _AT_ONCE)):
        answerable = []
        for query in batch:
            targets = [candidates.place(target) for target in query.targets]
            if places_inside(targets):
                answerable.append((query, targets))
            else:  # No ranking can find what is no candidate: it is no question.
                add(_NO_RANKER, query, targets, None)
        ranked = rank([query.known for query, _ in answerable]) if answerable else {}
        for ranker, logs in ranked.items():
            for (query, targets), of_query in zip(answerable, logs, strict=True):
                add(ranker, query, targets, of_query)
    return dict(found)


def _outcomes(
    query: Query,
    targets: Targets,
    logs: LogProbabilities | None,
    current: int | None,
    trained: Container[tuple[str, ...]] | None,
) -> Iterator[tuple[str, Outcome]]:
    """Where the query's targets come, for each kind of queries that it is of; "" is all."""
    found = outcome_of(logs, targets)
    yield "", found
    if trained is not None and query.sequence:
        yield "/seen" if query.sequence in trained else "/unseen", found
    if query.changes:
        rest = None if logs is None else without(logs, [current])
        yield "/changed", outcome_of(rest, targets)


def joined(shares: Iterable[Outcomes]) -> Outcomes:
    """All outcomes, by task; those of queries that none was asked are in the rows of all rankers.

    Only all shares together tell who ranks: there may be one of which nothing was to be asked.
    """
    found: Outcomes = defaultdict(list)
    for share in shares:
        for row, outcomes in share.items():
            found[row].extend(outcomes)
    unanswerable = {row: found.pop(row) for row in list(found) if row[1] == _NO_RANKER}
    known = list(found)
    for (task, _), outcomes in unanswerable.items():
        name = task.partition("/")[0]
        rankers = dict.fromkeys(by for other, by in known if other.partition("/")[0] == name)
        for ranker in rankers or ["model"]:
            found[task, ranker].extend(outcomes)
    return {row: found[row] for row in sorted(found, key=lambda row: row[0])}


class RankingMetrics(NamedTuple):
    """Means over the queries that have a target among the candidates; NaN where none has.

    Attributes:
        n: Queries scored. Those without a target among the candidates are left out, not failed:
            no ranking could find it.
        mrr: Mean reciprocal rank of the first target, in (0, 1]; higher is better.
        recall_at_1: Share of a query's targets that come first, in [0, 1].
        recall_at_5: The same among the first five.
        recall_at_10: The same among the first ten.
        map: Mean average precision, in (0, 1] (Manning et al., 2008, section 8.4).
        loss: Mean -log P(target | query) in nats; lower is better.
        perplexity: exp(loss), as CAREER reports it for moves (Vafa et al., 2022).
        calibration_error: Expected gap between confidence and accuracy, in [0, 1].
        left_out: Queries left out.
        outside: Targets that are no candidates, of all queries.
        coverage: Share of queries that have a target among the candidates, in [0, 1].
        mrr_all: Mean reciprocal rank over all queries, those left out being misses, in [0, 1].
    """

    n: int
    mrr: float
    recall_at_1: float
    recall_at_5: float
    recall_at_10: float
    map: float
    loss: float
    perplexity: float
    calibration_error: float
    left_out: int
    outside: int
    coverage: float
    mrr_all: float

    def figures(self) -> dict[str, float]:
        """All but n, by the names that tables give them: "recall@5"."""
        return {name.replace("_at_", "@"): x for name, x in self._asdict().items() if name != "n"}


def metrics_of(outcomes: Iterable[Outcome]) -> RankingMetrics:
    """What the outcomes come to."""
    every = list(outcomes)
    scored = [one for one in every if one.inside]
    recalls = zip(*(one.recall for one in scored), strict=True) if scored else [(), (), ()]
    at_1, at_5, at_10 = map(_mean, recalls)
    nats = _mean([one.nats for one in scored])
    return RankingMetrics(
        n=len(scored),
        mrr=_mean([1 / one.rank for one in scored]),
        recall_at_1=at_1,
        recall_at_5=at_5,
        recall_at_10=at_10,
        map=_mean([one.average_precision for one in scored]),
        loss=nats,
        perplexity=perplexity(nats),
        calibration_error=calibration_error(
            [one.confidence for one in scored], [one.correct for one in scored]
        ),
        left_out=len(every) - len(scored),
        outside=sum(one.outside for one in every),
        coverage=_mean([float(one.inside > 0) for one in every]),
        mrr_all=_mean([1 / one.rank for one in every]),
    )


def calibration_error(confidence: Sequence[float], correct: Sequence[float]) -> float:
    """Mean over queries of |accuracy - confidence| of their bin, in [0, 1]."""
    # A bin holds its upper edge: 1 belongs to the last.
    bins = np.clip(np.ceil(np.asarray(confidence) * BINS).astype(int) - 1, 0, BINS - 1)
    gaps = np.bincount(bins, weights=np.asarray(correct) - np.asarray(confidence))
    return float(np.abs(gaps).sum() / len(confidence)) if len(gaps) else math.nan


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
