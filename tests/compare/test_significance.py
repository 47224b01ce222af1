"""Laws of the sign-flip test, Holm's correction, the effect size and the wins."""

import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare import statistics
from careergpt.compare.statistics import FloatArray, effect_size, holm, sign_flip, wins

Records = list[tuple[int, int, str]]
records: st.SearchStrategy[Records] = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(1, 9), st.sampled_from("abcdef")),
    min_size=1,
    max_size=20,
)
# Far more than the flips of six clusters, far fewer than those of sixty.
many_clusters: st.SearchStrategy[Records] = st.lists(
    st.tuples(st.integers(-50, 50), st.integers(1, 9)), min_size=15, max_size=60
).map(lambda rows: [(n, d, str(place)) for place, (n, d) in enumerate(rows)])
differences = st.lists(st.integers(-9, 9), min_size=1, max_size=30).map(
    lambda rows: np.array(rows, dtype=float)
)
probabilities = st.lists(st.floats(0, 1), max_size=6)


def p_of(rows: Records, resamples: int = 199, seed: int = 0) -> float:
    numerator, denominator, clusters = zip(*rows, strict=True)
    return sign_flip(
        np.array(numerator, dtype=float),
        np.array(denominator, dtype=float),
        clusters,
        resamples=resamples,
        seed=seed,
    )


def share_of_all_flips(rows: Records) -> float:
    """By the definition: of all choices of a sign a cluster, those whose ratio is as far from 0."""
    names = sorted({cluster for _, _, cluster in rows})
    tokens = sum(d for _, d, _ in rows)
    seen = abs(sum(n for n, _, _ in rows) / tokens)
    as_far = 0
    for signs in itertools.product((-1, 1), repeat=len(names)):
        sign = dict(zip(names, signs, strict=True))
        as_far += abs(sum(sign[cluster] * n for n, _, cluster in rows) / tokens) >= seen
    return as_far / 2 ** len(names)


def exchanged(generator: np.random.Generator, clusters: int = 40) -> tuple[FloatArray, list[str]]:
    """Differences of two unlike models whose labels were exchanged by cluster, and the clusters.

    The models differ by a cluster's own amount, nearly the same for each of its five records.
    """
    names = np.repeat(np.arange(clusters), 5)
    apart = generator.gamma(1, 1, size=clusters) * generator.choice([-1, 1], size=clusters)
    return apart[names] + generator.normal(0, 0.2, size=len(names)), [str(n) for n in names]


def rejections(test: Callable[[FloatArray, Sequence[object]], float], simulations: int) -> int:
    generator = np.random.default_rng(5)
    return sum(test(*exchanged(generator)) <= 0.05 for _ in range(simulations))


def flipped(numerator: FloatArray, clusters: Sequence[object]) -> float:
    return sign_flip(numerator, np.ones(len(numerator)), clusters, resamples=199)


@given(records)
def test_with_few_clusters_p_is_the_share_of_all_flips(rows: Records) -> None:
    assert p_of(rows) == share_of_all_flips(rows)


def test_with_many_clusters_p_is_near_the_share_of_all_flips() -> None:
    generator = np.random.default_rng(1)
    for shift in (0, 3, 6):
        rows = [(int(generator.normal(shift, 10)), 1, str(place % 14)) for place in range(40)]
        # Four binomial errors of 9,999 draws.
        assert p_of(rows, resamples=9999) == pytest.approx(share_of_all_flips(rows), abs=0.02)


@given(records | many_clusters, st.randoms())
def test_the_order_of_records_changes_nothing(rows, random) -> None:
    assert p_of(rows) == p_of(random.sample(rows, len(rows)))


@given(records | many_clusters)
def test_exchanging_the_models_changes_nothing(rows: Records) -> None:
    assert p_of(rows) == p_of([(-n, d, cluster) for n, d, cluster in rows])


@given(records | many_clusters, st.integers(1, 9))
def test_equal_records_show_nothing(rows: Records, seed: int) -> None:
    assert p_of([(0, d, cluster) for _, d, cluster in rows], seed=seed) == 1.0


@given(many_clusters)
def test_p_is_never_0(rows: Records) -> None:
    # All to one side: no draw is as far as what was seen, or hardly any.
    p = p_of([(abs(n) + 1, d, cluster) for n, d, cluster in rows])
    assert 1 / 200 <= p <= 1


@given(st.integers(1, 50))
def test_one_cluster_shows_nothing(n: int) -> None:
    assert p_of([(n, 1, "clerk")] * 100) == 1.0


def test_another_seed_draws_other_flips() -> None:
    rows = [(place % 7 - 2, 1, str(place)) for place in range(30)]
    assert len({p_of(rows, seed=seed) for seed in range(5)}) > 1


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [(place % 7 - 2, 1, str(place)) for place in range(30)]
    at_once = p_of(rows)
    monkeypatch.setattr(statistics, "CELLS_AT_ONCE", 7 * 30)
    assert p_of(rows) == at_once


def test_exchanged_labels_are_told_apart_as_rarely_as_the_test_says() -> None:
    # With 199 flips, p <= 0.05 has a probability of exactly 10 / 200.
    low, high = scipy.stats.binom.interval(0.999, 1000, 0.05)
    assert low <= rejections(flipped, 1000) <= high


def test_flipping_records_singly_would_find_what_is_not_there() -> None:
    def alone(numerator: FloatArray, clusters: Sequence[object]) -> float:
        return flipped(numerator, range(len(clusters)))

    assert rejections(alone, 200) > 0.25 * 200


def test_a_real_difference_is_found() -> None:
    def shifted(numerator: FloatArray, clusters: Sequence[object]) -> float:
        return flipped(numerator + 1, clusters)

    assert rejections(shifted, 200) > 0.95 * 200


@given(probabilities)
def test_holm_closes_bonferroni(p: list[float]) -> None:
    """A hypothesis falls when Bonferroni rejects every set that holds it (Marcus et al., 1976)."""
    places = range(len(p))
    sets = [s for size in places for s in itertools.combinations(places, size + 1)]
    slow = [max(min(1.0, len(s) * min(p[i] for i in s)) for s in sets if i in s) for i in places]
    assert holm(p) == pytest.approx(slow)


@given(probabilities, st.randoms())
def test_holm_keeps_the_given_order(p, random) -> None:
    order = random.sample(range(len(p)), len(p))
    corrected = holm(p)
    assert holm([p[i] for i in order]) == [corrected[i] for i in order]


def test_holm_of_an_example_worked_by_hand() -> None:
    assert holm([0.03, 0.01, 0.04, 0.005]) == pytest.approx([0.06, 0.03, 0.06, 0.02])


@given(differences)
def test_the_effect_is_the_paired_t_without_the_number_of_records(found: FloatArray) -> None:
    if len(set(found)) < 2:
        assert math.isnan(effect_size(found))
    else:
        t = scipy.stats.ttest_1samp(found, 0).statistic
        assert effect_size(found) * math.sqrt(len(found)) == pytest.approx(t)


@pytest.mark.parametrize("found", [[], [2.0], [2.0, 2.0]])
def test_differences_that_do_not_vary_have_no_effect_size(found: list[float]) -> None:
    assert math.isnan(effect_size(np.array(found)))


@given(differences)
def test_what_one_model_does_not_win_the_other_does(found: FloatArray) -> None:
    assert wins(found, "lower") + wins(-found, "lower") == pytest.approx(1)
    assert wins(found, "lower") == wins(-found, "higher") == wins(found, "neither")


def test_wins_of_an_example_counted_by_hand() -> None:
    found = np.array([-1.0, -2.0, 0.0, 5.0, 0.0, -0.5, 2.0, 1.0])
    assert wins(found, "lower") == wins(found, "neither") == 0.5
    assert wins(found[:4], "lower") == 0.625
    assert wins(found[:4], "higher") == 0.375
