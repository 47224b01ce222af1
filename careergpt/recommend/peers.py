"""The count models that each ranking is measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from careergpt.data.tasks import Fields
from careergpt.recommend.by_title import SkillsByTitle
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.cloze import LISTS
from careergpt.recommend.markov import MarkovChain
from careergpt.recommend.neighbours import SkillNeighbours
from careergpt.recommend.popularity import Popularity

Ranker = Callable[[Sequence[Fields]], Float64[np.ndarray, "N C"]]
"""From what is known of each query to its log-probabilities, normalised over the candidates."""

ASKED_BY = {"path": "titles", "position": "skills", "skills": "position_title"}
"""For each ranking the field that a count model goes by."""


RANKS = {"path": "titles", "position": "titles", "skills": "skills"}
"""For each ranking the kind of its candidates: careers and positions have one list of titles."""


@runtime_checkable
class Peer(Protocol):
    """A count model of one ranking."""

    def log_probabilities(self, known: Any, /) -> Float64[np.ndarray, " C"]:
        """Log-probability of each candidate."""

    def save(self, folder: Path) -> None:
        """Writes its tables."""


Peers = Mapping[str, Peer]


class Names(NamedTuple):
    """The candidates of all rankings; those of a kind that no record names are none."""

    titles: Candidates
    skills: Candidates

    def of(self, name: str) -> Candidates:
        """What a task ranks."""
        found: Candidates = getattr(self, RANKS[name])
        return found


def fit_peers(name: str, records: Iterable[Fields], names: Names) -> Peers:
    """Counts the training records: popularity, and what there is beside it for the ranking.

    Args:
        name: The ranking.
        records: Fields of the training records.
        names: The candidates.
    """
    if name == "path":
        careers = [_listed(record, "titles") for record in records]
        moved = (title for career in careers for title in career[1:])
        markov = MarkovChain.fit(careers, names.titles)
        return {"popularity": Popularity.fit(moved, names.titles), "markov": markov}
    postings = list(_postings(records))
    if name == "skills":
        named = (skill for skills, _ in postings for skill in skills)
        by_title = SkillsByTitle.fit(postings, names.titles, names.skills)
        return {"popularity": Popularity.fit(named, names.skills), "by_title": by_title}
    popularity = Popularity.fit((title for _, title in postings), names.titles)
    neighbours = SkillNeighbours.fit(postings, names.skills, names.titles)
    return {"popularity": popularity, "neighbours": neighbours}


def load_peers(name: str, folder: Path, names: Names) -> Peers:
    """What the peers saved into the folder."""
    titles, skills = names
    popularity = Popularity.load(folder, names.of(name))
    if name == "path":
        return {"popularity": popularity, "markov": MarkovChain.load(folder, titles)}
    if name == "skills":
        return {"popularity": popularity, "by_title": SkillsByTitle.load(folder, titles, skills)}
    return {"popularity": popularity, "neighbours": SkillNeighbours.load(folder, skills, titles)}


def ranker_of(name: str, peer: Peer) -> Ranker:
    """The peer as one that ranks by what is known of each query."""

    def rank(queries: Sequence[Fields]) -> Float64[np.ndarray, "N C"]:
        field = ASKED_BY[name]
        nothing = () if field in LISTS else ""
        return np.stack([peer.log_probabilities(query.get(field, nothing)) for query in queries])

    return rank


def _listed(record: Fields, field: str) -> tuple[str, ...]:
    value = record.get(field, ())
    return (value,) if isinstance(value, str) else value


def _postings(records: Iterable[Fields]) -> Iterable[tuple[tuple[str, ...], str]]:
    """(skills, position) of the records that have both."""
    for record in records:
        skills, title = _listed(record, "skills"), record.get("position_title")
        if skills and isinstance(title, str):
            yield skills, title
