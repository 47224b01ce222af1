"""Differences one below the other: by task with their intervals, and by title."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from careergpt.compare.comparison import Comparison, PairedScore, Verdict
from careergpt.compare.report.plots import Mark, Scale, Tick, costs, linear_ticks, mark, scale_of
from careergpt.compare.report.rows import deciding_metric
from careergpt.compare.statistics import Interval
from careergpt.data.names import title_key

MOST_TITLES = 20


class Row(NamedTuple):
    """A difference: what of, how many records (or examples), how sure."""

    label: str
    n: int
    difference: Interval
    mark: Mark
    verdict: Verdict


class Panel(NamedTuple):
    """Rows on one scale that has zero on it."""

    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    zero: float


def by_task(comparison: Comparison) -> Panel | None:
    """The deciding metric's difference over all tasks and for each; None of a single row."""
    name = deciding_metric(comparison).name
    rows = [
        (f.task or "all tasks", f.n, f.difference, f.verdict)
        for f in comparison.findings
        if f.metric.name == name and math.isfinite(f.difference.estimate)
    ]
    return _panel(rows)


def by_title(scores: Sequence[PairedScore], same_tokenizer: bool) -> Panel | None:
    """The titles with the most records, from most improved to least; None of a single title.

    Their differences have no interval: a title is what intervals are resampled by.
    """
    groups: dict[str, list[PairedScore]] = {}
    for score in scores:
        if all(math.isfinite(cost) for cost in costs(score, same_tokenizer)):
            groups.setdefault(title_key(score.title), []).append(score)
    rows = [
        (some[0].title, len({s.record for s in some}), _difference(some, same_tokenizer))
        for title, some in groups.items()
        if title
    ]
    largest = sorted(rows, key=lambda row: (-row[1], row[0]))[:MOST_TITLES]
    return _panel(
        (label, n, Interval(value, math.nan, math.nan), _direction(value))
        for label, n, value in sorted(largest, key=lambda row: row[2])
    )


def _difference(scores: Sequence[PairedScore], same_tokenizer: bool) -> float:
    """Nats a token (bits a byte), fine-tuned - baseline: summed and counted, divided last."""
    pooled = scores[0]._replace(
        nats=(math.fsum(s.nats[0] for s in scores), math.fsum(s.nats[1] for s in scores)),
        tokens=(sum(s.tokens[0] for s in scores), sum(s.tokens[1] for s in scores)),
        n_bytes=sum(s.n_bytes for s in scores),
    )
    before, after = costs(pooled, same_tokenizer)
    return after - before


def _direction(difference: float) -> Verdict:
    """Which way it points; without an interval it is no more than that."""
    if difference == 0:
        return "no difference found"
    return "better" if difference < 0 else "worse"


def _panel(rows: Iterable[tuple[str, int, Interval, Verdict]]) -> Panel | None:
    found = list(rows)
    if len(found) < 2:
        return None
    scale = scale_of([0.0, *(end for row in found for end in row[2])])
    placed = [Row(label, n, d, _mark(d, scale), verdict) for label, n, d, verdict in found]
    return Panel(tuple(placed), linear_ticks(scale), scale.at(0.0))


def _mark(difference: Interval, scale: Scale) -> Mark:
    """The interval; where there is none, a line from zero to the difference."""
    if not math.isnan(difference.low):
        return mark(difference, scale)
    value = difference.estimate
    return mark(Interval(value, min(value, 0.0), max(value, 0.0)), scale)
