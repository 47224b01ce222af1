"""Laws of the repetition measures."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.generation.decoding import distinct, repetition

texts = st.lists(st.integers(0, 3), max_size=20)
orders = st.integers(1, 5)


def test_repetition_of_a_text_counted_by_hand() -> None:
    # ab bc ca ab bc: three distinct bigrams of five.
    assert repetition([1, 2, 3, 1, 2, 3], n=2) == pytest.approx(2 / 5)


def test_distinct_pools_the_texts_and_joins_none() -> None:
    # ab, ab, bc: two distinct bigrams of three; no bigram from one text into the next.
    assert distinct([[1, 2], [1, 2, 3]], n=2) == pytest.approx(2 / 3)


@given(texts, orders)
def test_texts_shorter_than_n_repeat_nothing(text: list[int], n: int) -> None:
    assert repetition(text[: n - 1], n) == 0
    assert distinct([text[: n - 1]], n) == 0


@given(orders, st.integers(1, 30))
def test_one_token_over_and_over_repeats_all_but_once(n: int, grams: int) -> None:
    assert repetition([7] * (grams + n - 1), n) == pytest.approx(1 - 1 / grams)


@given(orders, st.integers(0, 30))
def test_a_text_without_repeats_scores_zero(n: int, length: int) -> None:
    assert repetition(range(length), n) == 0


@given(texts, orders)
def test_distinct_and_repetition_of_one_text_sum_to_one(text: list[int], n: int) -> None:
    if len(text) >= n:
        assert distinct([text], n) + repetition(text, n) == pytest.approx(1)


@given(st.lists(texts, min_size=1, max_size=5), orders)
def test_saying_everything_twice_halves_distinct(samples: list[list[int]], n: int) -> None:
    assert distinct(samples + samples, n) == pytest.approx(distinct(samples, n) / 2)


@given(texts)
def test_n_below_one_is_refused(text: list[int]) -> None:
    with pytest.raises(ValueError, match="at least one token"):
        repetition(text, 0)
    with pytest.raises(ValueError, match="at least one token"):
        distinct([text], 0)
