"""What a comparison comes to, in sentences for a person: how much, how sure, in which words."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from careergpt.compare.comparison import DataFacts, Finding, Verdict
from careergpt.compare.metrics import ANSWERS, BITS, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
from careergpt.modeling.loss import perplexity

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
    headline = _headline(findings, same_tokenizer)
    if all(map(_is_equal, findings)):
        return (SAME,)
    return (
        _predictability(headline, data),
        *([] if headline.trigram is None else [_floor(headline, headline.trigram)]),
        *(_title_worth(found) for found in findings if found.metric == title),
        *_answers([found for found in findings if found.metric in ANSWERS]),
    )


def in_plain_words(findings: Sequence[Finding], data: DataFacts, same_tokenizer: bool) -> str:
    """The finding that decides, without a unit; arguments as of `verdict`."""
    found = _headline(findings, same_tokenizer)
    texts = "unseen texts" if data.kept_out else "texts"
    if _is_equal(found):
        return f"Both models guess the words of these {texts} equally well."
    chance = ", which may be chance" if found.verdict == "no difference found" else ""
    said = (
        f"Out of 100 {texts}, the fine-tuned model guesses the words of {_of_100(found.wins)} "
        f"better than the baseline does{chance}."
    )
    if found.trigram is None:
        return said
    if found.finetuned < found.trigram:
        return f"{said} It also guesses better than a mere count of which tokens follow each other."
    return f"{said} But a mere count of which tokens follow each other guesses no worse."


def _of_100(share: float) -> int:
    """What is not all or none is not rounded to it."""
    return round(share * 100) if share in (0, 1) else min(max(round(share * 100), 1), 99)


def _headline(findings: Sequence[Finding], same_tokenizer: bool) -> Finding:
    """The loss over all tasks, in what both models have alike."""
    measure = LOSS if same_tokenizer else BITS
    [found] = [found for found in findings if found.metric == measure and not found.task]
    return found


def _is_equal(found: Finding) -> bool:
    # No effect where no two differences differ: with the estimate 0, each of them is 0.
    return found.difference.estimate == 0 and math.isnan(found.effect)


def _floor(found: Finding, trigram: float) -> str:
    """Whether the fine-tuned model knows more than which tokens follow each other."""
    name, value = _measured(found, trigram)
    beats = "beats" if found.finetuned < trigram else "does not beat"
    return (
        f"A trigram model, which only counts three tokens in a row of the training split, has a "
        f"{name} of {value}: the fine-tuned model {beats} this floor."
    )


def _measured(found: Finding, value: float) -> tuple[str, str]:
    """The name and the number by which sentences tell a value."""
    if found.metric == LOSS:
        return "perplexity", _number(perplexity(value))
    return "surprise in bits a byte", _number(value)


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


def _title_worth(found: Finding) -> str:
    """What the title is worth to each of the two, and whether that differs."""
    if found.verdict == "no difference found":
        opening = "No difference found in what the title is worth,"
    else:
        opening = "To the fine-tuned model the title is worth"
    finetuned = _worth(found.finetuned, "the fine-tuned model", _unit(found))
    baseline = _worth(found.baseline, "the baseline", _unit(found))
    return f"{opening} {_change(found)}: it {finetuned} and {baseline}."


def _worth(gain: float, whom: str, unit: str) -> str:
    """What the title does for one model."""
    if gain == 0:
        return f"is worth nothing to {whom}"
    if gain < 0:
        return f"misleads {whom} by {_number(-gain)}{unit}"
    return f"saves {whom} {_number(gain)}{unit}"


def _answers(found: Sequence[Finding]) -> Iterator[str]:
    """One sentence for the answers' metrics of each verdict that there is."""
    for said, opening in ANSWERS_ARE.items():
        parts = [_answer(each) for each in found if each.verdict == said]
        if parts:
            yield f"{opening} {'; '.join(parts)}."


def _answer(found: Finding) -> str:
    """A metric of the answers; the table beside the verdict has its interval."""
    if found.verdict == "no difference found":
        return found.metric.label
    both = f"{_number(found.finetuned)} against {_number(found.baseline)}"
    return f"{found.metric.label} ({both}, {_chance(found.p_holm)})"


def _change(found: Finding) -> str:
    """How far the fine-tuned model is from the baseline, with the interval and the corrected p."""
    estimate, low, high = found.difference
    unit = _unit(found)
    if found.verdict == "no difference found":
        return f"a difference of {_number(estimate)}{unit} ({_sureness(low, high, found.p_holm)})"
    if high < 0:
        return f"{_number(-estimate)}{unit} less ({_sureness(-high, -low, found.p_holm)})"
    return f"{_number(estimate)}{unit} more ({_sureness(low, high, found.p_holm)})"


def _sureness(low: float, high: float, p: float) -> str:
    if math.isinf(low):
        return f"of one title, so without an interval, {_chance(p)}"
    return f"95 % interval {_number(low)} to {_number(high)}, {_chance(p)}"


def _chance(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _unit(found: Finding) -> str:
    """The unit of a score with the space before it; an answer's metric has it in its label."""
    if found.metric in ANSWERS:
        return ""
    return " bits a byte" if found.metric in (BITS, TITLE_GAIN_BITS) else " nats a token"


def _number(value: float) -> str:
    """Three significant digits, but whole numbers from 100 to a million."""
    if 99.95 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:#.3g}" if value else "0"


def _counted(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
