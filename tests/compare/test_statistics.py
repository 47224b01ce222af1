"""Laws of the cluster bootstrap."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare import statistics
from careergpt.compare.comparison import model_names
from careergpt.compare.statistics import (
    Interval,
    detectable_effect,
    is_equivalent,
    rank_intervals,
    ratio_interval,
    sign_flip,
    standard_error,
)
from careergpt.errors import InputError

records = st.lists(
    st.tuples(st.floats(-1e6, 1e6), st.integers(1, 1000), st.sampled_from("abcdef")),
    min_size=1,
    max_size=30,
)
Records = list[tuple[float, int, str]]


def interval_of(rows: Records, resamples: int = 50) -> Interval:
    numerator, denominator, clusters = zip(*rows, strict=True)
    return ratio_interval(
        np.array(numerator), np.array(denominator, dtype=float), clusters, resamples=resamples
    )


def correlated_records(generator: np.random.Generator, clusters: int = 60) -> Records:
    """Records whose true ratio is 0.5, most of the noise being the cluster's own."""
    rows: Records = []
    for cluster in range(clusters):
        shift = generator.normal(0.5, 1)
        for tokens in generator.integers(5, 50, size=4):
            rows.append((tokens * (shift + generator.normal(0, 0.2)), int(tokens), str(cluster)))
    return rows


def coverage(interval: Callable[[Records], Interval], simulations: int = 300) -> float:
    generator = np.random.default_rng(11)
    intervals = [interval(correlated_records(generator)) for _ in range(simulations)]
    return sum(i.low <= 0.5 <= i.high for i in intervals) / simulations


@given(records)
def test_the_estimate_is_the_plain_ratio(rows: Records) -> None:
    plain = math.fsum(n for n, _, _ in rows) / sum(d for _, d, _ in rows)
    assert interval_of(rows).estimate == pytest.approx(plain)


@given(records, st.randoms())
def test_the_order_of_records_changes_nothing(rows, random) -> None:
    assert interval_of(rows) == interval_of(random.sample(rows, len(rows)))


@given(records)
def test_the_names_of_clusters_change_nothing(rows: Records) -> None:
    renamed = [(n, d, "zyxwvu"["abcdef".index(c)]) for n, d, c in rows]
    assert interval_of(rows) == interval_of(renamed)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    # The binomial error of 300 simulations is 0.013; the percentile bootstrap of 60 unequal
    # clusters is known to fall short by about 0.01.
    assert coverage(lambda rows: interval_of(rows, resamples=400)) == pytest.approx(0.94, abs=0.04)


def test_drawing_records_singly_would_feign_certainty() -> None:
    def alone(rows: Records) -> Interval:
        return interval_of([(n, d, str(i)) for i, (n, d, _) in enumerate(rows)], resamples=400)

    assert coverage(alone) < 0.8


def test_a_higher_level_gives_a_wider_interval() -> None:
    numerator, denominator, clusters = zip(
        *correlated_records(np.random.default_rng(0)), strict=True
    )
    columns = (np.array(numerator), np.array(denominator, dtype=float), clusters)
    narrow, wide = (ratio_interval(*columns, level=level) for level in (0.8, 0.99))
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def test_clusters_of_one_ratio_leave_no_doubt() -> None:
    tokens = np.arange(1.0, 21.0)
    found = ratio_interval(2 * tokens, tokens, range(20))
    assert found == pytest.approx((2.0, 2.0, 2.0), rel=1e-12)


def test_one_cluster_bounds_nothing() -> None:
    found = ratio_interval(np.array([1.0, 2.0]), np.array([2.0, 2.0]), ["clerk", "clerk"])
    assert found == (0.75, -math.inf, math.inf)


def test_drawing_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = correlated_records(np.random.default_rng(3))
    at_once = interval_of(rows)
    monkeypatch.setattr(statistics, "CELLS_AT_ONCE", 7 * 60)
    assert interval_of(rows) == pytest.approx(at_once, rel=1e-12)


def test_a_cluster_without_tokens_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="cluster 'nurse' has denominator 0"):
        ratio_interval(np.ones(2), np.array([1.0, 0.0]), ["clerk", "nurse"])


@pytest.mark.parametrize("judge", [ratio_interval, sign_flip])
@pytest.mark.parametrize(
    ("numerator", "denominator", "clusters"),
    [([], [], []), ([1.0], [1.0, 2.0], ["a"]), ([1.0], [1.0], []), ([math.nan], [1.0], ["a"])],
)
def test_records_that_do_not_match_are_refused(
    judge: Callable[..., object], numerator: list[float], denominator: list[float],
    clusters: list[str],
) -> None:  # fmt: skip
    with pytest.raises(ValueError, match=r"one of each a record|not finite"):
        judge(np.array(numerator), np.array(denominator), clusters)


@pytest.mark.parametrize("options", [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="level is"):
        ratio_interval(np.ones(2), np.ones(2), "ab", **options)


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=40))
def test_of_equal_clusters_the_error_is_that_of_a_mean(values: list[float]) -> None:
    error, freedom = standard_error(np.array(values), np.ones(len(values)), range(len(values)))
    assert error == pytest.approx(scipy.stats.sem(values), rel=1e-6, abs=1e-9)
    assert freedom == pytest.approx(len(values))


def test_one_large_cluster_leaves_few_degrees_of_freedom() -> None:
    weights = np.array([1000.0, *np.ones(50)])
    assert standard_error(weights, weights, range(51))[1] < 2
    assert standard_error(np.ones(3), np.ones(3), "aaa") == (math.inf, 1.0)


def test_the_detectable_effect_has_the_power_that_it_promises() -> None:
    n, error = 30, 0.1
    effect = detectable_effect(error, n)
    reach = scipy.stats.t.ppf(0.975, n - 1)
    # The noncentral t is its definition; the quantiles' sum is short of it by under a point.
    found = scipy.stats.nct.sf(reach, n - 1, effect / error)
    assert found == pytest.approx(0.8, abs=0.01)
    assert detectable_effect(error, n, level=0.01) > effect
    assert detectable_effect(error, 5) == math.inf


def test_equivalence_is_two_tests_and_needs_both() -> None:
    reach = scipy.stats.t.ppf(0.95, 20.0) * 0.1
    assert is_equivalent(0.0, 0.1, 20.0, reach * 1.01)
    assert not is_equivalent(0.0, 0.1, 20.0, reach * 0.99)
    assert not is_equivalent(0.05, 0.1, 20.0, reach * 1.01)
    assert not is_equivalent(-0.05, 0.1, 20.0, reach * 1.01)
    assert not is_equivalent(0.0, math.inf, 1.0, 9.0)


def ranked(shifts: list[float], clusters: int = 40, seed: int = 3) -> list[Interval]:
    generator = np.random.default_rng(seed)
    records = generator.normal(size=(clusters, len(shifts))) + np.array(shifts)
    return rank_intervals(records, np.ones(clusters), range(clusters), resamples=300)


def test_clear_ranks_are_certain_and_equal_models_share_theirs() -> None:
    assert ranked([0.0, 9.0, 5.0]) == [(3, 3, 3), (1, 1, 1), (2, 2, 2)]
    one = np.random.default_rng(0).normal(size=30)
    same = rank_intervals(np.stack([one, one, one - 9], axis=1), np.ones(30), range(30))
    assert same == [(1, 1, 2), (1, 1, 2), (3, 3, 3)]
    assert rank_intervals(np.eye(3), np.ones(3), "aaa") == [(1, 1, 3)] * 3


def test_intervals_of_ranks_hold_the_true_order_of_near_equals() -> None:
    truth = [0.0, 0.01, 0.02, 0.03]
    held = [
        all(low <= 4 - place <= high for place, (_, low, high) in enumerate(found))
        for found in (ranked(truth, seed=seed) for seed in range(100))
    ]
    assert sum(held) >= scipy.stats.binom.ppf(0.001, 100, 0.95)


@pytest.mark.parametrize(
    ("finetuned", "names"),
    [
        (["runs/a/model"], ["finetuned"]),
        (["runs/a/model", "runs/b/model"], ["a/model", "b/model"]),
        (["one", "two"], ["one", "two"]),
        (["x/baseline", "x/model"], ["x/baseline", "x/model"]),
        (["owner/gpt2", "gpt2"], ["owner/gpt2", "gpt2"]),
    ],
)
def test_models_are_called_by_what_tells_them_apart(finetuned: list[str], names: list[str]) -> None:
    assert model_names(finetuned) == names


def test_a_model_named_twice_is_refused() -> None:
    with pytest.raises(InputError, match="two of them are one model"):
        model_names(["runs/a", "runs/../runs/a", "runs/a"])
