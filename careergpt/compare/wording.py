"""Findings in sentences, for the report, the card and the terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from careergpt.compare.comparison import FINETUNED, DataFacts, Finding
from careergpt.compare.figures import rank, three_digits
from careergpt.compare.metrics import BITS, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
from careergpt.compare.statistics import LEVEL, Interval, Verdict
from careergpt.modeling.loss import perplexity

_SCORES = (LOSS, BITS, TITLE_GAIN, TITLE_GAIN_BITS)

_FEW = 20
"""Titles under which a bootstrap interval is too narrow."""

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
