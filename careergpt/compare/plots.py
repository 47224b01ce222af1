"""Geometry of the report's plots: where things stand, in percent of the plot's width or height.

Percent, not pixels: an SVG without a viewBox then fits a phone with its letters unshrunk. Dicts are
for the templates and nothing else.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from careergpt.compare.comparison import BASELINE, FINETUNED, Comparison
from careergpt.compare.metrics import instance_losses
from careergpt.compare.scores import rows_of
from careergpt.compare.statistics import FloatArray, Interval, Verdict
from careergpt.compare.wording import losses

MOST_POINTS = 2000
"""Points drawn; of more, a sample: the page stays under a megabyte."""

MOST_TITLES = 20

# What is summed of a title's examples before a loss is divided.
_SUMMED = ("nats", "tokens", "n_bytes")
_DIRECTIONS: dict[float, Verdict] = {-1: "better", 0: "no difference found", 1: "worse"}

_FINE, _COARSE, _DECADES = (1, 1.5, 2, 3, 4, 5, 6, 7, 8), (1, 2, 5), (1,)


class Scale(NamedTuple):
    """The values at both ends of an axis."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where the value stands, in percent; what lies outside stands at the end."""
        part = (value - self.low) / (self.high - self.low)
        return round(100 * min(max(part, 0.0), 1.0), 2)


def scale_of(values: Iterable[float], room: float = 0.05) -> Scale:
    """A scale that holds the finite values, with a share of their span free at both ends."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    span = max(finite) - min(finite) or max(abs(finite[0]), 1.0)
    return Scale(min(finite) - room * span, max(finite) + room * span)


def round_values(scale: Scale, most: int = 6) -> list[tuple[float, str]]:
    """Values and their labels in steps of 1, 2 or 5 times a power of ten, some six of them."""
    raw = (scale.high - scale.low) / most
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= raw)
    first, last = math.ceil(scale.low / step), math.floor(scale.high / step)
    places = max(0, -math.floor(math.log10(step) + 1e-9))
    multiples = [k * step for k in range(first, last + 1)]
    return [(value, f"{value:,.{places}f}".replace("-", "−")) for value in multiples]


def log_ticks(scale: Scale, most: int = 8) -> list[tuple[float, str]]:
    """Round values on a scale of natural logarithms: 1, 2, 5, 10, or decades, at most so many.

    Where each stands, in percent, and its label.
    """
    low, high = scale.low / math.log(10), scale.high / math.log(10)
    decades = range(math.floor(low), math.floor(high + 1e-9) + 1)
    for factors in (_FINE, _COARSE, _DECADES):
        logs = [d + math.log10(f) for d in decades for f in factors]
        inside = [log for log in logs if low - 1e-9 <= log <= high + 1e-9]
        if len(inside) <= most:
            break
    if len(inside) < 2 and scale.high < 700:
        even = round_values(Scale(math.exp(scale.low), math.exp(scale.high)))
        return [(scale.at(math.log(value)), label) for value, label in even if value > 0]
    kept = inside[:: math.ceil(len(inside) / most) or 1]
    return [(scale.at(log * math.log(10)), _power(log)) for log in kept]


def _power(log10: float) -> str:
    decade = math.floor(log10 + 1e-9)
    # Taken apart: a model that diverged has perplexities that no float holds.
    factor = 10 ** (log10 - decade)
    return f"{factor * 10.0**decade:,.4g}" if abs(decade) < 4 else f"{factor:.2g}e{decade}"


def mark(interval: Interval, scale: Scale) -> dict[str, float]:
    """The interval on the scale; one that knows no bounds spans all of it."""
    bounded = math.isfinite(interval.low) and math.isfinite(interval.high)
    low, high = (interval.low, interval.high) if bounded else scale
    return {
        "low": scale.at(low),
        "at": scale.at(interval.estimate),
        "high": scale.at(high),
        "bounded": bounded,
    }


def symmetric_mark(interval: Interval) -> dict[str, float] | None:
    """The interval on an axis of its own with zero in the middle; None where nothing is known."""
    if not math.isfinite(interval.estimate):
        return None
    reach = max((abs(v) for v in interval if math.isfinite(v)), default=0.0) * 1.12 or 1.0
    return mark(interval, Scale(-reach, reach))


def scatter(
    scores: pa.Table, same_tokenizer: bool, model: str = FINETUNED
) -> dict[str, Any] | None:
    """Perplexity (bits a byte if tokenizers differ) before and after; None of under two points.

    Of each example under its own title: the baseline to the right, fine-tuned upwards. Those drawn
    are a seeded sample of all that have a loss.
    """
    rows, before, after = _losses(scores, same_tokenizer, model)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A text that costs nothing has no place on a logarithmic axis; a perplexity's is its loss.
        x, y = (before, after) if same_tokenizer else (np.log(before), np.log(after))
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y)).tolist()
    if len(known) < 2:
        return None
    # One scale for both axes: only then is the diagonal where nothing changed.
    scale = scale_of([*x[known].tolist(), *y[known].tolist()])
    dots = [
        {
            "x": scale.at(x[n]),
            "y": round(100 - scale.at(y[n]), 2),
            "change": "same" if x[n] == y[n] else "easier" if y[n] < x[n] else "harder",
            "title": rows[BASELINE]["title"][n],
            "task": rows[BASELINE]["task"][n],
            "before": float(before[n]),
            "after": float(after[n]),
        }
        for n in random.Random(0).sample(known, min(MOST_POINTS, len(known)))
    ]
    easier = int((y[known] < x[known]).sum())
    return {"dots": dots, "ticks": log_ticks(scale), "easier": easier, "total": len(known)}


def by_task(comparison: Comparison, model: str = FINETUNED) -> dict[str, Any] | None:
    """The loss's difference over all tasks and for each; None of a single row."""
    return _panel(
        (found.task or "all tasks", found.n, found.difference, found.verdict)
        for found in losses(comparison.findings, comparison.same_tokenizer)
        if found.model == model and math.isfinite(found.difference.estimate)
    )


def by_title(
    scores: pa.Table, same_tokenizer: bool, model: str = FINETUNED
) -> dict[str, Any] | None:
    """The titles with the most records, from most improved to least; None of a single title.

    Their differences have no interval: a title is what intervals are resampled by.
    """
    rows, before, after = _losses(scores, same_tokenizer, model)
    places: dict[str, list[int]] = {}
    for n in np.flatnonzero(np.isfinite(before) & np.isfinite(after)).tolist():
        if rows[BASELINE]["title"][n]:
            places.setdefault(rows[BASELINE]["cluster"][n], []).append(n)
    found = []
    for some in places.values():
        # Nats are summed and units counted, divided last.
        one, other = (
            instance_losses(
                {name: columns[name][some].sum(keepdims=True) for name in _SUMMED}, same_tokenizer
            )
            for columns in rows.values()
        )
        title, records = rows[BASELINE]["title"][some[0]], {*rows[BASELINE]["record"][some]}
        found.append((title, len(records), float(other[0] - one[0])))
    largest = sorted(found, key=lambda row: (-row[1], row[0]))[:MOST_TITLES]
    return _panel(
        # Which way it points; without an interval it is no more than that.
        (title, n, Interval(change, math.nan, math.nan), _DIRECTIONS[np.sign(change)])
        for title, n, change in sorted(largest, key=lambda row: row[2])
    )


def _losses(
    scores: pa.Table, same_tokenizer: bool, model: str
) -> tuple[dict[str, dict[str, NDArray[Any]]], FloatArray, FloatArray]:
    """Both models' rows, and what each example costs the baseline and the fine-tuned model."""
    rows = {name: rows_of(scores, name) for name in (BASELINE, model)}
    before, after = (instance_losses(columns, same_tokenizer) for columns in rows.values())
    return rows, before, after


def _panel(rows: Iterable[tuple[str, int, Interval, Verdict]]) -> dict[str, Any] | None:
    """Differences on one scale that has zero on it: what of, how many, how sure."""
    found = list(rows)
    if len(found) < 2:
        return None
    scale = scale_of([0.0, *(end for *_, difference, _ in found for end in difference)])
    return {
        "rows": [
            {
                "label": label,
                "n": n,
                "difference": difference,
                "mark": mark(_line(difference), scale),
                "verdict": verdict,
            }
            for label, n, difference, verdict in found
        ],
        "ticks": [(scale.at(value), label) for value, label in round_values(scale)],
        "zero": scale.at(0.0),
    }


def _line(difference: Interval) -> Interval:
    """The interval; where there is none, from zero to the difference."""
    value = difference.estimate
    if not math.isnan(difference.low):
        return difference
    return Interval(value, min(value, 0.0), max(value, 0.0))
