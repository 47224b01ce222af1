"""The count models that each ranking is measured against."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from careergpt.data.tasks import Fields
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.markov import MarkovChain
from careergpt.recommend.neighbours import SkillNeighbours
from careergpt.recommend.popularity import Popularity

Ranker = Callable[[Sequence[Fields]], Float64[np.ndarray, "N C"]]
"""From what is known of each query to its log-probabilities, normalised over the candidates."""

ASKED_BY = {"path": "titles", "position": "skills", "skills": "position_title"}
"""For each ranking the field that a count model goes by."""


class Peer(Protocol):
    """A count model of one ranking."""

    def log_probabilities(self, known: Any, /) -> Float64[np.ndarray, " C"]:
        """Log-probability of each candidate."""

    def save(self, folder: Path) -> None:
        """Writes its tables."""


Peers = Mapping[str, Peer]


def fit_peers(
    name: str, records: Iterable[Fields], candidates: Candidates, skills: Candidates | None
) -> Peers:
    """Counts the training records; peers are called popularity, markov and neighbours.

    Args:
        name: The ranking.
        records: Fields of the training records.
        candidates: What is ranked.
        skills: The skills that neighbours are found by; None: no record names any.
    """
    records = list(records)
    if name == "path":
        careers = [_listed(record, "titles") for record in records]
        moved = (title for career in careers for title in career[1:])
        markov = MarkovChain.fit(careers, candidates)
        return {"popularity": Popularity.fit(moved, candidates), "markov": markov}
    if name == "skills":
        named = (skill for record in _postings(records) for skill in record[0])
        return {"popularity": Popularity.fit(named, candidates)}
    postings = list(_postings(records))
    peers: dict[str, Peer] = {
        "popularity": Popularity.fit((title for _, title in postings), candidates)
    }
    if skills is not None:
        peers["neighbours"] = SkillNeighbours.fit(postings, skills, candidates)
    return peers


def load_peers(name: str, folder: Path, candidates: Candidates, skills: Candidates | None) -> Peers:
    """What the peers saved into the folder."""
    peers: dict[str, Peer] = {"popularity": Popularity.load(folder, candidates)}
    if name == "path":
        peers["markov"] = MarkovChain.load(folder, candidates)
    if name == "position" and skills is not None:
        peers["neighbours"] = SkillNeighbours.load(folder, skills, candidates)
    return peers


def ranker_of(name: str, peer: Peer) -> Ranker:
    """The peer as one that ranks by what is known of each query."""

    def rank(queries: Sequence[Fields]) -> Float64[np.ndarray, "N C"]:
        field = ASKED_BY[name]
        return np.stack([peer.log_probabilities(query.get(field, ())) for query in queries])

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
