"""Count models of positions by skills: what lists of skills in training say of a list."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Float64
from scipy import sparse
from scipy.special import log_softmax

from careergpt.data.names import key_words
from careergpt.data.tasks import Fields
from careergpt.recommend.arrays import of_shape, read_arrays, write_arrays
from careergpt.recommend.candidates import Candidates, items_in
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
from careergpt.recommend.embeddings import WIDE, bundled_encoder, bundled_model, embedded

NEIGHBOURS = 50

PRIOR_VOTES = 3.0
"""Votes shared out by popularity; of 0.3, 1, 3 and 10 it cost the fewest validation nats."""

ANY, POWER, VOTES = 0.5, 0.6, 0.3
"""Share of a title's words that are any title's, the power that makes up for words that come
together, and the weight of the neighbours' votes: of grids around them these cost about the fewest
nats on held-out lists of postings, O*NET and ESCO, whole and cut to two, three and five skills."""

NAME, WIDTH = 0.6, 0.1
"""Part of a title's vector that is its name, and the cosines' width. On two splits ESCO's lists
gained 0.01 to 0.04 of MRR, the most where three skills were told by other labels of theirs; those
of O*NET, software for the most part, lost up to 0.03. A width of 0.15 costs O*NET's fewer nats."""

EMBEDDED = 20_000
"""Names of each kind that are embedded, the most frequent ones: 14,000 took two cores 74 s."""


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
        for record in postings_in(records):
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
        weights, vectors = self._vectors
        words = _words(given, self._columns)
        found = weights[words] / np.linalg.norm(weights[words])
        return sparse.csr_array((found, words, [0, len(words)]), shape=(1, vectors.shape[1]))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return _columns(self.candidates["skills"])

    @cached_property
    def _vectors(self) -> tuple[Float64[np.ndarray, " W"], sparse.csc_array]:
        """The weights of words, and the lists as vectors of length 1."""
        from sklearn.feature_extraction.text import TfidfTransformer

        tf_idf = TfidfTransformer().fit(self.tables["_words"])
        return tf_idf.idf_, sparse.csc_array(tf_idf.transform(self.tables["_words"]))


class Profiles(OfAnother, Neighbours):
    """The neighbours' votes, Bayes' rule over all that a title's lists say, and what they mean.

    A list tells of eight skills what its title asks for, and all its lists tell of fifty: where one
    list is near by chance, the title's words decide. P(word | title) is the share of the title's
    words, interpolated with that of all (Jelinek & Mercer, 1980), and P(title) its share of lists.

    People name few skills, and in their own words: no list has "cold calling", and "packing" stands
    in those of footwear alone. So the weighted mean of both is multiplied by how near the skills
    are in meaning to those of the title, and to its name. Skills are sentence embeddings, a person
    is the mean of theirs, and a title that of its lists' and, by a part, its name.

    Attributes:
        vectors: "titles" and "skills", a row for each, of skills but the most frequent; None where
            they were never embedded: words alone count.
    """

    vectors: Mapping[str, Float32[np.ndarray, "N D"]] | None = None

    @classmethod
    def fit(cls, task: str, candidates: Kinds, records: Sequence[Fields]) -> Profiles:
        """Counts and, where the extra `embeddings` is there, embeds."""
        model = cls(task, candidates, cls.count(task, candidates, records))
        if bundled_model() is not None:
            model.vectors = _embedded(candidates, records)
        return model

    def distribution(self, given: tuple[str, ...]) -> Logs:
        """The weighted mean of words, times the meaning where a skill has one."""
        by_words = self._by_words(given)
        found = [vector for skill in given if (vector := self._vector(skill)) is not None]
        if not found or self.vectors is None:
            return by_words
        like = self.vectors["titles"] @ _unit(np.mean(found, axis=0))
        return np.asarray(log_softmax(by_words + like.astype(np.float64) / WIDTH))

    def _by_words(self, given: tuple[str, ...]) -> Logs:
        said, prior, words = self._profiles
        columns = _words(given, self._columns)
        shares = (1 - ANY) * said[:, columns].toarray() + ANY * words[columns]
        by_titles = log_softmax(np.log(prior) + POWER * np.log(shares).sum(axis=1))
        votes = super().distribution(given)
        return np.asarray(np.logaddexp(np.log(VOTES) + votes, np.log1p(-VOTES) + by_titles))

    @cached_property
    def _profiles(
        self,
    ) -> tuple[sparse.csc_array, Logs, Float64[np.ndarray, " W"]]:
        """(titles, words) each word's share of its title's, and the shares of titles and words."""
        words, positions = self.tables["_words"], self.tables["_positions"]
        counts = sparse.csr_array(positions.T @ words, dtype=np.float64)
        sums = np.maximum(counts.sum(axis=1), 1)
        said = sparse.csc_array(sparse.diags_array(1 / sums) @ counts)
        return said, shares_of(positions.sum(axis=0)), shares_of(words.sum(axis=0))

    def _vector(self, skill: str) -> Float32[np.ndarray, " D"] | None:
        """The skill's; None where nothing can be embedded."""
        if self.vectors is None:
            return None
        place, vectors = self.candidates["skills"].place(skill), self.vectors["skills"]
        if place is not None and place < len(vectors):
            return np.asarray(vectors[place])
        return None if bundled_model() is None else embedded(skill)

    def save(self, folder: Path, name: str) -> None:
        """Writes the vectors in half precision; the counts are another's."""
        if self.vectors is not None:
            halves = {kind: vectors.astype(np.float16) for kind, vectors in self.vectors.items()}
            write_arrays(folder / f"{name}.npz", halves)

    @classmethod
    def load(cls, task: str, candidates: Kinds, folder: Path, name: str) -> Profiles:
        """Of the tables of the model that counts for the task, and the vectors if there are any."""
        model = cls(task, candidates, super().load(task, candidates, folder, name).tables)
        path = folder / f"{name}.npz"
        if vectors := read_arrays(path):
            rows = {"titles": len(candidates["titles"])}
            rows["skills"] = min(len(candidates["skills"]), EMBEDDED)
            model.vectors = {
                kind: of_shape(path, vectors.get(kind, np.empty(0)), (number, WIDE)).astype("f4")
                for kind, number in rows.items()
            }
        return model


def _embedded(candidates: Kinds, records: Sequence[Fields]) -> dict[str, np.ndarray]:
    """Vectors of titles, the mean of their skills' and a part of their name's, and of skills."""
    encode, titles, skills = bundled_encoder(), candidates["titles"], candidates["skills"]
    vectors = encode(skills.names[:EMBEDDED])
    pairs = {
        (title, place)
        for record in postings_in(records)
        if (title := titles.place(str(record["position_title"]))) is not None
        for place in skills.places_of(items_in(record, "skills"))
        if place < len(vectors)
    }
    has = table_of(sorted(pairs), (len(titles), len(vectors)))
    named = np.zeros((len(titles), vectors.shape[1]), dtype=np.float32)
    named[:EMBEDDED] = encode(titles.names[:EMBEDDED])
    found = {"titles": _unit(has @ vectors) + NAME * named, "skills": vectors}
    # As a folder keeps them: it answers as what was fitted does.
    return {kind: some.astype(np.float16).astype(np.float32) for kind, some in found.items()}


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Of length 1; zeros stay."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-9), dtype=np.float32)


def _columns(skills: Candidates) -> dict[str, int]:
    """The words of the candidate skills, each with its column."""
    return {word: column for column, word in enumerate(sorted(skills.words))}


def _words(skills: Iterable[str], columns: Mapping[str, int]) -> list[int]:
    """The columns of the skills' words, each once."""
    words = {word for skill in skills for word in key_words(skill)}
    return sorted(columns[word] for word in words if word in columns)
