"""Statistics of a comparison: intervals, permutation tests and effect sizes of paired differences.

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

POWER = 0.8
"""The share of comparisons that find a difference as large as the smallest detectable one."""

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
    The percentiles are those that make the interval of a mean as wide as Student's (Hesterberg,
    2015): the plain ones are too narrow where clusters are few. The result does not depend on the
    records' order. One cluster shows nothing of how clusters vary: its interval is (-inf, inf).

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
    from scipy.special import ndtr, stdtrit

    sums = cluster_sums(numerator, denominator, clusters)
    estimate = math.fsum(numerator) / math.fsum(denominator)
    if len(sums) == 1:
        return Interval(estimate, -math.inf, math.inf)
    ratios = np.concatenate(list(_resampled(sums, resamples, np.random.default_rng(seed))))[:, 0]
    n = len(sums)
    tail = ndtr(math.sqrt(n / (n - 1)) * stdtrit(n - 1, (1 - level) / 2))
    low, high = np.quantile(ratios, [tail, 1 - tail])
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


def standard_error(
    numerator: FloatArray, denominator: FloatArray, clusters: Sequence[object]
) -> tuple[float, float]:
    """Of sum(numerator) / sum(denominator), with its degrees of freedom; infinite of one cluster.

    The error is the jackknife's over clusters (Efron & Stein, 1981). Few large clusters tell less
    than as many equal ones: the degrees of freedom are Satterthwaite's (1946).
    """
    sums = cluster_sums(numerator, denominator, clusters)
    n, sizes = len(sums), sums[:, 1]
    if n == 1:
        return math.inf, 1.0
    rest = sums.sum(axis=0) - sums
    error = math.sqrt((n - 1) * np.var(rest[:, 0] / rest[:, 1]))
    return error, float(np.sum(sizes**2) ** 2 / np.sum(sizes**4))


def detectable_effect(error: float, n_clusters: int, *, level: float = LEVEL) -> float:
    """The smallest true difference that is found in 8 of 10 cases (Bloom, 1995).

    Infinite where there are so few clusters that even equal signs of all would not be enough.

    Args:
        error: the difference's standard error over clusters.
        n_clusters: how many there are.
        level: at which p, two-sided, a difference counts as found.
    """
    from scipy.stats import t

    if 2 / 2**n_clusters > level:
        return math.inf
    return float(error * t.ppf([1 - level / 2, POWER], n_clusters - 1).sum())


def is_equivalent(estimate: float, error: float, freedom: float, margin: float) -> bool:
    """Whether two one-sided tests at 5 % show a difference within +-margin (Schuirmann, 1987).

    `error` and `freedom` are those of `standard_error`.
    """
    from scipy.stats import t

    return bool(abs(estimate) + t.ppf(1 - LEVEL, freedom) * error < margin)


def rank_intervals(
    numerators: FloatArray,
    denominator: FloatArray,
    clusters: Sequence[object],
    *,
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> list[Interval]:
    """Each model's rank with its interval; the highest sum(numerator) / sum(denominator) is first.

    A rank's bounds count the models that are surely above and surely below it: those whose
    difference's interval keeps clear of zero, all of a model's differences taken together (largest
    studentized deviation over the bootstrap of whole clusters; Mogstad et al., 2024). Percentiles
    of the ranks' own bootstrap are too narrow where models are nearly alike. Equal models share the
    better rank, and a single cluster orders nothing.

    Args:
        numerators: one value a record and model, (records, models).
        denominator: one value a record, such as its tokens; positive in each cluster's sum.
        clusters: one hashable name a record; equal names are drawn together.
        level: the share of such intervals that should hold the true rank.
        resamples: bootstrap draws.
        seed: of the draws.
    """
    sums = cluster_sums(numerators, denominator, clusters)
    drawn = np.concatenate(list(_resampled(sums, resamples, np.random.default_rng(seed))))
    found = sums[:, :-1].sum(axis=0) / sums[:, -1].sum()
    intervals = []
    for model in range(len(found)):
        apart = found - found[model]
        deviations = drawn - drawn[:, [model]] - apart
        errors = deviations.std(axis=0)
        # Of equal models only rounding differs.
        unlike = errors > 1e-9 * np.abs(found).max()
        studentized = np.abs(deviations[:, unlike] / errors[unlike])
        reach = np.quantile(studentized.max(axis=1, initial=0.0), level) * errors + 1e-12
        if len(sums) == 1:
            reach += math.inf
        above, below = int((apart > reach).sum()), int((apart < -reach).sum())
        intervals.append(Interval(1 + int((apart > 0).sum()), 1 + above, len(found) - below))
    return intervals


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
    """Numerators and denominator of each cluster, the last column, in an order of their own.

    The numerator is one a record, (records,), or one a record and model, (records, models).

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
    given = [*np.atleast_2d(np.transpose(numerator)), np.asarray(denominator)]
    by_value = np.lexsort((given[-1], *given[:-1]))
    columns = [np.bincount(code[by_value], weights=column[by_value]) for column in given]
    for name, total in zip(codes, columns[-1], strict=True):
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
    """The ratios of each bootstrap resample of the clusters, some resamples at a time."""
    n = len(sums)
    at_once = max(1, CELLS_AT_ONCE // n)
    for done in range(0, resamples, at_once):
        size = min(at_once, resamples - done)
        # Not by scipy.stats.bootstrap: as good, but it draws otherwise, so that intervals told
        # before would not come out again.
        drawn = generator.multinomial(n, np.full(n, 1 / n), size=size) @ sums
        yield drawn[:, :-1] / drawn[:, -1:]


def _distance(sums: FloatArray, axis: int) -> FloatArray | np.float64:
    """How far from 0 the clusters' sums are together, to either side."""
    total: FloatArray | np.float64 = np.abs(np.sum(sums, axis=axis))
    return total
