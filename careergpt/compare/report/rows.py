"""Findings as the report and the card tell them: the one that decides, and rows by metric."""

from __future__ import annotations

from typing import NamedTuple

from careergpt.compare.comparison import Bounds, Comparison, Finding, Metric
from careergpt.compare.metrics import BITS, DESCRIBED, LOSS


class Group(NamedTuple):
    """A metric, its findings by task, and what real texts reach by it."""

    metric: Metric
    findings: tuple[Finding, ...]
    bounds: Bounds | None


def deciding_metric(comparison: Comparison) -> Metric:
    """What says which model foretells texts better: the same unit under both tokenizers."""
    return LOSS if comparison.same_tokenizer else BITS


def headline(comparison: Comparison) -> Finding | None:
    """The finding that decides: the loss over all tasks, or over the only one."""
    name = deciding_metric(comparison).name
    found = [f for f in comparison.findings if f.metric.name == name]
    return next((f for f in found if not f.task), found[0] if len(found) == 1 else None)


def grouped(comparison: Comparison) -> list[Group]:
    """The findings by metric, in the order in which metrics come first."""
    by_name: dict[str, list[Finding]] = {}
    for finding in comparison.findings:
        by_name.setdefault(finding.metric.name, []).append(finding)
    return [
        Group(found[0].metric, tuple(found), comparison.bounds.get(name))
        for name, found in by_name.items()
    ]


def labels(comparison: Comparison) -> dict[str, str]:
    """Metric name -> label, of the metrics that the comparison has or that are known."""
    known = [*DESCRIBED, *(finding.metric for finding in comparison.findings)]
    return {metric.name: metric.label for metric in known}


def describing(comparison: Comparison) -> dict[str, str]:
    """Metric name -> its sentence, of the measures of all texts together."""
    return {metric.name: metric.says for metric in DESCRIBED if metric.name in comparison.described}
