"""A count-based language model: what a fine-tuned network must beat to have learned anything."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer
from numpy.typing import NDArray

IntArray = Integer[np.ndarray, " _"]
Int64Array = NDArray[np.int64]
FloatArray = NDArray[np.float64]

LARGEST_VOCABULARY = 2**21 - 2
"""Three ids and the begin-of-sequence mark share one int64: (vocabulary + 1) ** 3 < 2 ** 63."""

FALLBACK_DISCOUNTS = (0.5, 1.0, 1.5)
"""For samples too small to estimate from, as in KenLM's `--discount_fallback`."""


class Table(NamedTuple):
    """A sorted map from packed n-grams to numbers; its last key is larger than any n-gram."""

    keys: Int64Array
    values: FloatArray

    @classmethod
    def of(cls, keys: Int64Array, values: FloatArray, default: float) -> "Table":
        """The map of sorted `keys`, which answers `default` for every other key."""
        # The sentinel spares every lookup the question whether it fell off the end.
        sentinel = np.iinfo(np.int64).max
        return cls(np.append(keys, sentinel), np.append(values, default))

    def __call__(self, keys: Int64Array) -> FloatArray:
        """The value of each key."""
        found = np.searchsorted(self.keys, keys)
        return self.values[np.where(self.keys[found] == keys, found, -1)]


class Order(NamedTuple):
    """One n-gram order: the mass each n-gram keeps, and the mass its context hands down."""

    share: Table
    backoff: Table


@dataclass(frozen=True, eq=False)
class Trigram:
    """Interpolated Kneser-Ney trigram over token ids (Kneser & Ney, 1995).

    Three discounts an order, from counts of counts (modified Kneser-Ney; Chen & Goodman, 1999).
    Below the trigrams an n-gram counts the distinct tokens before it; only at the start of a
    sequence, where nothing can stand before it, does it count its occurrences (Heafield et al.,
    2013). A uniform distribution over the vocabulary lies under the unigrams.
    """

    vocabulary: int
    orders: tuple[Order, ...]
    """Unigrams, bigrams, trigrams."""

    @classmethod
    def fit(cls, sequences: Iterable[IntArray], vocabulary: int) -> "Trigram":
        """The model of `sequences`, each one example: prompt, completion, end-of-text."""
        if not 1 <= vocabulary <= LARGEST_VOCABULARY:
            raise ValueError(f"vocabulary is {vocabulary}, not within 1 to {LARGEST_VOCABULARY}")
        # The mark for the beginning is an id of its own: a context, never predicted.
        begin, base = np.array([vocabulary]), vocabulary + 1
        parts = [p for s in sequences for p in (begin, checked(s, vocabulary))]
        stream = np.concatenate(parts) if parts else np.empty(0, np.int64)
        trigrams, n_trigrams = np.unique(packed_trigrams(stream, vocabulary), return_counts=True)
        bigrams, n_bigrams = np.unique(trigrams % base**2, return_counts=True)
        openings, n_openings = np.unique(first_bigrams(stream, vocabulary), return_counts=True)
        # Still sorted: the mark is the largest id, so the openings follow all other bigrams.
        bigrams = np.concatenate([bigrams, openings])
        n_bigrams = np.concatenate([n_bigrams, n_openings])
        unigrams, n_unigrams = np.unique(bigrams % base, return_counts=True)
        counted = ((unigrams, n_unigrams), (bigrams, n_bigrams), (trigrams, n_trigrams))
        return cls(vocabulary, tuple(discounted(keys, n, base) for keys, n in counted))

    def nats(self, sequence: IntArray, n_prompt: int) -> FloatArray:
        """Negative log-probability of each token after the first `n_prompt`, given the two before.

        Nats a token, shape (L - n_prompt,); lower is better.
        """
        tokens = checked(sequence, self.vocabulary)
        if not 0 <= n_prompt <= len(tokens):
            raise ValueError(f"n_prompt is {n_prompt}, for a sequence of {len(tokens)} tokens")
        # No trigram has the mark in its middle: a first token falls through to its bigram.
        padded = np.concatenate([np.full(2, self.vocabulary), tokens])[n_prompt:]
        base = self.vocabulary + 1
        bigrams = padded[1:-1] * base + padded[2:]
        trigrams = padded[:-2] * base**2 + bigrams
        probability = np.full(len(bigrams), 1 / self.vocabulary)
        for order, keys in zip(self.orders, (padded[2:], bigrams, trigrams), strict=True):
            probability = order.share(keys) + order.backoff(keys // base) * probability
        return np.asarray(-np.log(probability), dtype=np.float64)


def checked(sequence: IntArray, vocabulary: int) -> Int64Array:
    """The ids as int64, each within the vocabulary."""
    tokens = np.asarray(sequence, dtype=np.int64)
    if tokens.size and not 0 <= tokens.min() <= tokens.max() < vocabulary:
        raise ValueError(
            f"token ids run from {tokens.min()} to {tokens.max()}, outside the vocabulary of "
            f"{vocabulary}. Score with the tokenizer that made the ids."
        )
    return tokens


def packed_trigrams(stream: Int64Array, begin: int) -> Int64Array:
    """The trigrams of a stream of sequences, each opened by `begin`; none spans two sequences."""
    base = begin + 1
    inside = (stream[1:-1] != begin) & (stream[2:] != begin)
    packed = (stream[:-2] * base + stream[1:-1]) * base + stream[2:]
    trigrams: Int64Array = packed[inside]
    return trigrams


def first_bigrams(stream: Int64Array, begin: int) -> Int64Array:
    """The bigrams of `begin` and a sequence's first token; empty sequences have none."""
    opens = (stream[:-1] == begin) & (stream[1:] != begin)
    packed: Int64Array = begin * (begin + 1) + stream[1:][opens]
    return packed


def discounted(keys: Int64Array, counts: Int64Array, base: int) -> Order:
    """Takes a discount from each count and gives it, context by context, to the order below."""
    contexts, of_key = np.unique(keys // base, return_inverse=True)
    totals = np.bincount(of_key, weights=counts)
    discounts = np.array([0.0, *estimated_discounts(counts)])[np.minimum(counts, 3)]
    backoffs = np.bincount(of_key, weights=discounts) / totals
    shares = (counts - discounts) / totals[of_key]
    return Order(Table.of(keys, shares, default=0.0), Table.of(contexts, backoffs, default=1.0))


def estimated_discounts(counts: Int64Array) -> tuple[float, float, float]:
    """Discounts for n-grams seen once, twice and more often (Chen & Goodman, 1999, equation 17).

    Where counts of one to four are too rare for positive estimates, `FALLBACK_DISCOUNTS`.
    """
    n1, n2, n3, n4 = (int(n) for n in np.bincount(np.minimum(counts, 5), minlength=6)[1:5])
    if not (n1 and n2 and n3):
        return FALLBACK_DISCOUNTS
    y = n1 / (n1 + 2 * n2)
    estimates = (y, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3)
    return estimates if min(estimates) > 0 else FALLBACK_DISCOUNTS
