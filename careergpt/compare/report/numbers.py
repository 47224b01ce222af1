"""Numbers as a reader meets them: digits that mean something, and words where there is none."""

from __future__ import annotations

import math

from careergpt.compare.comparison import Finding
from careergpt.compare.statistics import Interval

UNKNOWN = "not known"
_SPACE = "\u00a0"  # A number is not torn from its unit at the end of a line.


def decimals(value: float, digits: int = 4) -> int:
    """Decimals that show so many significant digits of the value; none of a whole 1,000."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), 6)


def row_decimals(finding: Finding) -> int:
    """Decimals for all numbers of a finding: four digits of its values, two of its difference."""
    values = [v for v in (finding.baseline, finding.finetuned) if math.isfinite(v)]
    change = finding.difference.estimate
    return max(min(decimals(max(map(abs, values), default=0.0)), 3), decimals(change, 2))


def number(value: float, places: int = 3) -> str:
    """The value with so many decimals; a minus is a minus, not a hyphen."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return "infinite" if value > 0 else "minus infinite"
    text = f"{value:.2e}" if abs(value) >= 1e7 else f"{value:,.{places}f}"
    # What rounds to zero has no sign.
    return text.replace("-", "−") if float(text.replace(",", "")) else text.lstrip("-")


def signed(value: float, places: int = 3) -> str:
    """The value with its sign, as a difference has one."""
    text = number(value, places)
    rounds_up = value > 0 and any(digit in text for digit in "123456789")
    return f"+{text}" if rounds_up else text


def brief(value: float, digits: int = 4) -> str:
    """The value with so many digits, two of them at most decimals: a perplexity, say."""
    return number(value, min(decimals(value, digits), 2))


def bounds(interval: Interval, titles: int, places: int = 3) -> str:
    """The ends of an interval, or why there are none."""
    if math.isnan(interval.low) or math.isnan(interval.high):
        return "interval not known"
    if math.isinf(interval.low) or math.isinf(interval.high):
        return "no interval: a single title" if titles == 1 else "no bounds to it"
    return f"{signed(interval.low, places)} to {signed(interval.high, places)}"


def share(value: float) -> str:
    """A share in percent; what is not all or none is not rounded to it."""
    if not math.isfinite(value):
        return UNKNOWN
    if 0 < value < 0.01:
        return f"<{_SPACE}1{_SPACE}%"
    if 0.99 < value < 1:
        return f">{_SPACE}99{_SPACE}%"
    return f"{100 * value:.0f}{_SPACE}%"


def effect_size(value: float) -> str:
    """Cohen's d; where no two values differ there is none."""
    return "none: all differ alike" if math.isnan(value) else signed(value, 2)


def p_value(value: float) -> str:
    """A p to three decimals."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"<{_SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def count(value: int) -> str:
    """A whole number with its thousands apart."""
    return f"{value:,}"
