"""Generated postings: as many rows as one likes, each anew from a seed, never all in memory."""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

EXACT, NEAR, CHAIN = 0.10, 0.05, 0.05
"""Shares of rows: copies, copies with a changed word, and a chain's postings for many towns."""

CHAIN_TEXTS = 20
"""Groups of a chain's postings grow with the table: what looks at all pairs shows it."""

WORDS = 450
"""Median length of a description, some 500 tokens of GPT-2's."""


class Posting(NamedTuple):
    """A row of the table, under the fields' names."""

    company_name: str
    position_title: str
    job_description: str
    skills: str


def postings(count: int, vocabulary: Sequence[str], seed: int = 0) -> Iterator[Posting]:
    """So many rows; the first are the same however many there are.

    Args:
        count: Rows.
        vocabulary: Words, the most frequent first: they are drawn by Zipf's law.
        seed: Decides all.
    """
    draw = np.random.default_rng(seed)
    chain = [_posting(draw, vocabulary) for _ in range(CHAIN_TEXTS)]
    recent = deque([_posting(draw, vocabulary)], maxlen=200)
    for _ in range(count):
        kind, some = draw.random(), int(draw.integers(len(recent)))
        if kind < EXACT:
            yield recent[some]
        elif kind < EXACT + NEAR:
            yield _changed(recent[some], _words(draw, vocabulary, 1)[0])
        elif kind < EXACT + NEAR + CHAIN:
            town = " ".join(_words(draw, vocabulary, 2)).title()
            yield _changed(chain[int(draw.integers(CHAIN_TEXTS))], town)
        else:
            recent.append(_posting(draw, vocabulary))
            yield recent[-1]


def write_postings(path: Path, count: int, vocabulary: Sequence[str]) -> None:
    """Writes the rows as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(Posting._fields)
        writer.writerows(postings(count, vocabulary))


def _posting(draw: np.random.Generator, vocabulary: Sequence[str]) -> Posting:
    length = int(min(WORDS * draw.lognormal(0, 0.5), 4 * WORDS)) + 20
    words = _words(draw, vocabulary, length)
    sentences = [" ".join(words[at : at + 15]).capitalize() for at in range(0, length, 15)]
    paragraphs = [". ".join(sentences[at : at + 5]) for at in range(0, len(sentences), 5)]
    if draw.random() < 0.1:  # As scrapes have them.
        paragraphs = [f"<p>{paragraph} &amp; more.</p>" for paragraph in paragraphs]
    company, title = _words(draw, vocabulary, 2), _words(draw, vocabulary, 3)
    skills = "|".join(_words(draw, vocabulary, 5))
    return Posting(
        " ".join(company).title(), " ".join(title).capitalize(), ".\n\n".join(paragraphs), skills
    )


def _words(draw: np.random.Generator, vocabulary: Sequence[str], count: int) -> list[str]:
    ranks = len(vocabulary) ** draw.random(count)
    return [vocabulary[int(rank) - 1] for rank in ranks]


def _changed(posting: Posting, word: str) -> Posting:
    text = posting.job_description
    middle = text.find(" ", len(text) // 2)
    return posting._replace(job_description=f"{text[:middle]} {word}{text[middle:]}")
