"""Laws of where a query's targets come."""

import itertools
import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, label_ranking_average_precision_score

from careergpt.recommend.evaluation import outcome_of, without

SIZE = 6
# Few values: ties are common.
counts = st.lists(st.integers(1, 4), min_size=SIZE, max_size=SIZE)
targets = st.lists(st.integers(0, SIZE - 1), min_size=1, max_size=SIZE, unique=True)


def logs(counts: list[int]) -> NDArray[np.float64]:
    return np.log(np.array(counts) / sum(counts))


@given(counts, st.integers(0, SIZE - 1))
def test_the_rank_is_scipys_mean_rank(counts: list[int], target: int) -> None:
    assert outcome_of(logs(counts), [target]).rank == rankdata([-c for c in counts])[target]


@given(counts, targets)
def test_the_first_rank_is_its_mean_over_all_orders_of_the_tied(
    counts: list[int], targets: list[int]
) -> None:
    orders = [
        order
        for order in itertools.permutations(range(SIZE))
        if all(counts[a] >= counts[b] for a, b in itertools.pairwise(order))
    ]
    firsts = [1 + min(order.index(target) for target in targets) for order in orders]
    assert outcome_of(logs(counts), targets).rank == pytest.approx(fmean(firsts))


@given(counts, targets)
def test_average_precision_is_scikit_learns(counts: list[int], targets: list[int]) -> None:
    relevant = np.isin(np.arange(SIZE), targets)
    found = outcome_of(logs(counts), targets).average_precision
    assert found == pytest.approx(average_precision_score(relevant, counts))
    assert found == pytest.approx(label_ranking_average_precision_score([relevant], [counts]))


@given(counts, targets)
def test_recall_is_the_share_of_the_targets_among_the_first(
    counts: list[int], targets: list[int]
) -> None:
    ranks = rankdata([-c for c in counts])[targets]
    expected = [fmean(rank <= cutoff for rank in ranks.tolist()) for cutoff in (1, 5, 10)]
    assert outcome_of(logs(counts), targets).recall == pytest.approx(expected)


@given(counts, targets)
def test_a_drawn_target_is_right_as_often_as_all_draws_say(
    counts: list[int], targets: list[int]
) -> None:
    first = [place for place in range(SIZE) if counts[place] == max(counts)]
    draws = [top == target for top in first for target in targets]
    case = outcome_of(logs(counts), targets)
    assert case.correct == pytest.approx(fmean(draws))
    assert case.confidence == pytest.approx(max(counts) / sum(counts))
    assert case.nats == pytest.approx(-fmean(logs(counts)[targets].tolist()))


@given(counts, st.integers(0, SIZE - 1), st.integers(0, SIZE - 1))
def test_the_current_title_is_taken_out_before_ranking(
    counts: list[int], target: int, current: int
) -> None:
    assume(target != current)
    rest = [count for place, count in enumerate(counts) if place != current]
    left = outcome_of(without(logs(counts), [current]), [target])
    alone = outcome_of(logs(rest), [target - (target > current)])
    assert [*left[:3], *left[4:]] == pytest.approx([*alone[:3], *alone[4:]])
    assert left.recall == alone.recall


def test_a_current_title_that_is_no_candidate_takes_out_nothing() -> None:
    assert without(logs([1, 2, 1]), [None]) == pytest.approx(logs([1, 2, 1]))
    assert without(logs([1, 2, 1]), []) == pytest.approx(logs([1, 2, 1]))


def test_what_is_left_out_stays_as_it_was_in_the_callers_array() -> None:
    given_logs = logs([1, 2, 1])
    without(given_logs, [1])
    assert (given_logs == logs([1, 2, 1])).all()


def test_targets_that_are_no_candidates_are_counted_and_do_not_weigh() -> None:
    with_them, alone = (outcome_of(logs([3, 2, 1]), some) for some in ([None, 1, None], [1]))
    assert with_them == alone._replace(outside=2)


def test_a_target_spelled_twice_counts_once() -> None:
    assert outcome_of(logs([3, 2, 1]), [2, 1, 2]) == outcome_of(logs([3, 2, 1]), [1, 2])


def test_a_case_without_a_candidate_to_find_is_not_found() -> None:
    case = outcome_of(logs([1, 2]), [None])
    assert (case.inside, case.outside, case.rank, case.nats) == (0, 1, math.inf, math.inf)
    # Nothing is left where the only candidate is taken out; then there is nothing to find either.
    nothing = without(logs([1]), [0])
    assert nothing == [-math.inf]
    assert outcome_of(nothing, [None]) == case


@pytest.mark.parametrize("broken", [[math.nan, 0.0], [0.0, 0.0], [-1.0, -1.0]])
def test_what_is_no_distribution_is_refused(broken: list[float]) -> None:
    with pytest.raises(ValueError, match="do not sum to 1"):
        outcome_of(np.array(broken), [0])
