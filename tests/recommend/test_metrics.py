"""Laws of the measures over queries."""

import math
from statistics import fmean

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torchmetrics.functional.classification import multiclass_calibration_error

from careergpt.recommend.evaluation import calibration_error, metrics_of, outcome_of

shares = st.lists(st.floats(0.05, 1), min_size=3, max_size=3)
queries = st.lists(st.tuples(shares, st.sampled_from([0, 1, 2, None])), min_size=1, max_size=20)


def distribution(values: list[float]) -> np.ndarray:
    return np.log(np.array(values) / sum(values))


@given(queries)
def test_queries_without_a_candidate_to_find_are_counted_and_left_out(
    queries: list[tuple[list[float], int | None]],
) -> None:
    found = metrics_of(outcome_of(distribution(p), [target]) for p, target in queries)
    inside = [(p, target) for p, target in queries if target is not None]
    without = metrics_of(outcome_of(distribution(p), [target]) for p, target in inside)
    missing = len(queries) - len(inside)
    told = {"left_out": missing, "outside": missing, "coverage": len(inside) / len(queries)}
    told["mrr_all"] = (without.mrr if inside else 0.0) * told["coverage"]
    assert found == pytest.approx(without._replace(**told), nan_ok=True)


def test_a_longer_list_of_candidates_is_compared_by_misses() -> None:
    first = outcome_of(distribution([4, 2, 1]), [0])
    found = metrics_of([first, *[outcome_of(None, [None])] * 3])
    assert (found.mrr, found.coverage, found.mrr_all) == (1, 0.25, 0.25)


def test_means_are_over_queries() -> None:
    cases = [outcome_of(distribution(p), [t]) for p, t in (([4, 2, 1], 0), ([4, 2, 1], 2))]
    found = metrics_of(cases)
    assert found.mrr == pytest.approx((1 + 1 / 3) / 2)
    assert (found.n, found.recall_at_1, found.recall_at_5, found.recall_at_10) == (2, 0.5, 1, 1)
    assert found.loss == pytest.approx(-fmean([math.log(4 / 7), math.log(1 / 7)]))
    assert found.perplexity == pytest.approx(7 / 2)
    assert found.map == pytest.approx((1 + 1 / 3) / 2)


def test_each_recall_has_its_own_cutoff() -> None:
    falling = distribution([float(12 - place) for place in range(12)])
    found = metrics_of(outcome_of(falling, [place]) for place in range(12))
    recalls = (found.recall_at_1, found.recall_at_5, found.recall_at_10)
    assert recalls == pytest.approx((1 / 12, 5 / 12, 10 / 12))


@given(st.integers(1, 50), st.integers(1, 5))
def test_a_uniform_ranking_is_as_perplexed_as_there_are_candidates(size: int, n: int) -> None:
    uniform = np.full(size, -math.log(size))
    found = metrics_of(outcome_of(uniform, [place % size]) for place in range(n))
    assert found.perplexity == pytest.approx(size)
    assert found.mrr == pytest.approx(2 / (size + 1))
    assert found.calibration_error == pytest.approx(0, abs=1e-12)


def test_of_no_query_nothing_is_known() -> None:
    for cases in ([], [outcome_of(distribution([1, 1]), [None, None])]):
        found = metrics_of(cases)
        assert (found.n, found.left_out, found.outside) == (0, len(cases), 2 * len(cases))
        assert all(math.isnan(value) for value in found[1:9])


# Off the bins' edges: there, a float's last digit decides.
confidences = st.integers(1, 999).filter(lambda n: n * 15 % 1000).map(lambda n: n / 1000)


@given(st.lists(st.tuples(confidences, st.booleans()), min_size=1, max_size=60))
def test_the_calibration_error_is_torchmetrics(cases: list[tuple[float, bool]]) -> None:
    # The first class is the answer given; the rest of the probability is spread too thin to win.
    rows = [[p] + [(1 - p) / 5000] * 5000 for p, _ in cases]
    expected = multiclass_calibration_error(
        torch.tensor(rows, dtype=torch.float64),
        torch.tensor([0 if right else 1 for _, right in cases]),
        num_classes=5001,
        n_bins=15,
    )
    confidence, correct = zip(*cases, strict=True)
    found = calibration_error(confidence, [float(right) for right in correct])
    assert found == pytest.approx(float(expected), abs=1e-6)


def test_certainty_falls_into_the_last_bin() -> None:
    # One bin: surplus and deficit cancel, as they do not between bins.
    for certain in (1.0, 1 + 1e-15):
        assert calibration_error([certain, 0.95], [0.95, 1.0]) == pytest.approx(0)
    assert calibration_error([0.9, 0.1], [0.8, 0.2]) == pytest.approx(0.1)
