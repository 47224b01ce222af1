"""Geometry of the report's plots: where things stand, in percent of the plot's width or height.

Percent, not pixels: an SVG without a viewBox then fits a phone with its letters unshrunk.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from careergpt.compare.comparison import PairedScore
from careergpt.compare.statistics import Interval

MOST_POINTS = 2000
"""Points drawn; of more, a sample: the page stays under a megabyte."""

_FINE, _COARSE, _DECADES = (1, 1.5, 2, 3, 4, 5, 6, 7, 8), (1, 2, 5), (1,)


class Scale(NamedTuple):
    """The values at both ends of an axis."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where the value stands, in percent; what lies outside stands at the end."""
        part = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(part, 0.0), 1.0), 2)


class Tick(NamedTuple):
    """A mark on an axis: where, in percent, and what it says."""

    at: float
    label: str


class Mark(NamedTuple):
    """An interval on an axis, in percent; one that knows no bounds spans all of it."""

    low: float
    at: float
    high: float
    bounded: bool


class Dot(NamedTuple):
    """An example: baseline to the right, fine-tuned upwards, in percent from the left and top."""

    x: float
    y: float
    change: Literal["easier", "harder", "same"]
    score: PairedScore


class Scatter(NamedTuple):
    """Examples before and after; `drawn` of them are a seeded sample of all that have a cost."""

    dots: tuple[Dot, ...]
    ticks: tuple[Tick, ...]
    easier: int
    total: int


def scale_of(values: Iterable[float], room: float = 0.05) -> Scale:
    """A scale that holds the finite values, with a share of their span free at both ends."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    span = max(finite) - min(finite) or max(abs(finite[0]), 1.0)
    return Scale(min(finite) - room * span, max(finite) + room * span)


def linear_ticks(scale: Scale) -> tuple[Tick, ...]:
    """A few round values."""
    return tuple(Tick(scale.at(value), label) for value, label in linear_values(scale))


def linear_values(scale: Scale, most: int = 6) -> list[tuple[float, str]]:
    """Values and their labels in steps of 1, 2 or 5 times a power of ten, some six of them."""
    raw = (scale.high - scale.low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    multiples = [k * step for k in range(first, last + 1)]
    return [(value, f"{value:,.{places}f}".replace("-", "−")) for value in multiples]


def log_ticks(scale: Scale, most: int = 8) -> tuple[Tick, ...]:
    """Round values on a scale of natural logarithms: 1, 2, 5, 10, or decades, at most so many."""
    low, high = scale.low / math.log(10), scale.high / math.log(10)
    decades = range(math.floor(low), math.floor(high + 1e-9) + 1)
    for factors in (_FINE, _COARSE, _DECADES):
        logs = [d + math.log10(f) for d in decades for f in factors]
        inside = [log for log in logs if low - 1e-9 <= log <= high + 1e-9]
        if len(inside) <= most:
            break
    if len(inside) < 2 and scale.high < 700:
        even = linear_values(Scale(math.exp(scale.low), math.exp(scale.high)))
        return tuple(Tick(scale.at(math.log(value)), label) for value, label in even if value > 0)
    kept = inside[:: math.ceil(len(inside) / most) or 1]
    return tuple(Tick(scale.at(log * math.log(10)), _power(log)) for log in kept)


def symmetric_mark(interval: Interval) -> Mark | None:
    """The interval on an axis of its own with zero in the middle; None where nothing is known."""
    if not math.isfinite(interval.estimate):
        return None
    reach = max((abs(v) for v in interval if math.isfinite(v)), default=0.0) * 1.12 or 1.0
    return mark(interval, Scale(-reach, reach))


def mark(interval: Interval, scale: Scale) -> Mark:
    """The interval on the scale."""
    bounded = math.isfinite(interval.low) and math.isfinite(interval.high)
    ends = (interval.low, interval.high) if bounded else (scale.low, scale.high)
    return Mark(scale.at(ends[0]), scale.at(interval.estimate), scale.at(ends[1]), bounded)


def scatter(scores: Sequence[PairedScore], same_tokenizer: bool) -> Scatter | None:
    """Perplexity (bits a byte if tokenizers differ) before and after; None of under two points."""
    logs = [(score, log_costs(score, same_tokenizer)) for score in scores]
    known = [(score, pair) for score, pair in logs if pair is not None]
    if len(known) < 2:
        return None
    # One scale for both axes: only then is the diagonal where nothing changed.
    scale = scale_of([value for _, pair in known for value in pair])
    drawn = random.Random(0).sample(known, min(MOST_POINTS, len(known)))
    dots = [
        Dot(scale.at(before), round(100 - scale.at(after), 2), _change(before, after), score)
        for score, (before, after) in drawn
    ]
    easier = sum(after < before for _, (before, after) in known)
    return Scatter(tuple(dots), log_ticks(scale), easier, len(known))


def costs(score: PairedScore, same_tokenizer: bool) -> tuple[float, float]:
    """Nats a token under both models; bits a byte if tokenizers differ. NaN of an empty text."""
    units = score.tokens if same_tokenizer else (score.n_bytes * math.log(2),) * 2
    first, second = (n / u if u else math.nan for n, u in zip(score.nats, units, strict=True))
    return first, second


def log_costs(score: PairedScore, same_tokenizer: bool) -> tuple[float, float] | None:
    """Logarithms of the perplexity, or of bits a byte; None where they are not known."""
    pair = costs(score, same_tokenizer)
    if not same_tokenizer:
        # A text that costs nothing has no place on a logarithmic axis.
        pair = (math.log(pair[0]), math.log(pair[1])) if min(pair) > 0 else (math.nan, math.nan)
    return pair if all(math.isfinite(value) for value in pair) else None


def _change(before: float, after: float) -> Literal["easier", "harder", "same"]:
    if before == after:
        return "same"
    return "easier" if after < before else "harder"


def _power(log10: float) -> str:
    decade = math.floor(log10 + 1e-9)
    # Taken apart: a model that diverged has perplexities that no float holds.
    factor = 10 ** (log10 - decade)
    return f"{factor * 10.0**decade:,.4g}" if abs(decade) < 4 else f"{factor:.2g}e{decade}"
