"""Words in the shades of their surprise: one scale for all models and all records."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from careergpt.compare.comparison import Word
from careergpt.compare.report.numbers import number

ODDS = (2, 10, 100, 1_000, 10_000, 100_000)
"""Edges of the shades: one chance in so many; their logarithms are nats."""

SHOWN_WORDS, _SLACK = 120, 20


class Shade(NamedTuple):
    """A shade of the legend: its place, its nats, the chance that the word had."""

    place: int
    nats: str
    odds: str


class Shaded(NamedTuple):
    """A word: the space before it, its text, its shade (-1: nats not known), the nats in words."""

    space: str
    text: str
    place: int
    says: str


class Folded(NamedTuple):
    """What is shown at once, and what only on request."""

    shown: tuple[Shaded, ...]
    rest: tuple[Shaded, ...]


def legend() -> list[Shade]:
    """The shades from expected to startling."""
    edges = [f"{math.log(odds):.1f}" for odds in ODDS]
    nats = [f"under {edges[0]}", *map("{} to {}".format, edges, edges[1:]), f"{edges[-1]} or more"]
    odds = [f"better than 1 in {ODDS[0]}", *(f"1 in {a:,} to {b:,}" for a, b in pairwise(ODDS))]
    odds.append(f"rarer than 1 in {ODDS[-1]:,}")
    return [Shade(place, *texts) for place, texts in enumerate(zip(nats, odds, strict=True))]


def shaded(words: Sequence[Word]) -> Folded:
    """The words in their shades; a long text folds after some 120."""
    # The space that joins the completion to its prompt would indent its first line.
    all_words = tuple(_shade(word) for word in words)
    all_words = tuple(w._replace(space="") for w in all_words[:1]) + all_words[1:]
    fold = SHOWN_WORDS if len(words) > SHOWN_WORDS + _SLACK else len(words)
    return Folded(all_words[:fold], all_words[fold:])


def _shade(word: Word) -> Shaded:
    text = word.text.lstrip()
    space = word.text[: len(word.text) - len(text)]
    place = -1 if math.isnan(word.nats) else bisect_right(ODDS, math.exp(min(word.nats, 700)))
    # White space alone is coloured itself: it may be what surprised.
    return Shaded(*((space, text) if text else ("", space)), place, f"{number(word.nats, 2)} nats")
