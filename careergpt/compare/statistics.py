"""Is a difference of two models more than chance? Intervals, permutation tests, effect sizes.

The statistics follow Dror et al. (2018): a permutation test of paired scores, corrected for all
metrics, beside an interval and an effect size. Records of one title resemble each other, so titles
are the clusters that are resampled and flipped whole.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Better = Literal["lower", "higher", "neither"]
Verdict = Literal["better", "worse", "different", "no difference found"]

LEVEL = 0.05
"""The rate at which a comparison of equal models may find any difference."""

CELLS_AT_ONCE = 2**22
"""Resamples times clusters drawn at a time: 32 MiB of counts, whatever the table's size."""


class Interval(NamedTuple):
    """An estimate and the bounds of its confidence interval, in the estimate's unit."""

    estimate: float
    low: float
    high: float


def ratio_interval(
    numerator: FloatArray,
    denominator: FloatArray,
    clusters: Sequence[object],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """Sum(numerator) / sum(denominator) with a percentile bootstrap interval over clusters.

    Whole clusters are resampled (Davison & Hinkley, 1997, section 3.8), for records of one cluster
    (postings of one title) resemble each other and would feign a narrow interval if drawn singly.
    The result does not depend on the records' order. Under some 20 clusters the interval is too
    narrow; a single cluster shows nothing of how clusters vary, so its interval is (-inf, inf).

    Args:
        numerator: one value a record, such as a difference of summed nats.
        denominator: one value a record, such as its tokens; positive in each cluster's sum.
        clusters: one hashable name a record; equal names are drawn together.
        level: the share of such intervals that should hold the true ratio.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    if not 0 < level < 1 or resamples < 1:
        raise ValueError(f"level is {level}, not in (0, 1), or resamples {resamples} not positive")
    sums = cluster_sums(numerator, denominator, clusters)
    estimate = math.fsum(numerator) / math.fsum(denominator)
    if len(sums) == 1:
        return Interval(estimate, -math.inf, math.inf)
    ratios = np.concatenate(list(_resampled(sums, resamples, np.random.default_rng(seed))))
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def sign_flip(
    numerator: FloatArray,
    denominator: FloatArray,
    clusters: Sequence[object],
    *,
    resamples: int = 9999,
    seed: int = 0,
) -> float:
    """Two-sided p of sum(numerator) / sum(denominator) = 0, under flipped signs of whole clusters.

    Were the models alike, exchanging them would flip a difference's sign and change nothing else
    (Fisher, 1935). No flip changes the denominator: the test is of the numerators. All flips are
    tried where there are at most `resamples`; else the one seen counts among those drawn, so that
    p is never 0 (Phipson & Smyth, 2010). Neither the records' order nor the models' changes p.

    Args:
        numerator: one difference a record, such as of summed nats.
        denominator: one value a record, such as its tokens; positive in each cluster's sum.
        clusters: one hashable name a record; equal names are flipped together.
        resamples: flips drawn; p is at least 1 / (resamples + 1).
        seed: of the draws.
    """
    # Here, not above: importing scipy.stats takes a second.
    from scipy.stats import monte_carlo_test, permutation_test

    sums = cluster_sums(numerator, denominator, clusters)[:, 0]
    if len(sums) == 1:
        return 1.0  # Flipped, it is as far from 0; scipy refuses a single observation.
    if 2 ** len(sums) <= resamples:
        tested = permutation_test(
            (sums,),
            _distance,
            permutation_type="samples",
            n_resamples=np.inf,
            alternative="greater",
        )
        return float(tested.pvalue)
    # Not permutation_test: it loops over clusters, twenty times slower at 700 of them.
    generator = np.random.default_rng(seed)
    # Without sign and sorted, the same flips are drawn when the two models change places.
    sizes = np.sort(np.abs(sums))
    tested = monte_carlo_test(
        sums,
        lambda size: generator.choice([-1.0, 1.0], size=size) * sizes,
        _distance,
        n_resamples=resamples,
        batch=max(1, CELLS_AT_ONCE // len(sums)),
        alternative="greater",
    )
    return float(tested.pvalue)


def holm(p: Sequence[float]) -> list[float]:
    """Each p corrected for all of them, in the given order (Holm's step-down, 1979).

    Rejecting those below a level errs in any at most at that rate, however they depend on each
    other.
    """
    corrected = [0.0] * len(p)
    largest = 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=lambda place: p[place])):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = largest
    return corrected


def effect_size(differences: FloatArray) -> float:
    """Cohen's d of paired differences: their mean in standard deviations (d_z; Cohen, 1988).

    NaN where no two differ.
    """
    if len(differences) < 2 or np.ptp(differences) == 0:
        return math.nan
    return float(np.mean(differences) / np.std(differences, ddof=1))


def wins(differences: FloatArray, better: Better) -> float:
    """Share of records on which the fine-tuned model is better, ties half.

    Args:
        differences: finetuned - baseline, one a record.
        better: Which way is better; where neither is, the lower wins.
    """
    won = differences > 0 if better == "higher" else differences < 0
    return float(np.mean(won) + np.mean(differences == 0) / 2)


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


def cluster_sums(
    numerator: FloatArray, denominator: FloatArray, clusters: Sequence[object]
) -> FloatArray:
    """Numerator and denominator of each cluster, (clusters, 2), in an order of their own.

    Raises:
        ValueError: A record lacks a finite number or a cluster, or a cluster a denominator.
    """
    if not len(numerator) == len(denominator) == len(clusters) > 0:
        raise ValueError(
            f"{len(numerator)} numerators, {len(denominator)} denominators and {len(clusters)} "
            "clusters: give one of each a record, and at least one record."
        )
    if not (np.isfinite(numerator).all() and np.isfinite(denominator).all()):
        raise ValueError("a numerator or denominator is not finite; find the record that made it")
    codes = {name: code for code, name in enumerate(dict.fromkeys(clusters))}
    code = np.array([codes[name] for name in clusters])
    # Adding by value, not by position, rounds alike in whatever order the records came.
    by_value = np.lexsort((denominator, numerator))
    columns = [
        np.bincount(code[by_value], weights=np.asarray(column)[by_value])
        for column in (numerator, denominator)
    ]
    for name, total in zip(codes, columns[1], strict=True):
        if total <= 0:
            raise ValueError(
                f"cluster {name!r} has denominator {total}, and a resample of it alone no ratio. "
                "Leave out records without tokens."
            )
    sums: FloatArray = np.stack(columns, axis=1, dtype=np.float64)
    return sums[np.lexsort(columns)]


def _resampled(
    sums: FloatArray, resamples: int, generator: np.random.Generator
) -> Iterator[FloatArray]:
    """The ratio of each bootstrap resample of the clusters, some resamples at a time."""
    n = len(sums)
    at_once = max(1, CELLS_AT_ONCE // n)
    for done in range(0, resamples, at_once):
        size = min(at_once, resamples - done)
        # Not by scipy.stats.bootstrap: as good, but it draws otherwise, so that intervals told
        # before would not come out again.
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=size) @ sums
        yield drawn[:, 0] / drawn[:, 1]


def _distance(sums: FloatArray, axis: int) -> FloatArray | np.float64:
    """How far from 0 the clusters' sums are together, to either side."""
    total: FloatArray | np.float64 = np.abs(np.sum(sums, axis=axis))
    return total
