"""Laws of what is said of paired measures."""

import math
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.compare import findings as module
from careergpt.compare.comparison import Finding, Metric
from careergpt.compare.findings import Measured, findings
from careergpt.compare.metrics import ENDED, LENGTH, LOSS, REP_4
from careergpt.compare.statistics import (
    Better,
    Interval,
    Verdict,
    holm,
    judge,
    ratio_interval,
    sign_flip,
)
from careergpt.compare.wording import limits_of_statistics

TRUTH = 0.5
values = st.lists(st.tuples(st.integers(-9, 9), st.integers(-9, 9), st.integers(1, 9)), min_size=1)


def paired(
    generator: np.random.Generator, *, difference: float, metric: Metric = LOSS, clusters: int = 20
) -> Measured:
    """Four records of each title; the models differ by `difference` a token and by the title."""
    titles = np.repeat(np.arange(clusters), 4)
    tokens = generator.integers(5, 50, size=len(titles)).astype(float)
    baseline = tokens * generator.normal(3, 1, size=len(titles))
    apart = generator.normal(difference, 1, size=clusters)[titles]
    apart += generator.normal(0, 0.2, size=len(titles))
    values = {"baseline": baseline, "finetuned": baseline + tokens * apart}
    return Measured(metric, "", values, tokens, [str(t) for t in titles])


@pytest.fixture
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulations need no third digit of p."""
    monkeypatch.setattr(module, "sign_flip", partial(sign_flip, resamples=399))
    monkeypatch.setattr(module, "ratio_interval", partial(ratio_interval, resamples=300))


def simulated(n: int, metrics: int, difference: float) -> Iterator[tuple[Finding, ...]]:
    generator = np.random.default_rng(7)
    for _ in range(n):
        yield findings([paired(generator, difference=difference) for _ in range(metrics)])


@pytest.mark.usefixtures("few_draws")
def test_of_several_metrics_of_equal_models_rarely_any_is_found_to_differ() -> None:
    errors = [
        any(found.verdict != "no difference found" for found in family)
        for family in simulated(200, metrics=6, difference=0.0)
    ]
    # Uncorrected, every fourth family of six would err. The flips make no assumption that the
    # simulation breaks, so 5 % is a ceiling; the bound is binomial.
    assert sum(errors) <= scipy.stats.binom.ppf(0.999, 200, 0.05)


@pytest.mark.usefixtures("few_draws")
def test_of_one_metric_of_equal_models_chance_is_taken_for_a_difference_at_its_rate() -> None:
    errors = [family[0].p < 0.05 for family in simulated(400, metrics=1, difference=0.0)]
    low, high = scipy.stats.binom.interval(0.999, 400, 0.05)
    assert low <= sum(errors) <= high


@pytest.mark.usefixtures("few_draws")
def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    covered = [
        family[0].difference.low <= TRUTH <= family[0].difference.high
        for family in simulated(400, metrics=1, difference=TRUTH)
    ]
    # The binomial error is 0.011; the percentile bootstrap of 20 clusters falls short by 0.03.
    assert sum(covered) / 400 == pytest.approx(0.93, abs=0.04)


@pytest.mark.parametrize(("difference", "verdict"), [(-2.0, "better"), (2.0, "worse")])
@pytest.mark.usefixtures("few_draws")
def test_a_real_difference_is_found_and_has_its_direction(
    difference: float, verdict: Verdict
) -> None:
    [family] = simulated(1, metrics=4, difference=difference)
    assert {found.verdict for found in family} == {verdict}


@settings(max_examples=20, deadline=None)
@given(values)
def test_a_models_value_is_a_ratio_of_sums(rows: list[tuple[int, int, int]]) -> None:
    baseline, finetuned, weights = (np.array(column, float) for column in zip(*rows, strict=True))
    titles = [str(place % 5) for place in range(len(rows))]
    values = {"baseline": baseline, "finetuned": finetuned}
    [found] = findings([Measured(LOSS, "describe", values, weights, titles)])
    assert found[:4] == (LOSS, "describe", len(rows), min(5, len(rows)))
    assert found.baseline == pytest.approx(sum(b for b, _, _ in rows) / weights.sum())
    assert found.finetuned == pytest.approx(sum(f for _, f, _ in rows) / weights.sum())
    assert found.difference.estimate == pytest.approx(found.finetuned - found.baseline)


def test_the_statistics_are_of_differences_by_record() -> None:
    # A record's nats a token fall by 1, 3, 0 and rise by 2.
    weights = np.array([1.0, 2.0, 4.0, 10.0])
    fell = weights * np.array([-1.0, -3.0, 0.0, 2.0])
    values = {"baseline": np.zeros(4), "finetuned": fell}
    one = Measured(LOSS, "", values, weights, ["a", "b", "c", "d"])
    [low, high, neither] = findings([one, one._replace(metric=ENDED), one._replace(metric=LENGTH)])
    assert low.effect == pytest.approx(-0.5 / math.sqrt(13 / 3))
    assert (low.wins, high.wins, neither.wins) == (0.625, 0.375, 0.625)
    assert low.p == sign_flip(fell, weights, "abcd")
    assert low.difference == ratio_interval(fell, weights, "abcd")


def test_p_is_corrected_for_all_metrics() -> None:
    generator = np.random.default_rng(2)
    family = findings([paired(generator, difference=d) for d in (0.0, 0.4, 0.6)])
    assert [found.p_holm for found in family] == holm([found.p for found in family])
    assert [found.p_holm for found in family] != [found.p for found in family]


def test_the_seed_is_that_of_flips_and_resamples() -> None:
    one = paired(np.random.default_rng(2), difference=0.4)
    [first], [again], [other] = (findings([one], seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.p != other.p
    assert first.difference.low != other.difference.low


@pytest.mark.usefixtures("few_draws")
def test_equal_models_have_no_difference_at_all() -> None:
    one = paired(np.random.default_rng(0), difference=1.0)
    values = dict.fromkeys(one.values, one.values["baseline"])
    [found] = findings([one._replace(values=values)], margins={"loss": 0.01})
    assert found.detectable is None
    assert found.equivalent is True
    assert found.difference == (0.0, 0.0, 0.0)
    assert math.isnan(found.effect)
    assert (found.wins, found.p, found.verdict) == (0.5, 1.0, "no difference found")


def test_one_title_finds_nothing() -> None:
    one = paired(np.random.default_rng(0), difference=5.0, clusters=1)
    [found] = findings([one])
    assert found.difference[1:] == (-math.inf, math.inf)
    assert (found.titles, found.verdict) == (1, "no difference found")


@pytest.mark.parametrize(
    ("interval", "p", "better", "verdict"),
    [
        ((-1.0, -2.0, -0.5), 0.01, "lower", "better"),
        ((-1.0, -2.0, -0.5), 0.01, "higher", "worse"),
        ((-1.0, -2.0, -0.5), 0.01, "neither", "different"),
        ((1.0, 0.5, 2.0), 0.01, "lower", "worse"),
        ((1.0, 0.5, 2.0), 0.01, "higher", "better"),
        ((1.0, 0.5, 2.0), 0.01, "neither", "different"),
        ((1.0, 0.5, 2.0), 0.05, "higher", "no difference found"),
        ((1.0, -0.1, 2.0), 0.01, "higher", "no difference found"),
        ((-1.0, -2.0, 0.0), 0.01, "neither", "no difference found"),
        ((1.0, -math.inf, math.inf), 0.01, "lower", "no difference found"),
    ],
)
def test_a_difference_needs_the_test_and_the_interval(
    interval: tuple[float, float, float], p: float, better: Better, verdict: Verdict
) -> None:
    assert judge(Interval(*interval), p, better) == verdict


def test_the_correction_counts_in_the_verdict() -> None:
    generator = np.random.default_rng(1)
    one = paired(generator, difference=-0.55)
    [alone] = findings([one])
    first, *_ = findings([one, *(paired(generator, difference=0.0) for _ in range(20))])
    assert alone.p == first.p
    assert (alone.verdict, first.verdict) == ("better", "no difference found")


@pytest.mark.parametrize(
    "change",
    [
        {"titles": []},
        {"weights": np.ones(3)},
        {"weights": np.array([1.0, 0.0])},
        {"values": {"baseline": np.ones(1), "finetuned": np.ones(2)}},
        {
            "values": dict.fromkeys(("baseline", "finetuned"), np.array([])),
            "weights": np.array([]),
            "titles": [],
        },
    ],
)
def test_records_that_do_not_match_are_refused_by_the_metrics_name(change: dict) -> None:
    values = dict.fromkeys(("baseline", "finetuned"), np.ones(2))
    one = Measured(LOSS, "describe", values, np.ones(2), ["clerk", "nurse"])
    with pytest.raises(ValueError, match=r"loss describe: .*one of each a record"):
        findings([one._replace(**change)])


def test_no_metrics_have_no_findings() -> None:
    assert findings([]) == ()


def clear(metric: Metric, titles: int) -> Measured:
    """Better on every record, each of a title of its own: the clearest difference there is."""
    ones = np.ones(titles)
    return Measured(
        metric,
        "",
        {"baseline": ones + np.arange(titles), "finetuned": np.arange(titles) * 1.0},
        ones,
        list("abcdefghijklmnopqrstuvwx")[:titles],
    )


@pytest.mark.parametrize("titles", range(2, 12))
@pytest.mark.parametrize("others", [0, 24])
def test_no_difference_can_be_found_where_it_is_said_so_and_nowhere_else(
    titles: int, others: int
) -> None:
    found = findings([clear(LOSS, titles), *([clear(REP_4, others)] if others else [])])
    said = " ".join(limits_of_statistics(found))
    assert ("no difference can be found" in said) == (found[0].verdict == "no difference found")


@pytest.mark.parametrize("titles", [6, 7])
def test_the_more_metrics_the_more_titles_are_needed(titles: int) -> None:
    """Six titles suffice for one metric, and not for two of which none is over more."""
    found = findings([clear(LOSS, titles), clear(REP_4, titles)])
    said = " ".join(limits_of_statistics(found))
    assert ("With 6 titles and 2 metrics no difference" in said) == (titles == 6)
    assert {one.verdict for one in found} == {"no difference found" if titles == 6 else "better"}
