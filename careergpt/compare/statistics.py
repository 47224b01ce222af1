"""Intervals for ratios of sums over records that are not independent of one another."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

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
    check_records(numerator, denominator, clusters)
    sums = cluster_sums(numerator, denominator, clusters)
    estimate = math.fsum(numerator) / math.fsum(denominator)
    if len(sums) == 1:
        return Interval(estimate, -math.inf, math.inf)
    ratios = np.concatenate(list(resampled_ratios(sums, resamples, np.random.default_rng(seed))))
    low, high = np.quantile(ratios, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high))


def check_records(
    numerator: FloatArray, denominator: FloatArray, clusters: Sequence[object]
) -> None:
    """Raises ValueError unless each record has two finite numbers and a cluster."""
    if not len(numerator) == len(denominator) == len(clusters) > 0:
        raise ValueError(
            f"{len(numerator)} numerators, {len(denominator)} denominators and {len(clusters)} "
            "clusters: give one of each a record, and at least one record."
        )
    if not (np.isfinite(numerator).all() and np.isfinite(denominator).all()):
        raise ValueError("a numerator or denominator is not finite; find the record that made it")


def cluster_sums(
    numerator: FloatArray, denominator: FloatArray, clusters: Sequence[object]
) -> FloatArray:
    """Numerator and denominator of each cluster, (clusters, 2), in an order of their own."""
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


def resampled_ratios(
    sums: FloatArray, resamples: int, generator: np.random.Generator
) -> Iterator[FloatArray]:
    """The ratio of each bootstrap resample of the clusters, some resamples at a time."""
    n = len(sums)
    at_once = max(1, CELLS_AT_ONCE // n)
    for done in range(0, resamples, at_once):
        size = min(at_once, resamples - done)
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=size) @ sums
        yield drawn[:, 0] / drawn[:, 1]
