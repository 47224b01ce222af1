"""Findings in words and numbers, for the report, the card and the terminal: the one formatter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from careergpt.compare.comparison import DataFacts, Finding
from careergpt.compare.metrics import ANSWERS, BITS, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
from careergpt.compare.scores import TitleEvidence
from careergpt.compare.statistics import LEVEL, Interval, Verdict
from careergpt.modeling.loss import perplexity

UNKNOWN = "not known"
_SPACE = "\u00a0"  # A number is not torn from its unit at the end of a line.

_FEW = 20
"""Titles under which a bootstrap interval is too narrow."""


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


def findings_text(findings: Sequence[Finding]) -> str:
    """For a terminal: both models, the difference, and what may be said of it."""
    lines = [
        f"{'metric':34}{'task':10}{'n':>6}{'trigram':>9}{'baseline':>10}{'finetuned':>11}"
        f"{'difference':>12}{'95 % interval':>22}{'p (Holm)':>10}  verdict"
    ]
    for found in findings:
        difference, low, high = found.difference
        floor = "" if found.trigram is None else f"{found.trigram:.4f}"
        lines.append(
            f"{found.metric.label:34}{found.task or 'all':10}{found.n:>6,}{floor:>9}"
            f"{found.baseline:>10.4f}{found.finetuned:>11.4f}{difference:>+12.4f}"
            f"{f'{low:+.4f} to {high:+.4f}':>22}{found.p_holm:>10.4f}  {found.verdict}"
        )
    return "\n".join(lines)


def evidence_text(evidence: TitleEvidence) -> str:
    """For a terminal and a card: what a title is worth to one model."""
    gain = evidence.gain
    if gain.low > 0:
        ruling = "the title helps"
    elif gain.high < 0:
        ruling = "the title misleads"
    else:
        ruling = "no difference found"
    return "\n".join(
        [
            f"Perplexity of {evidence.records} unseen descriptions ({evidence.titles} titles), "
            "a token:",
            f"  under their true title     {evidence.perplexity_true:8.2f}",
            f"  under another's title      {evidence.perplexity_swapped:8.2f}",
            f"  trigram, same rows         {evidence.perplexity_trigram:8.2f}",
            f"The true title saves {gain.estimate:.3f} nats a token "
            f"(95 % interval {gain.low:.3f} to {gain.high:.3f}, by title): {ruling}.",
        ]
    )


# Findings in sentences.

SAME = "No difference found: both models give every record exactly the same score."

HEADLINES: dict[Verdict, str] = {
    "better": "Fine-tuned is better: its",
    "worse": "Fine-tuned is worse: its",
    "no difference found": "No difference found: the fine-tuned model's",
}

ANSWERS_ARE: dict[Verdict, str] = {
    "better": "The fine-tuned model's answers are better in",
    "worse": "The fine-tuned model's answers are worse in",
    "different": "The fine-tuned model's answers differ, for neither better nor worse, in",
    "no difference found": "No difference found in",
}


def verdict(findings: Sequence[Finding], data: DataFacts, same_tokenizer: bool) -> tuple[str, ...]:
    """Sentences, the most important first; every p in them is corrected for all metrics.

    Args:
        findings: All findings, among them the loss (bits a byte, where tokenizers differ) over
            all tasks.
        data: What they were found on.
        same_tokenizer: Whether nats a token mean the same under both models.
    """
    title = TITLE_GAIN if same_tokenizer else TITLE_GAIN_BITS
    first = headline(findings, same_tokenizer)
    if all(map(_is_equal, findings)):
        return (SAME,)
    return (
        _predictability(first, data),
        *([] if first.trigram is None else [_floor(first, first.trigram)]),
        *(_title_worth(found) for found in findings if found.metric == title),
        *_answers([found for found in findings if found.metric in ANSWERS]),
    )


def in_plain_words(findings: Sequence[Finding], data: DataFacts, same_tokenizer: bool) -> str:
    """The finding that decides, without a unit; arguments as of `verdict`."""
    found = headline(findings, same_tokenizer)
    texts = "unseen texts" if data.kept_out else "texts"
    if _is_equal(found):
        return f"Both models guess the words of these {texts} equally well."
    won = round(found.wins * 100)
    # What is not all or none is not rounded to it.
    won = won if found.wins in (0, 1) else min(max(won, 1), 99)
    chance = ", which may be chance" if found.verdict == "no difference found" else ""
    said = (
        f"Out of 100 {texts}, the fine-tuned model guesses the words of {won} "
        f"better than the baseline does{chance}."
    )
    if found.trigram is None:
        return said
    if found.finetuned < found.trigram:
        return f"{said} It also guesses better than a mere count of which tokens follow each other."
    return f"{said} But a mere count of which tokens follow each other guesses no worse."


def headline(findings: Sequence[Finding], same_tokenizer: bool) -> Finding:
    """The finding that decides: the loss over all tasks."""
    [found] = [found for found in losses(findings, same_tokenizer) if not found.task]
    return found


def losses(findings: Sequence[Finding], same_tokenizer: bool) -> list[Finding]:
    """The findings on the loss, over all tasks and by task, in the unit that both models share."""
    metric = LOSS if same_tokenizer else BITS
    return [found for found in findings if found.metric.name == metric.name]


def limits_of_statistics(findings: Sequence[Finding]) -> Iterator[str]:
    """Where there are too few titles: what the tests and the intervals can then not show."""
    fewest, most = (some(finding.titles for finding in findings) for some in (min, max))
    # All signs alike is the rarest of 2 ** titles outcomes, to either side. Holm multiplies the
    # least p by the number of metrics, the greatest by none.
    if 2 / 2**most * len(findings) >= LEVEL:
        yield (
            f"With {most} titles and {len(findings)} metrics no difference can be found, "
            "however large."
        )
    elif 2 / 2**fewest >= LEVEL:
        yield (
            f"Some metrics are over {fewest} titles only: in these no difference can be found, "
            "however large."
        )
    elif fewest < _FEW:
        yield f"Some metrics are over {fewest} titles only: their intervals are too narrow."


def _is_equal(found: Finding) -> bool:
    # No effect where no two differences differ: with the estimate 0, each of them is 0.
    return found.difference.estimate == 0 and math.isnan(found.effect)


def _predictability(found: Finding, data: DataFacts) -> str:
    """Whether fine-tuning made unseen texts more predictable."""
    place = _counted(data.records, "unseen record" if data.kept_out else "record")
    place += f" ({_counted(data.titles, 'title')})" if data.titles else ""
    name, finetuned = _measured(found, found.finetuned)
    _, baseline = _measured(found, found.baseline)
    return (
        f"{HEADLINES[found.verdict]} {name} on {place} is {finetuned} where the baseline's is "
        f"{baseline}, {_change(found)}."
    )


def _floor(found: Finding, trigram: float) -> str:
    """Whether the fine-tuned model knows more than which tokens follow each other."""
    name, value = _measured(found, trigram)
    beats = "beats" if found.finetuned < trigram else "does not beat"
    return (
        f"A trigram model, which only counts three tokens in a row of the training split, has a "
        f"{name} of {value}: the fine-tuned model {beats} this floor."
    )


def _title_worth(found: Finding) -> str:
    """What the title is worth to each of the two, and whether that differs."""

    def worth(gain: float, whom: str) -> str:
        if gain == 0:
            return f"is worth nothing to {whom}"
        amount = three_digits(abs(gain)) + _unit(found)
        return f"misleads {whom} by {amount}" if gain < 0 else f"saves {whom} {amount}"

    if found.verdict == "no difference found":
        opening = "No difference found in what the title is worth,"
    else:
        opening = "To the fine-tuned model the title is worth"
    finetuned = worth(found.finetuned, "the fine-tuned model")
    return (
        f"{opening} {_change(found)}: it {finetuned} and {worth(found.baseline, 'the baseline')}."
    )


def _answers(found: Sequence[Finding]) -> Iterator[str]:
    """One sentence for the answers' metrics of each verdict that there is."""
    for verdict, opening in ANSWERS_ARE.items():
        parts = [_answer(each) for each in found if each.verdict == verdict]
        if parts:
            yield f"{opening} {'; '.join(parts)}."


def _answer(found: Finding) -> str:
    """A metric of the answers; the table beside the verdict has its interval."""
    if found.verdict == "no difference found":
        return found.metric.label
    both = f"{three_digits(found.finetuned)} against {three_digits(found.baseline)}"
    return f"{found.metric.label} ({both}, {_chance(found.p_holm)})"


def _change(found: Finding) -> str:
    """How far the fine-tuned model is from the baseline, with the interval and the corrected p."""
    estimate, low, high = found.difference
    if found.verdict == "no difference found":
        change, direction = f"a difference of {three_digits(estimate)}", ""
    elif high < 0:
        change, direction, low, high = three_digits(-estimate), " less", -high, -low
    else:
        change, direction = three_digits(estimate), " more"
    interval = f"95 % interval {three_digits(low)} to {three_digits(high)}"
    sureness = "of one title, so without an interval" if math.isinf(low) else interval
    return f"{change}{_unit(found)}{direction} ({sureness}, {_chance(found.p_holm)})"


def _measured(found: Finding, value: float) -> tuple[str, str]:
    """The name and the number by which sentences tell a loss."""
    if found.metric == LOSS:
        return "perplexity", three_digits(perplexity(value))
    return "surprise in bits a byte", three_digits(value)


def _unit(found: Finding) -> str:
    """The unit of a score, with the space before it."""
    return " bits a byte" if found.metric in (BITS, TITLE_GAIN_BITS) else " nats a token"


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
