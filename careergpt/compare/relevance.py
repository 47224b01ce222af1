"""Relevance of a text to a title: the rank at which it finds a description of that title."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from statistics import fmean

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from careergpt.data.names import title_key
from careergpt.errors import InputError
from careergpt.recommend.embeddings import Encoder, sentence_encoder

Cosines = Float[np.ndarray, "..."]

CELLS_AT_ONCE = 2**22
"""Queries times descriptions compared at a time: 32 MiB, however many descriptions there are."""

# Embeddings of one text differ by less, whatever stands beside it in its batch (fp32).
_EQUAL = 1e-6


class DescriptionIndex:
    """Unseen descriptions, to be found by their cosine similarity to a query.

    Args:
        descriptions: The descriptions; TF-IDF learns from them how rare a word is.
        titles: The title of each; those that differ by case or punctuation only are one title.
        groups: The near-duplicate group of each.
        embedder: A sentence-transformers model, by folder or hub name; None: TF-IDF. It reads no
            further than its own context, often 256 tokens.
    """

    def __init__(
        self,
        descriptions: Sequence[str],
        titles: Sequence[str],
        groups: Sequence[int],
        embedder: str | None = None,
    ) -> None:
        self.descriptions, self.titles, self.groups = descriptions, titles, groups
        self._title_keys = np.array([title_key(title) for title in titles], dtype=object)
        encode = _tf_idf(descriptions) if embedder is None else sentence_encoder(embedder)
        self._encode, self._vectors = encode, encode(descriptions)

    def titled(self, title: str) -> NDArray[np.bool_]:
        """Which descriptions have the title."""
        return np.asarray(self._title_keys == title_key(title), dtype=np.bool_)

    def ranks(
        self, queries: Sequence[str], titles: Sequence[str], left_out: Sequence[Collection[int]]
    ) -> list[int | None]:
        """For each query the rank, from 1, of the most similar description of its title.

        Ties are pessimistic: descriptions of other titles that are as similar come first. So a
        query that is similar to nothing finds its title behind all others.

        Args:
            queries: Texts to search with.
            titles: The title that each is to find.
            left_out: Groups that each must not find, such as that of the record it stands for.

        Returns:
            None where no description of the title is left in.
        """
        ranks: list[int | None] = []
        step = max(1, CELLS_AT_ONCE // len(self.descriptions))
        for start in range(0, len(queries), step):
            some = slice(start, start + step)
            searches = zip(self._cosines(queries[some]), titles[some], left_out[some], strict=True)
            ranks += [self._rank(*search) for search in searches]
        return ranks

    def _cosines(self, queries: Sequence[str]) -> Cosines:
        """Similarity of each query to each description, (queries, descriptions)."""
        from sklearn.metrics.pairwise import linear_kernel

        cosines: Cosines = linear_kernel(self._encode(queries), self._vectors)
        return cosines

    def _rank(self, cosines: Cosines, title: str, left_out: Collection[int]) -> int | None:
        left_in = ~np.isin(self.groups, list(left_out))
        own = self.titled(title)
        if not (own & left_in).any():
            return None
        best = cosines[own & left_in].max()
        return 1 + int(np.count_nonzero(cosines[left_in & ~own] >= best - _EQUAL))


def relevance(rank: int) -> dict[str, float]:
    """Reciprocal rank, and 1 where the rank is among the first five: metric name -> [0, 1]."""
    return {"mrr": 1 / rank, "recall@5": float(rank <= 5)}


def relevance_bounds(
    index: DescriptionIndex, records: Sequence[int], *, seed: int
) -> dict[str, dict[str, float]]:
    """What whole real descriptions reach, as means over records: metric name -> ceiling, floor.

    A record's title is searched with its own description (ceiling), and with a description of
    another title (floor); each leaves out the groups of the record and of the query.

    Args:
        index: The unseen descriptions.
        records: Places in the index; those that have but one of the bounds are passed over.
        seed: Draws the descriptions of other titles.

    Returns:
        Empty where no record has both bounds.
    """
    generator = np.random.default_rng(seed)
    pairs = []
    for record in records:
        others = np.flatnonzero(~index.titled(index.titles[record]))
        if len(others):
            pairs.append((record, int(generator.choice(others))))
    ceiling = _real_ranks(index, [(record, record) for record, _ in pairs])
    floor = _real_ranks(index, pairs)
    found = [
        {"ceiling": relevance(own), "floor": relevance(other)}
        for own, other in zip(ceiling, floor, strict=True)
        if own and other
    ]
    return {
        name: {bound: fmean(one[bound][name] for one in found) for bound in ("ceiling", "floor")}
        for name in (relevance(1) if found else ())
    }


def _real_ranks(index: DescriptionIndex, pairs: Sequence[tuple[int, int]]) -> list[int | None]:
    """The rank of each record's title, searched with the second's description."""
    return index.ranks(
        [index.descriptions[query] for _, query in pairs],
        [index.titles[record] for record, _ in pairs],
        [{index.groups[record], index.groups[query]} for record, query in pairs],
    )


def _tf_idf(descriptions: Sequence[str]) -> Encoder:
    """TF-IDF with 1 + ln(tf), without English stop words (Manning et al., 2008, section 6.4)."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(sublinear_tf=True, stop_words="english")
    try:
        vectorizer.fit(descriptions)
    except ValueError as error:  # An empty vocabulary.
        raise InputError(
            f"the {len(descriptions)} unseen descriptions cannot be searched ({error}); "
            "compare on a table whose descriptions hold words, or with --answers 0"
        ) from None
    encode: Encoder = vectorizer.transform
    return encode
