"""The trigram beside a slow Kneser-Ney, written from the definitions with dictionaries."""

import math
from collections import Counter
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare.trigram import IntArray, Trigram

VOCABULARY = 5
corpora = st.lists(st.lists(st.integers(0, VOCABULARY - 1), max_size=12), max_size=12)


class Reference:
    """Modified Kneser-Ney by dictionaries; `None` is the beginning of a sequence."""

    def __init__(self, sequences: list[list[int]], vocabulary: int) -> None:
        grams: list[Counter[tuple[int | None, ...]]] = [Counter() for _ in range(4)]
        for sequence in sequences:
            marked = [None, *sequence]
            for n, end in product((1, 2, 3), range(2, len(marked) + 1)):
                if end >= n:
                    grams[n][tuple(marked[end - n : end])] += 1
        self.vocabulary = vocabulary
        self.counts: list[dict[tuple[int | None, ...], int]] = [{}, {}, {}, dict(grams[3])]
        for n in (1, 2):
            for gram, seen in grams[n].items():
                before = sum(longer[1:] == gram for longer in grams[n + 1])
                self.counts[n][gram] = seen if gram[0] is None else before

    def discount(self, n: int, count: int) -> float:
        n1, n2, n3, n4 = (sum(c == k for c in self.counts[n].values()) for k in (1, 2, 3, 4))
        found = [0.5, 1.0, 1.5]
        if n1 and n2 and n3:
            y = n1 / (n1 + 2 * n2)
            raw = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3]
            found = raw if min(raw) > 0 else found
        return found[min(count, 3) - 1]

    def probability(self, gram: tuple[int | None, ...]) -> float:
        if not gram:
            return 1 / self.vocabulary
        lower = self.probability(gram[1:])
        n = len(gram)
        followers = {g: c for g, c in self.counts[n].items() if g[:-1] == gram[:-1]}
        if not followers:
            return lower
        total = sum(followers.values())
        freed = sum(self.discount(n, c) for c in followers.values())
        count = followers.get(gram, 0)
        kept = count - self.discount(n, count) if count else 0.0
        return kept / total + freed / total * lower

    def nats(self, sequence: list[int], n_prompt: int) -> list[float]:
        marked = [None, *sequence]
        ends = range(n_prompt + 2, len(marked) + 1)
        return [-math.log(self.probability(tuple(marked[max(0, e - 3) : e]))) for e in ends]


def ids(sequence: list[int]) -> IntArray:
    return np.array(sequence, dtype=np.int64)


def fitted(sequences: list[list[int]], vocabulary: int = VOCABULARY) -> Trigram:
    return Trigram.fit(map(ids, sequences), vocabulary)


def zipf_corpus(sequences: int, length: int, vocabulary: int) -> list[list[int]]:
    """Sequences in which each token leans on the one before it."""
    generator = np.random.default_rng(7)
    draws = np.minimum(generator.zipf(1.3, (sequences, length)) - 1, vocabulary - 1)
    return [[int(t) for t in np.cumsum(row) % vocabulary] for row in draws]


@given(corpora, st.lists(st.integers(0, VOCABULARY - 1), max_size=8), st.data())
def test_the_trigram_agrees_with_the_definitions(
    corpus: list[list[int]], sequence: list[int], data: st.DataObject
) -> None:
    n_prompt = data.draw(st.integers(0, len(sequence)))
    found = fitted(corpus).nats(ids(sequence), n_prompt)
    assert found.shape == (len(sequence) - n_prompt,)
    assert list(found) == pytest.approx(Reference(corpus, VOCABULARY).nats(sequence, n_prompt))


def test_the_trigram_agrees_with_the_definitions_where_discounts_are_estimated() -> None:
    corpus = zipf_corpus(sequences=40, length=25, vocabulary=30)
    reference = Reference(corpus, 40)
    assert 0.5 not in (reference.discount(2, 1), reference.discount(3, 1))
    model = fitted(corpus, 40)
    for sequence in [*corpus[:3], [39, 38, 0, 1, 2, 39]]:
        assert list(model.nats(ids(sequence), 0)) == pytest.approx(reference.nats(sequence, 0))
