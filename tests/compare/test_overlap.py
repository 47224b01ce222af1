"""Laws of the overlap with a reference."""

import re
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.compare.overlap import f1, precision, recall, rouge_l

words = st.lists(st.sampled_from("nurse ward care night 24".split()), max_size=12)
texts = words.map(" ".join)
items = st.sets(st.sampled_from("abcdef"))


def lcs_length(one: tuple[str, ...], two: tuple[str, ...]) -> int:
    """Longest common subsequence by its recursive definition."""

    @cache
    def length(i: int, j: int) -> int:
        if i == len(one) or j == len(two):
            return 0
        if one[i] == two[j]:
            return 1 + length(i + 1, j + 1)
        return max(length(i + 1, j), length(i, j + 1))

    return length(0, 0)


@settings(deadline=None)  # The first call imports torchmetrics.
@given(words, words)
def test_rouge_l_is_the_f1_of_the_longest_common_subsequence(
    one: list[str], two: list[str]
) -> None:
    common = lcs_length(tuple(one), tuple(two))
    expected = 2 * common / (len(one) + len(two)) if common else 0.0
    assert rouge_l(" ".join(one), " ".join(two)) == pytest.approx(expected, abs=1e-6)


@settings(deadline=None)
@given(texts)
def test_rouge_l_of_a_text_with_itself_is_one_unless_it_has_no_word(text: str) -> None:
    assert rouge_l(text, text) == (1 if text else 0)


@settings(deadline=None)
@given(texts, texts)
def test_rouge_l_does_not_heed_case_and_punctuation(one: str, two: str) -> None:
    loud = re.sub(" ", " -- ", one.upper()) + "!"
    assert rouge_l(loud, two) == rouge_l(one, two)


def test_rouge_l_heeds_the_order_of_words() -> None:
    assert rouge_l("night care", "care night") == pytest.approx(1 / 2)


def test_overlap_counted_by_hand() -> None:
    # One of two found is wanted; one of four wanted is found.
    found, wanted = {"a", "b"}, {"b", "c", "d", "e"}
    assert precision(found, wanted) == 1 / 2
    assert recall(found, wanted) == 1 / 4
    assert f1(found, wanted) == pytest.approx(1 / 3)


@given(items, items)
def test_f1_is_the_harmonic_mean_of_precision_and_recall(found: set[str], wanted: set[str]) -> None:
    p, r = precision(found, wanted), recall(found, wanted)
    assert f1(found, wanted) == pytest.approx(2 * p * r / (p + r) if p + r else 0.0)


@given(items, items)
def test_exchanging_the_sets_exchanges_precision_and_recall(one: set[str], two: set[str]) -> None:
    assert precision(one, two) == recall(two, one)
    assert f1(one, two) == f1(two, one)


@given(items)
def test_nothing_found_or_wanted_overlaps_by_nothing(some: set[str]) -> None:
    for measure in (precision, recall, f1):
        assert measure(set(), some) == measure(some, set()) == 0
