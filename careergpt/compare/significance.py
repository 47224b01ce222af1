"""Is a difference of two models more than chance, and is it large? Tests, effects, corrections."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from careergpt.compare.comparison import Better
from careergpt.compare.statistics import CELLS_AT_ONCE, FloatArray, check_records, cluster_sums


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
    (Fisher, 1935). Records of one cluster (postings of one title) resemble each other, so they are
    flipped together. No flip changes the denominator: the test is of the numerators. All flips are
    tried where there are at most `resamples`; else the one seen counts among those drawn, so that
    p is never 0 (Phipson & Smyth, 2010). Neither the records' order nor the models' changes p.

    Args:
        numerator: one difference a record, such as of summed nats.
        denominator: one value a record, such as its tokens; positive in each cluster's sum.
        clusters: one hashable name a record; equal names are flipped together.
        resamples: flips drawn; p is at least 1 / (resamples + 1).
        seed: of the draws.
    """
    check_records(numerator, denominator, clusters)
    sums = cluster_sums(numerator, denominator, clusters)[:, 0]
    if len(sums) == 1:
        return 1.0  # Flipped, it is as far from 0; scipy refuses a single observation.
    if 2 ** len(sums) <= resamples:
        return _every_flip(sums)
    return _drawn_flips(sums, resamples, np.random.default_rng(seed))


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


def _every_flip(sums: FloatArray) -> float:
    # Here and below, not above: importing scipy.stats takes a second.
    from scipy.stats import permutation_test

    tested = permutation_test(
        (sums,), _distance, permutation_type="samples", n_resamples=np.inf, alternative="greater"
    )
    return float(tested.pvalue)


def _drawn_flips(sums: FloatArray, resamples: int, generator: np.random.Generator) -> float:
    # Not permutation_test: it loops over clusters, twenty times slower at 700 of them.
    from scipy.stats import monte_carlo_test

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


def _distance(sums: FloatArray, axis: int) -> FloatArray | np.float64:
    """How far from 0 the clusters' sums are together, to either side."""
    total: FloatArray | np.float64 = np.abs(np.sum(sums, axis=axis))
    return total
