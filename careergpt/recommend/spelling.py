"""What a person means by a name that is no candidate: a slip of the pen, or something else."""

from __future__ import annotations

from difflib import get_close_matches

from careergpt.data.names import title_key
from careergpt.recommend.candidates import Candidates

_SLIP, _ALIKE = 0.9, 0.8
"""Ratcliff and Obershelp's likeness from which on a name is a slip, and one to be mentioned."""

_LONG = 5
"""Letters of a word in which a slip shows: a shorter one may be another word."""


def spelled(name: str, candidates: Candidates) -> str:
    """The candidate that the name is or, by a slip in long words, was to be; else the name."""
    place = candidates.place(name)
    if place is not None:
        return candidates.names[place]
    key = title_key(name)
    for other in get_close_matches(key, candidates.places, n=1, cutoff=_SLIP):
        if _is_slip(key.split(), other.split()):
            return candidates.names[candidates.places[other]]
    return name


def known_like(name: str, candidates: Candidates) -> list[str]:
    """Candidates of which the name may be a misspelling or a part, three at most."""
    key = title_key(name)
    words = set(key.split())
    found = get_close_matches(key, candidates.places, n=1, cutoff=_ALIKE)
    found = found or [other for other in candidates.places if words <= set(other.split())][:3]
    return [candidates.names[candidates.places[other]] for other in found]


def _is_slip(words: list[str], others: list[str]) -> bool:
    """Whether they differ in long words alone: level II is not level III, nor C the same as C#."""
    return len(words) == len(others) and all(
        word == other or (min(len(word), len(other)) >= _LONG and (word + other).isalpha())
        for word, other in zip(words, others, strict=True)
    )
