"""Conditions on a comparison's differences: margins of equivalence, and the gate of a CI job.

| option | example | what it asks |
|---|---|---|
| `--equivalence` | loss=0.02,relevance_mrr=0.05 | is the difference within +-0.02? |
| `--gate` | loss<=-0.05,relevance_mrr>=0 | does its whole 95 % interval keep the condition? |

A gate judges the interval's worse bound. Judged by the estimate, a model that stands just on the
line would pass every other time; by the bound, one that breaks the condition passes in 1 of 40.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence

from careergpt.compare.comparison import Finding, Metric
from careergpt.errors import InputError

_CONDITION = re.compile(r"\s*(?P<name>[^\s<>=]+)\s*(?P<sign><=|>=|=)\s*(?P<value>\S+)\s*")


def check_conditions(
    equivalence: str, gate: str, known: Sequence[Metric], unmeasured: Collection[Metric]
) -> None:
    """Refuses what is malformed, and metrics that are not known or will not be measured.

    Args:
        equivalence: The option's value.
        gate: The option's value.
        known: Every metric that has an interval.
        unmeasured: Those that this comparison leaves out.

    Raises:
        InputError: In one line.
    """
    asked = [("--equivalence", name) for name in margins_of(equivalence, known)]
    asked += [("--gate", name) for name, *_ in _conditions("--gate", gate, ("<=", ">="), known)]
    left_out = {metric.name for metric in unmeasured}
    for option, name in asked:
        if name in left_out:
            there = ", ".join(metric.name for metric in known if metric.name not in left_out)
            raise InputError(f"{option}: {name} is not measured here; there are {there}")


def margins_of(equivalence: str, known: Sequence[Metric]) -> dict[str, float]:
    """Metric name -> the margin within which models count as equivalent.

    Raises:
        InputError: It is malformed, names no metric, or a margin is not above zero.
    """
    found = {}
    for name, _, margin in _conditions("--equivalence", equivalence, ("=",), known):
        if margin <= 0:
            raise InputError(
                f"--equivalence: the margin of {name} must be above 0, found {margin:g}"
            )
        found[name] = margin
    return found


def _conditions(
    option: str, text: str, signs: Sequence[str], known: Sequence[Metric]
) -> Iterator[tuple[str, str, float]]:
    """Each condition's metric, sign and value; a metric goes by its name or by its label."""
    names = {metric.name: metric.name for metric in known}
    names |= {re.sub(r"[^\w@]+", "_", metric.label.lower()): metric.name for metric in known}
    for part in text.split(",") if text else ():
        read = _CONDITION.fullmatch(part)
        value = _number(read["value"]) if read and read["sign"] in signs else math.nan
        if read is None or not math.isfinite(value):
            form = " or ".join(f"METRIC{sign}NUMBER" for sign in signs)
            raise InputError(f"{option}: {part.strip()!r} is no condition; write {form}")
        if read["name"] not in names:
            there = ", ".join(dict.fromkeys(names.values()))
            raise InputError(f"{option}: no metric {read['name']!r}; there are {there}")
        yield names[read["name"]], read["sign"], value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def broken(gate: str, findings: Sequence[Finding]) -> str:
    """Which conditions do not hold, and by how much, in one line; empty where all hold.

    A metric's finding over all tasks counts, of each model; one that was not measured breaks.
    """
    known = list(dict.fromkeys(found.metric for found in findings))
    told = [line for one in gate.split(",") if gate for line in _broken(one, known, findings)]
    return f"the gate is shut: {'; '.join(told)}" if told else ""


def _broken(part: str, known: Sequence[Metric], findings: Sequence[Finding]) -> Iterator[str]:
    try:
        [(name, sign, value)] = _conditions("--gate", part, ("<=", ">="), known)
    except InputError:  # It was known before the work.
        yield f"{part.strip()}: this metric could not be measured on these records"
        return
    judged: dict[str, Finding] = {}
    for found in findings:
        if found.metric.name == name:
            judged.setdefault(found.model, found)  # All tasks together come first.
    for model, found in judged.items():
        estimate, low, high = found.difference
        bound, side, beyond = (
            (high, "upper", high - value) if sign == "<=" else (low, "lower", value - low)
        )
        if not beyond <= 0:
            yield (
                f"{part.strip()} does not hold for {model}: the {side} bound of the difference is "
                f"{bound:.4g}, {beyond:.2g} beyond (estimate {estimate:.4g})"
            )
