"""Findings in figures, for the report, the card and the terminal: the one formatter of numbers."""

from __future__ import annotations

import math

from careergpt.compare.comparison import Comparison, Finding
from careergpt.compare.scores import TitleEvidence
from careergpt.compare.statistics import Interval
from careergpt.modeling.loss import perplexity

UNKNOWN = "not known"
_SPACE = "\u00a0"  # A number is not torn from its unit at the end of a line.


# Numbers: digits that mean something, and words where there is none.


def decimals(value: float, digits: int = 4) -> int:
    """Decimals that show so many significant digits of the value; none of a whole 1,000."""
    if value == 0 or not math.isfinite(value):
        return 0
    return min(max(digits - 1 - math.floor(math.log10(abs(value))), 0), 6)


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
    """The value with so many digits, two of them at most decimals."""
    return number(value, min(decimals(value, digits), 2))


def as_perplexity(loss: float) -> str:
    """The perplexity of a loss in nats a token."""
    return brief(perplexity(loss))


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


def p_value(value: float) -> str:
    """A p to three decimals."""
    if not math.isfinite(value):
        return UNKNOWN
    return f"<{_SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def three_digits(value: float) -> str:
    """A number in a sentence: three significant digits, whole from 100 to a million."""
    if 99.95 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value else "0"


# A finding in a table.


def cells(found: Finding) -> dict[str, str]:
    """A finding's numbers: four digits of its values and two of its difference, all aligned."""
    values = [abs(v) for v in (found.baseline, found.finetuned) if math.isfinite(v)]
    change = found.difference.estimate
    places = max(min(decimals(max(values, default=0.0)), 3), decimals(change, 2))
    return {
        "baseline": number(found.baseline, places),
        "finetuned": number(found.finetuned, places),
        "trigram": "" if found.trigram is None else number(found.trigram, places),
        "difference": signed(change, places),
        "interval": bounds(found.difference, found.titles, places),
        # Cohen's d; where no two values differ there is none.
        "effect": "none: all differ alike" if math.isnan(found.effect) else signed(found.effect, 2),
        "wins": share(found.wins),
        "p": p_value(found.p_holm),
    }


def sizes(found: Finding) -> list[str]:
    """What size of difference a finding speaks of: the one it could find, the one that is none."""
    said = []
    if found.detectable is not None:
        least = three_digits(found.detectable)
        finds = f"would find ±{least} in 8 of 10 cases"
        said.append(finds if math.isfinite(found.detectable) else "too few titles to find any")
    if found.margin is not None:
        shown = "equivalent" if found.equivalent else "not shown to be equivalent"
        said.append(f"{shown} within ±{found.margin:g}")
    return said


def comparison_text(comparison: Comparison) -> str:
    """For a terminal: each model beside the baseline, what may be said of it, and the ranks."""
    models = [*comparison.models]
    wide = max(map(len, models)) + 2 if len(models) > 2 else 0
    lines = [
        f"{'metric':34}{'task':10}{'model'[:wide]:{wide}}{'n':>6}{'trigram':>9}{'baseline':>10}"
        f"{'finetuned':>11}{'difference':>12}{'95 % interval':>22}{'p (Holm)':>10}  verdict"
    ]
    for found in comparison.findings:
        difference, low, high = found.difference
        floor = "" if found.trigram is None else f"{found.trigram:.4f}"
        lines.append(
            f"{found.metric.label:34}{found.task or 'all':10}{found.model[:wide]:{wide}}"
            f"{found.n:>6,}{floor:>9}"
            f"{found.baseline:>10.4f}{found.finetuned:>11.4f}{difference:>+12.4f}"
            f"{f'{low:+.4f} to {high:+.4f}':>22}{found.p_holm:>10.4f}  "
            + "; ".join([found.verdict, *sizes(found)])
        )
    if comparison.ranks:
        labels = {found.metric.name: found.metric.label for found in comparison.findings}
        heads = "".join(f"{model:>{max(wide, 14)}}" for model in models)
        lines += ["", f"{'rank (95 % interval)':34}{heads}"]
    for metric, placed in comparison.ranks.items():
        told = "".join(f"{rank(placed[model]):>{max(wide, 14)}}" for model in models)
        lines.append(f"{labels[metric]:34}{told}")
    return "\n".join(lines)


def rank(placed: Interval) -> str:
    """A rank, and its bounds where there is doubt: 2 (2 to 3)."""
    at, low, high = placed
    return f"{at}" if low == high else f"{at} ({low} to {high})"


def evidence_text(evidence: TitleEvidence) -> str:
    """For a terminal and a card: what a title is worth to one model."""
    gain = evidence.gain
    if gain.low > 0:
        ruling = "the title helps"
    elif gain.high < 0:
        ruling = "the title misleads"
    else:
        ruling = "no difference found"
    before = ""
    if evidence.gain_before is not None and (change := evidence.change) is not None:
        before = (
            f"\nBefore training it saved {evidence.gain_before.estimate:.3f}: training changed its "
            f"worth by {change.estimate:+.3f} ({change.low:+.3f} to {change.high:+.3f})."
        )
    return "\n".join(
        [
            f"Perplexity of {evidence.records} unseen answers ({evidence.titles} titles), a token:",
            f"  under their true title     {evidence.perplexity_true:8.2f}",
            f"  under another's title      {evidence.perplexity_swapped:8.2f}",
            f"  trigram, same rows         {evidence.perplexity_trigram:8.2f}",
            f"The true title saves {gain.estimate:.3f} nats a token "
            f"(95 % interval {gain.low:.3f} to {gain.high:.3f}, by title): {ruling}." + before,
        ]
    )
