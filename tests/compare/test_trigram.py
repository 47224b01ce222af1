"""Laws of the Kneser-Ney trigram."""

import math
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare.trigram import (
    FALLBACK_DISCOUNTS,
    LARGEST_VOCABULARY,
    IntArray,
    Trigram,
    estimated_discounts,
)

VOCABULARY = 5
corpora = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=12), max_size=12)


def ids(sequence: list[int]) -> IntArray:
    return np.array(sequence, dtype=np.int64)


def fitted(sequences: list[list[int]], vocabulary: int = VOCABULARY) -> Trigram:
    return Trigram.fit(map(ids, sequences), vocabulary)


def total_probability(model: Trigram, context: list[int]) -> float:
    endings = [np.array([*context, w]) for w in range(model.vocabulary)]
    return float(sum(np.exp(-model.nats(s, len(context)))[0] for s in endings))


@given(corpora)
def test_the_trigram_sums_to_one_in_every_context(corpus: list[list[int]]) -> None:
    model = fitted(corpus)
    contexts = [list(c) for n in (0, 1, 2) for c in product(range(VOCABULARY), repeat=n)]
    assert [total_probability(model, c) for c in contexts] == pytest.approx([1.0] * len(contexts))


def test_discounts_follow_chen_and_goodman() -> None:
    counts = np.repeat([1, 2, 3, 4, 9], [40, 10, 5, 2, 7])
    y = 40 / 60
    assert estimated_discounts(counts) == pytest.approx((y, 2 - 3 * y / 2, 3 - 4 * y * 2 / 5))


def test_discounts_fall_back_where_counts_of_counts_are_missing_or_absurd() -> None:
    assert estimated_discounts(np.array([], dtype=np.int64)) == FALLBACK_DISCOUNTS
    assert estimated_discounts(np.repeat([1, 2, 3], [9, 1, 9])) == FALLBACK_DISCOUNTS


def test_a_trigram_of_nothing_costs_log_vocabulary() -> None:
    model = Trigram.fit([], 50257)
    assert list(model.nats(np.array([1, 2, 3]), 1)) == pytest.approx([math.log(50257)] * 2)


def test_ids_never_seen_share_one_floor() -> None:
    model = fitted([[0, 1, 2, 3, 4, 5, 0, 1, 2, 4]] * 9, 9)
    costs = [model.nats(np.array([0, 1, w]), 2)[0] for w in (6, 7, 8)]
    assert costs == pytest.approx(costs[:1] * 3)
    assert costs[0] > max(model.nats(np.array([0, 1, w]), 2)[0] for w in range(6))


@given(corpora, st.randoms())
def test_contexts_do_not_leak_over_the_ends_of_sequences(corpus, random) -> None:
    shuffled = random.sample(corpus, len(corpus))
    probe = np.array([0, 1, 2, 3, 4, 3, 2, 1, 0])
    one, other = (fitted(c) for c in (corpus, shuffled))
    assert np.array_equal(one.nats(probe, 0), other.nats(probe, 0))


def test_the_beginning_of_a_sequence_is_a_context() -> None:
    model = fitted([[3, 0, 1, 2, 0, 1]] * 9)
    assert model.nats(np.array([3]), 0)[0] < 0.5 < model.nats(np.array([0, 1, 3]), 2)[0]


def test_the_largest_vocabulary_does_not_overflow() -> None:
    last = LARGEST_VOCABULARY - 1
    model = Trigram.fit([np.array([last] * 4, dtype=np.uint32)] * 50, LARGEST_VOCABULARY)
    assert (model.nats(np.array([last] * 4), 0) < 0.5).all()


@pytest.mark.parametrize("outside", [[0, 5], [-1, 2]])
def test_ids_outside_the_vocabulary_are_refused(outside: list[int]) -> None:
    for refused in (lambda: fitted([outside]), lambda: fitted([]).nats(ids(outside), 0)):
        with pytest.raises(ValueError, match="outside the vocabulary of 5"):
            refused()


@pytest.mark.parametrize("vocabulary", [0, LARGEST_VOCABULARY + 1])
def test_a_vocabulary_that_cannot_be_packed_is_refused(vocabulary: int) -> None:
    with pytest.raises(ValueError, match="not within 1 to"):
        fitted([], vocabulary)


@pytest.mark.parametrize("n_prompt", [-1, 3])
def test_a_prompt_longer_than_its_sequence_is_refused(n_prompt: int) -> None:
    with pytest.raises(ValueError, match="n_prompt"):
        fitted([]).nats(ids([0, 1]), n_prompt)
