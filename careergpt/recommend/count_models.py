"""Count models: what training records' counts say of a query; the language model must beat them.

Each is a class here and a row in `COUNT_MODELS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.data.names import key_words, title_key
from careergpt.data.tasks import Fields
from careergpt.recommend.candidates import KIND, TARGET, Candidates, items_in
from careergpt.recommend.count_tables import (
    CountModel,
    Kinds,
    Logs,
    Tables,
    shares_of,
    table_of,
)
from careergpt.recommend.embeddings import NearNames

FALLBACK_DISCOUNT = 0.5
"""For samples in which no pair, or every pair, is seen once: too small to estimate from."""

ALIKE, LEAST, WIDTH = 10, 0.3, 0.2
"""Titles that count beside one, the least cosine of their letters, and the kernel's width."""

PRIOR, BACK, UNKNOWN = 20.0, 0.5, 2.0
"""Moves that titles of the same letters count for; what a move counts the other way; and moves that
the chain has without any. Of grids around them these cost about the fewest nats on all of careers'
moves, O*NET's, and those of O*NET's occupations whose own moves were held out."""

CHAIN = {"path": "markov", "skills": "by_title"}
"""The count model of each task whose table those alike take."""

NEIGHBOURS = 50

PRIOR_VOTES = 3.0
"""Votes shared out by popularity; of 0.3, 1, 3 and 10 it cost the fewest validation nats."""


class Popularity(CountModel):
    """The least that a ranking must beat: candidates by how often they were the answer.

    Of the titles that moves led to, the postings' titles, or their skills, whoever asks.
    """

    @classmethod
    def count(cls, task: str, candidates: Kinds, records: Sequence[Fields]) -> Tables:
        """Counts the answers."""
        known = candidates[KIND[task]]
        if task == "path":
            answers = (title for record in records for title in items_in(record, "titles")[1:])
        else:
            answers = (n for record in _postings(records) for n in items_in(record, TARGET[task]))
        found = ((0, place) for name in answers if (place := known.place(name)) is not None)
        return {"": table_of(found, (1, len(known)))}

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """Their shares, whatever is given."""
        return np.asarray(np.log(shares_of(self.tables[""].toarray()[0])))


class KneserNey(CountModel):
    """Interpolated Kneser-Ney (1995): P(candidate | the latest title that is a candidate).

    Of moves it is a Markov chain over titles, of postings it is which skills a title needs. Titles
    that are no candidates stand in no table; what has none before it shares the last row. On real
    careers the last two titles foretold no more than the last alone, and plain popularity below
    foretold less.

    One discount, n1 / (n1 + 2 n2) of the pairs seen once and twice (Ney, Essen & Kneser, 1994), is
    taken from each count and handed to the order below, in which a candidate counts the distinct
    rows that it was seen with, and one more. (Tokens have enough counts for the three discounts of
    `compare`'s trigrams, and a uniform order below: another law.)
    """

    @classmethod
    def count(cls, task: str, candidates: Kinds, records: Sequence[Fields]) -> Tables:
        """Counts careers' moves, and postings' titles with each of their skills."""
        titles = candidates["titles"]
        if task == "path":
            pairs = _moves((items_in(record, "titles") for record in records), titles)
        else:
            pairs = (
                (row, column)
                for record in _postings(records)
                for row in [_latest(items_in(record, "position_title"), titles)]
                for column in set(candidates["skills"].places_of(items_in(record, "skills")))
            )
        return {"": table_of(pairs, (len(titles) + 1, len(candidates[KIND[task]])))}

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """The row of the latest title that is a candidate, interpolated with the order below."""
        counts = self.tables[""]
        row = _latest(given, self.candidates["titles"])
        some = slice(*counts.indptr[row : row + 2])
        after, seen = counts.indices[some], counts.data[some]
        if not len(seen):
            return np.asarray(np.log(self.backoff))
        probabilities = self._discount * len(seen) * self.backoff
        probabilities[after] += seen - self._discount
        return np.asarray(np.log(probabilities / seen.sum()))

    def seen(self, title: str) -> int:
        """How often the title stands before a candidate in training."""
        place = self.candidates["titles"].place(title)
        return 0 if place is None else int(self.tables[""][[place]].sum())

    @cached_property
    def _discount(self) -> float:
        once, twice = (int((self.tables[""].data == n).sum()) for n in (1, 2))
        return once / (once + 2 * twice) if once and twice else FALLBACK_DISCOUNT

    @cached_property
    def backoff(self) -> Float64[np.ndarray, " C"]:
        """Probability of each candidate where nothing is known of the row."""
        counts = self.tables[""]
        return shares_of(np.bincount(counts.indices, minlength=counts.shape[1]))


class AlikeTitles(KneserNey):
    """The chain, in which moves from titles that are spelled alike, and the way back, count too.

    A chef whom training saw nowhere, or twice, is answered by head cooks; and where paramedics
    became nurses, a nurse may become a paramedic. The distributions are weighed by their evidence:
    the chain's by the title's moves and `UNKNOWN` more; that of the ten titles likest by letters
    (each exp((cosine - 1) / width)) by `PRIOR` times the largest cosine; and that of the titles
    before this one, of moves alone, by `BACK` of these moves. Its table is the chain's.
    """

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """The chain's, that of titles like the latest, and that of the titles before it."""
        own = super().distribution(given)
        title = given[-1] if given else ""
        place = self.candidates["titles"].place(title)
        parts = [(UNKNOWN + self.seen(title), np.exp(own))]
        if like := self._alike(title):
            weights = np.array([math.exp((cosine - 1) / WIDTH) for _, cosine in like])
            others = np.exp([super(AlikeTitles, self).distribution((name,)) for name, _ in like])
            parts.append((PRIOR * like[0][1], (weights / weights.sum()) @ others))
        if place is not None and self.task == "path":
            before = self._before[[place]].toarray()[0].astype(np.float64)
            before[place] = 0  # Who stays has not come from elsewhere.
            if seen := before.sum():
                parts.append((BACK * seen, before / seen))
        if len(parts) == 1:
            return own
        mixed = sum(weight * shares for weight, shares in parts)
        return np.asarray(np.log(mixed / sum(weight for weight, _ in parts)))

    def _alike(self, title: str) -> list[tuple[str, float]]:
        """Other titles that have moves and are spelled alike, and the cosine with each."""
        if not title or not self._near.names:
            return []
        found = [(self._near.names[at], like) for at, like in self._near.by_letters(title)]
        others = (one for one in found if title_key(one[0]) != title_key(title))
        return [one for one in islice(others, ALIKE) if one[1] >= LEAST]

    @cached_property
    def _near(self) -> NearNames:
        names, moves = self.candidates["titles"].names, np.diff(self.tables[""].indptr)
        return NearNames(tuple(name for name, some in zip(names, moves, strict=False) if some))

    @cached_property
    def _before(self) -> sparse.csr_array:
        """(titles, titles) how often each was left for this one."""
        return self.tables[""][: len(self.candidates["titles"])].T.tocsr()

    def save(self, folder: Path, name: str) -> None:
        """Nothing: the chain writes its table."""

    @classmethod
    def load(cls, task: str, candidates: Kinds, folder: Path, name: str) -> CountModel:
        """Of the chain's table."""
        return super().load(task, candidates, folder, CHAIN[task])


class Neighbours(CountModel):
    """The 50 training lists of skills most like the query vote for their titles, by their cosine.

    Lists are vectors of words by TF-IDF with ln((1 + n) / (1 + df)) + 1 (Manning et al., 2008,
    chapter 6): by whole skills, lists that say one thing in other words would never meet. Only
    words of candidate skills count: rarer ones stand in no table. The tables are (lists, words), 1
    where the list has the word, and (lists, titles), 1 at the list's title.
    """

    @classmethod
    def count(cls, task: str, candidates: Kinds, records: Sequence[Fields]) -> Tables:
        """Remembers the postings whose title is a candidate."""
        columns = _columns(candidates["skills"])
        lists, places = [], []
        for record in _postings(records):
            place = candidates["titles"].place(str(record["position_title"]))
            if place is not None:
                lists.append(_words(items_in(record, "skills"), columns))
                places.append(place)
        named = ((row, word) for row, words in enumerate(lists) for word in words)
        return {
            "_words": table_of(named, (len(lists), len(columns))),
            "_positions": table_of(enumerate(places), (len(lists), len(candidates["titles"]))),
        }

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """Where several lists are as near as the fiftieth, all vote: their order is no reason."""
        cosines, positions = self._cosines(given), self.tables["_positions"]
        near = np.flatnonzero(cosines > 0)
        if len(near) > NEIGHBOURS:
            farthest = np.partition(cosines, -NEIGHBOURS)[-NEIGHBOURS]
            near = np.flatnonzero(cosines >= farthest)
        prior = shares_of(np.bincount(positions.indices, minlength=positions.shape[1]))
        votes = positions[near].T @ cosines[near] + PRIOR_VOTES * prior
        return np.asarray(np.log(votes / votes.sum()))

    def _cosines(self, given: Iterable[str]) -> Float64[np.ndarray, " N"]:
        """Cosine of each remembered list with the query; 0 where it shares no word."""
        if not self.tables["_words"].nnz:
            return np.zeros(self.tables["_words"].shape[0])
        # Column by column: only lists that share a word are read.
        return np.asarray((self._vectors[1] @ self.query_vector(given).T).toarray()[:, 0])

    def query_vector(self, given: Iterable[str]) -> sparse.csr_array:
        """(1, words) the list as a vector of length 1."""
        tf_idf, vectors = self._vectors
        words = _words(given, self._columns)
        query = table_of(((0, word) for word in words), (1, vectors.shape[1]))
        return sparse.csr_array(tf_idf.transform(query))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return _columns(self.candidates["skills"])

    @cached_property
    def _vectors(self) -> tuple[Any, sparse.csc_array]:
        """The weights of words, and the lists as vectors of length 1."""
        from sklearn.feature_extraction.text import TfidfTransformer

        tf_idf = TfidfTransformer().fit(self.tables["_words"])
        return tf_idf, sparse.csc_array(tf_idf.transform(self.tables["_words"]))


COUNT_MODELS: Mapping[str, Mapping[str, type[CountModel]]] = {
    "path": {"popularity": Popularity, "markov": KneserNey, "alike": AlikeTitles},
    "position": {"popularity": Popularity, "neighbours": Neighbours},
    "skills": {"popularity": Popularity, "by_title": KneserNey, "alike": AlikeTitles},
}
"""Of each task, by the names that results and files give them."""


def _postings(records: Iterable[Fields]) -> Iterator[Fields]:
    """The records that have both a title and skills."""
    for record in records:
        if items_in(record, "skills") and isinstance(record.get("position_title"), str):
            yield record


def _latest(held: Sequence[str], titles: Candidates) -> int:
    """The place of the latest title that is a candidate; where there is none, their number."""
    places = (titles.place(title) for title in reversed(held))
    return next((place for place in places if place is not None), len(titles))


def _moves(careers: Iterable[Sequence[str]], titles: Candidates) -> Iterator[tuple[int, int]]:
    """(place of the latest candidate before, or their number; place of the candidate after)."""
    for career in careers:
        before = len(titles)
        for number, title in enumerate(career):
            place = titles.place(title)
            if place is not None:
                if number:
                    yield before, place
                before = place


def _columns(skills: Candidates) -> dict[str, int]:
    """The words of the candidate skills, each with its column."""
    words = {word for name in skills.names for word in key_words(name)}
    return {word: column for column, word in enumerate(sorted(words))}


def _words(skills: Iterable[str], columns: Mapping[str, int]) -> list[int]:
    """The columns of the skills' words, each once."""
    words = {word for skill in skills for word in key_words(skill)}
    return sorted(columns[word] for word in words if word in columns)
