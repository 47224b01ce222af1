"""Count models: what training records' counts say of a query; the language model must beat them.

Each is a class here or in `position_models`, and a row in `COUNT_MODELS`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.data.names import title_key
from careergpt.data.tasks import Fields
from careergpt.recommend.candidates import KIND, TARGET, Candidates, items_in
from careergpt.recommend.count_tables import (
    CountModel,
    Kinds,
    Logs,
    OfAnother,
    Tables,
    postings_in,
    shares_of,
    table_of,
)
from careergpt.recommend.embeddings import NearNames
from careergpt.recommend.position_models import Neighbours, Profiles

FALLBACK_DISCOUNT = 0.5
"""For samples in which no pair, or every pair, is seen once: too small to estimate from."""

ALIKE, LEAST, WIDTH = 10, 0.3, 0.2
"""Titles that count beside one, the least cosine of their letters, and the kernel's width."""

PRIOR, BACK, UNKNOWN = 20.0, 0.5, 2.0
"""Moves that titles of the same letters count for; what a move counts the other way; and moves that
the chain has without any. Of grids around them these cost about the fewest nats on all of careers'
moves, O*NET's, and those of O*NET's occupations whose own moves were held out."""


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
            answers = (n for record in postings_in(records) for n in items_in(record, TARGET[task]))
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
                for record in postings_in(records)
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


class AlikeTitles(OfAnother, KneserNey):
    """The chain, in which moves from titles that are spelled alike, and the way back, count too.

    A chef whom training saw nowhere, or twice, is answered by head cooks; and where paramedics
    became nurses, a nurse may become a paramedic. The distributions are weighed by their evidence:
    the chain's by the title's moves and `UNKNOWN` more; that of the ten titles likest by letters
    (each exp((cosine - 1) / width)) by `PRIOR` times the largest cosine; and that of the titles
    before this one, of moves alone, by `BACK` of these moves.
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


COUNT_MODELS: Mapping[str, Mapping[str, type[CountModel]]] = {
    "path": {"popularity": Popularity, "markov": KneserNey, "alike": AlikeTitles},
    "position": {"popularity": Popularity, "neighbours": Neighbours, "profiles": Profiles},
    "skills": {"popularity": Popularity, "by_title": KneserNey, "alike": AlikeTitles},
}
"""Of each task, by the names that results and files give them."""


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
