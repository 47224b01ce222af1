"""From paired measures to findings: how much two models differ, and whether it is more than chance.

The statistics follow Dror et al. (2018): a permutation test of paired scores, corrected for all
metrics, beside an interval and an effect size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from careergpt.compare.comparison import Better, Finding, Metric, Verdict
from careergpt.compare.significance import effect_size, holm, sign_flip, wins
from careergpt.compare.statistics import FloatArray, Interval, ratio_interval

LEVEL = 0.05
"""The rate at which a comparison of equal models may find any difference."""


class Paired(NamedTuple):
    """One metric, record by record, under both models; a model's value is sum / sum of weights.

    Attributes:
        metric: The measure.
        task: The task that it is over; "": all.
        baseline: One numerator a record, such as nats summed over its tokens, or an answer's value.
        finetuned: The same under the fine-tuned model.
        weights: One positive denominator a record, the same for both: tokens, bytes, or ones.
        titles: One title a record; records of one title are resampled together.
    """

    metric: Metric
    task: str
    baseline: FloatArray
    finetuned: FloatArray
    weights: FloatArray
    titles: Sequence[str]


def findings(measured: Sequence[Paired], *, seed: int = 0) -> tuple[Finding, ...]:
    """What each metric says, its p corrected for all of `measured`; in the given order.

    Args:
        measured: The metrics.
        seed: Of the flips and the resamples.
    """
    for paired in measured:
        _check(paired)
    p = [sign_flip(m.finetuned - m.baseline, m.weights, m.titles, seed=seed) for m in measured]
    return tuple(
        _finding(paired, raw, corrected, seed)
        for paired, raw, corrected in zip(measured, p, holm(p), strict=True)
    )


def judge(difference: Interval, p_holm: float, better: Better) -> Verdict:
    """In words, what the test and the interval both say.

    Args:
        difference: finetuned - baseline.
        p_holm: The corrected p.
        better: Which way is better.
    """
    if p_holm >= LEVEL or difference.low <= 0 <= difference.high:
        return "no difference found"
    if better == "neither":
        return "different"
    return "better" if (difference.low > 0) == (better == "higher") else "worse"


def _finding(paired: Paired, p: float, p_holm: float, seed: int) -> Finding:
    metric, task, baseline, finetuned, weights, titles = paired
    difference = ratio_interval(finetuned - baseline, weights, titles, seed=seed)
    by_record = (finetuned - baseline) / weights
    return Finding(
        metric=metric,
        task=task,
        n=len(weights),
        titles=len(set(titles)),
        baseline=math.fsum(baseline) / math.fsum(weights),
        finetuned=math.fsum(finetuned) / math.fsum(weights),
        difference=difference,
        effect=effect_size(by_record),
        wins=wins(by_record, metric.better),
        p=p,
        p_holm=p_holm,
        verdict=judge(difference, p_holm, metric.better),
    )


def _check(paired: Paired) -> None:
    """Raises ValueError unless each record has both values, a positive weight and a title."""
    metric, task, *columns = paired
    lengths = [len(column) for column in columns]
    if len(set(lengths)) > 1 or not lengths[0] or not (paired.weights > 0).all():
        raise ValueError(
            f"{metric.name} {task}: baseline, finetuned, weights and titles have {lengths} values; "
            "give one of each a record, at least one record, and positive weights"
        )


def findings_table(found: Sequence[Finding]) -> str:
    """Each metric of both models, the difference, and what may be said of it, for a terminal."""
    lines = [
        f"{'metric':34}{'task':10}{'n':>6}{'trigram':>9}{'baseline':>10}{'finetuned':>11}"
        f"{'difference':>12}{'95 % interval':>22}{'p (Holm)':>10}  verdict"
    ]
    for one in found:
        difference, low, high = one.difference
        floor = "" if one.trigram is None else f"{one.trigram:.4f}"
        lines.append(
            f"{one.metric.label:34}{one.task or 'all':10}{one.n:>6,}{floor:>9}"
            f"{one.baseline:>10.4f}{one.finetuned:>11.4f}{difference:>+12.4f}"
            f"{f'{low:+.4f} to {high:+.4f}':>22}{one.p_holm:>10.4f}  {one.verdict}"
        )
    return "\n".join(lines)
