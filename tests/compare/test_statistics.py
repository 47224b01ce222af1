"""Laws of the cluster bootstrap."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare import statistics
from careergpt.compare.statistics import Interval, ratio_interval

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
def test_the_order_of_records_changes_nothing(rows, random) -> None:  # type: ignore[no-untyped-def]
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


@pytest.mark.parametrize(
    ("numerator", "denominator", "clusters"),
    [([], [], []), ([1.0], [1.0, 2.0], ["a"]), ([1.0], [1.0], []), ([math.nan], [1.0], ["a"])],
)
def test_records_that_do_not_match_are_refused(
    numerator: list[float], denominator: list[float], clusters: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"one of each a record|not finite"):
        ratio_interval(np.array(numerator), np.array(denominator), clusters)


@pytest.mark.parametrize("options", [{"level": 1.0}, {"level": 0.0}, {"resamples": 0}])
def test_impossible_options_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="level is"):
        ratio_interval(np.ones(2), np.ones(2), "ab", **options)  # type: ignore[arg-type]
