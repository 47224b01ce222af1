"""Laws of the longest copied run."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.compare.overlap import SuffixAutomaton, longest_copied
from careergpt.compare.trigram import IntArray

texts = st.lists(st.integers(0, 2), max_size=15)
corpora = st.lists(texts, max_size=5)


def ids(text: list[int]) -> IntArray:
    return np.array(text, dtype=np.int32)


def runs(text: list[int]) -> set[tuple[int, ...]]:
    """Every contiguous run of the text, the empty one among them."""
    n = len(text)
    return {tuple(text[i:j]) for i in range(n + 1) for j in range(i, n + 1)}


def brute_force(text: list[int], training: list[list[int]]) -> int:
    return max((len(run) for other in training for run in runs(text) & runs(other)), default=0)


@settings(max_examples=200)
@given(corpora, corpora)
def test_the_longest_copied_run_is_the_longest_common_substring(
    written: list[list[int]], training: list[list[int]]
) -> None:
    expected = [brute_force(text, training) for text in written]
    assert longest_copied(written, map(ids, training)) == expected


def test_no_run_spans_two_training_texts() -> None:
    assert longest_copied([[1, 2, 3, 4]], [ids([1, 2]), ids([3, 4])]) == [2]


def test_no_run_spans_two_written_texts() -> None:
    assert longest_copied([[1, 2], [3, 4]], [ids([1, 2, 3, 4])]) == [2, 2]


def test_a_run_that_two_texts_share_counts_for_both() -> None:
    assert longest_copied([[9, 5, 6, 7], [8, 5, 6, 7], [5, 6]], [ids([0, 5, 6, 7, 0])]) == [3, 3, 2]


@given(st.lists(texts, min_size=1, max_size=5), st.data())
def test_a_training_text_is_copied_whole(training: list[list[int]], data: st.DataObject) -> None:
    text = data.draw(st.sampled_from(training))
    assert longest_copied([text], map(ids, training)) == [len(text)]


@given(corpora)
def test_nothing_is_copied_from_no_training_text(written: list[list[int]]) -> None:
    assert longest_copied(written, []) == [0] * len(written)


@given(texts)
def test_an_automaton_has_at_most_two_states_a_token(text: list[int]) -> None:
    assert len(SuffixAutomaton(text).longest) <= max(2, 2 * len(text))
