"""Findings in words and numbers, for the report, the card and the terminal: the one formatter."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from careergpt.compare.comparison import FINETUNED, Comparison, DataFacts, Finding
from careergpt.compare.metrics import BITS, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
from careergpt.compare.scores import TitleEvidence
from careergpt.compare.statistics import LEVEL, Interval, Verdict
from careergpt.modeling.loss import perplexity

UNKNOWN = "not known"
_SPACE = "\u00a0"  # A number is not torn from its unit at the end of a line.

_SCORES = (LOSS, BITS, TITLE_GAIN, TITLE_GAIN_BITS)

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
            f"Perplexity of {evidence.records} unseen descriptions ({evidence.titles} titles), "
            "a token:",
            f"  under their true title     {evidence.perplexity_true:8.2f}",
            f"  under another's title      {evidence.perplexity_swapped:8.2f}",
            f"  trigram, same rows         {evidence.perplexity_trigram:8.2f}",
            f"The true title saves {gain.estimate:.3f} nats a token "
            f"(95 % interval {gain.low:.3f} to {gain.high:.3f}, by title): {ruling}." + before,
        ]
    )


# Findings in sentences.

SAME = "No difference found: both models give every record exactly the same score."

SAME_OF = "No difference found: {} and the baseline give every record exactly the same score."

HEADLINES: dict[Verdict, str] = {
    "better": "{} is better: its",
    "worse": "{} is worse: its",
    "no difference found": "No difference found: {}'s",
}

ANSWERS_ARE: dict[Verdict, str] = {
    "better": "{}'s answers are better in",
    "worse": "{}'s answers are worse in",
    "different": "{}'s answers differ, for neither better nor worse, in",
    "no difference found": "No difference found in",
}


def who(found: Finding, *, first: bool = False) -> str:
    """What sentences call a finding's model; where it is not the only one, by its name."""
    if found.model != FINETUNED:
        return found.model
    return "The fine-tuned model" if first else "the fine-tuned model"


def verdict(
    findings: Sequence[Finding],
    data: DataFacts,
    same_tokenizer: bool,
    ranks: Mapping[str, Mapping[str, Interval]] | None = None,
) -> tuple[str, ...]:
    """Sentences, the most important first; every p in them is corrected for all metrics.

    Args:
        findings: All findings, among them the loss (bits a byte, where tokenizers differ) over
            all tasks.
        data: What they were found on.
        same_tokenizer: Whether nats a token mean the same under all models.
        ranks: Those of several models, by metric.
    """
    by_model: dict[str, list[Finding]] = {}
    for found in findings:
        by_model.setdefault(found.model, []).append(found)
    said = [[*_of_model(some, data, same_tokenizer)] for some in by_model.values()]
    placed = next(iter((ranks or {}).values()), None)
    return (
        *([_ranking(findings[0].metric.label, placed)] if placed else []),
        *(sentences[0] for sentences in said),
        *(sentence for sentences in said for sentence in sentences[1:]),
    )


def _of_model(findings: Sequence[Finding], data: DataFacts, same_tokenizer: bool) -> Iterator[str]:
    """The sentences on one model."""
    if all(map(_is_equal, findings)):
        yield SAME if findings[0].model == FINETUNED else SAME_OF.format(findings[0].model)
        return
    for first in headlines(findings, same_tokenizer):
        yield _predictability(first, data)
        if first.trigram is not None:
            yield _floor(first, first.trigram)
    title = TITLE_GAIN if same_tokenizer else TITLE_GAIN_BITS
    yield from (_title_worth(found) for found in findings if found.metric == title)
    yield from _answers([found for found in findings if found.metric not in _SCORES])
    yield from _equivalence(findings)


def _ranking(label: str, placed: Mapping[str, Interval]) -> str:
    """The models in the order of a metric."""
    order = sorted(placed, key=lambda model: placed[model])
    told = "; ".join(f"{model} {rank(placed[model])}" for model in order)
    return f"Ranks by {label}, with 95 % intervals: {told}."


def in_plain_words(findings: Sequence[Finding], data: DataFacts, same_tokenizer: bool) -> str:
    """The findings that decide, one a model, without a unit; arguments as of `verdict`."""
    return " ".join(_plainly(one, data) for one in headlines(findings, same_tokenizer))


def _plainly(found: Finding, data: DataFacts) -> str:
    texts = "unseen texts" if data.kept_out else "texts"
    if _is_equal(found):
        both = "Both models" if found.model == FINETUNED else f"{found.model} and the baseline"
        return f"{both} guess the words of these {texts} equally well."
    won = round(found.wins * 100)
    # What is not all or none is not rounded to it.
    won = won if found.wins in (0, 1) else min(max(won, 1), 99)
    chance = ", which may be chance" if found.verdict == "no difference found" else ""
    said = (
        f"Out of 100 {texts}, {who(found)} guesses the words of {won} "
        f"better than the baseline does{chance}."
    )
    if found.trigram is None:
        return said
    if found.finetuned < found.trigram:
        return f"{said} It also guesses better than a mere count of which tokens follow each other."
    return f"{said} But a mere count of which tokens follow each other guesses no worse."


def headlines(findings: Sequence[Finding], same_tokenizer: bool) -> list[Finding]:
    """The finding that decides on each model: the loss over all tasks."""
    return [found for found in losses(findings, same_tokenizer) if not found.task]


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
    known = found.verdict != "no difference found"
    whom = "Fine-tuned" if known and found.model == FINETUNED else who(found)
    opening = HEADLINES[found.verdict].format(whom)
    name, finetuned = _measured(found, found.finetuned)
    _, baseline = _measured(found, found.baseline)
    return (
        f"{opening} {name} on {place} is {finetuned} where the baseline's is "
        f"{baseline}, {_change(found)}."
    )


def _floor(found: Finding, trigram: float) -> str:
    """Whether the fine-tuned model knows more than which tokens follow each other."""
    name, value = _measured(found, trigram)
    beats = "beats" if found.finetuned < trigram else "does not beat"
    return (
        f"A trigram model, which only counts three tokens in a row of the training split, has a "
        f"{name} of {value}: {who(found)} {beats} this floor."
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
        opening = f"To {who(found)} the title is worth"
    finetuned = worth(found.finetuned, who(found))
    return (
        f"{opening} {_change(found)}: it {finetuned} and {worth(found.baseline, 'the baseline')}."
    )


def _answers(found: Sequence[Finding]) -> Iterator[str]:
    """One sentence for the answers' metrics of each verdict that there is."""
    for verdict, opening in ANSWERS_ARE.items():
        some = [each for each in found if each.verdict == verdict]
        if some:
            told = opening.format(who(some[0], first=True))
            of = "" if "{}" in opening or some[0].model == FINETUNED else f" for {some[0].model}"
            yield f"{told} {'; '.join(map(_answer, some))}{of}."


def _equivalence(found: Sequence[Finding]) -> Iterator[str]:
    """Which of the metrics that have a margin are shown to be as good as equal, over all tasks."""
    whole = {one.metric.name: one for one in reversed(found)}.values()  # They come first.
    for shown, words in ((True, "is"), (False, "is not shown to be")):
        some = [f"{_label(one)}, ±{one.margin:g}" for one in whole if one.equivalent is shown]
        if some:
            whom = who(found[0], first=True)
            yield f"{whom} {words} equivalent to the baseline within: {'; '.join(some)}."


def _answer(found: Finding) -> str:
    """A metric of the answers; the table beside the verdict has its interval."""
    if found.verdict == "no difference found":
        return _label(found)
    both = f"{three_digits(found.finetuned)} against {three_digits(found.baseline)}"
    return f"{_label(found)} ({both}, {_chance(found.p_holm)})"


def _label(found: Finding) -> str:
    return f"{found.metric.label}, {found.task}" if found.task else found.metric.label


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
