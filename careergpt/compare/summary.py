"""A comparison in Markdown, for the card of the model that it is about."""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from pathlib import Path

from careergpt.compare.comparison import Comparison, DataFacts, Finding, ModelFacts
from careergpt.compare.metrics import LOSS
from careergpt.compare.report.numbers import (
    bounds,
    brief,
    effect_size,
    number,
    p_value,
    row_decimals,
    share,
    signed,
)
from careergpt.compare.report.rows import grouped, labels
from careergpt.compare.report.texts import visible
from careergpt.data.whole_files import whole
from careergpt.modeling.loss import perplexity

START, END = "<!-- comparison -->", "<!-- /comparison -->"

# From a start to the next end with no other start between: what is not ours is never cut out.
_BLOCK = re.compile(f"{START}(?:(?!{START}).)*?{END}", re.DOTALL)
_MARKS = re.compile(r"[\\`*_{}\[\]|#~$!]|^[-+=]")
_HEAD = (
    "| Metric | Task | Trigram | Baseline | Fine-tuned | Difference (95 %) | Cohen's d | Won "
    "| p (Holm) | The fine-tuned model is |\n|---|---|--:|--:|--:|--:|--:|--:|--:|---|"
)


def summary(comparison: Comparison) -> str:
    """The verdict, the findings as a table, what was compared, what to know, the command."""
    first, *further = [plain(sentence) for sentence in comparison.verdict] or ["Nothing was found."]
    parts = ["## Compared with the baseline", plain(comparison.plain_words)]
    parts += [f"**{first}**", _points(further)]
    if comparison.findings:
        rows = [_row(finding) for group in grouped(comparison) for finding in group.findings]
        parts.append("\n".join([_HEAD, *rows]))
    parts.append(_points(_described(comparison), "All answers of a model together:"))
    parts.append(_points(_facts(comparison), "What was compared:"))
    parts.append(_points([plain(note) for note in comparison.notes], "To know:"))
    parts.append(f"Made by {code(comparison.command)}.")
    return "\n\n".join(part for part in parts if part)


def add_to_card(folder: Path, text: str) -> bool:
    """Puts the text into the folder's README.md between two marks, in place of an earlier one.

    A card without marks gets it at its end; a folder without a card gets one. The card is replaced
    whole or not at all.

    Returns:
        Whether it stands there now. False, and nothing has changed: there is no such folder (a
        model of the Hub, say), it cannot be written, or its card is not UTF-8.
    """
    assert not re.search(f"{START}|{END}", text), "the next comparison would cut the card there"
    if not folder.is_dir():
        return False
    card = folder / "README.md"
    try:
        content = _with_block(card.read_bytes().decode() if card.exists() else "", text)
        with whole(card) as partial:
            partial.write_bytes(content.encode())
    except (OSError, ValueError):  # Not UTF-8, or refused by the system.
        return False
    return True


def plain(text: str) -> str:
    """Foreign text on one line, in which Markdown and HTML see nothing but text."""
    line = " ".join(visible(text).split())
    return _MARKS.sub(r"\\\g<0>", html.escape(line, quote=False))


def code(text: str) -> str:
    """The text as code; as plain text where code cannot hold it in a card."""
    return plain(text) if re.search(r"[`<>|&]|[^ -~]|^ *$", text) else f"`{text}`"


def _with_block(card: str, text: str) -> str:
    block = f"{START}\n{text}\n{END}"
    if _BLOCK.search(card):
        # A function: backslashes of the text are no references to groups.
        return _BLOCK.sub(lambda _: block, card, count=1)
    return f"{card.rstrip()}\n\n{block}\n" if card.strip() else f"# A compared model\n\n{block}\n"


def _points(lines: Sequence[str], head: str = "") -> str:
    points = "\n".join(f"- {line}" for line in lines)
    return f"{head}\n\n{points}" if head and points else points


def _row(finding: Finding) -> str:
    places = row_decimals(finding)
    values = [_value(finding, value, places) for value in (finding.baseline, finding.finetuned)]
    interval = bounds(finding.difference, finding.titles, places)
    cells = [
        plain(finding.metric.label),
        plain(finding.task) or "all",
        "" if finding.trigram is None else _value(finding, finding.trigram, places),
        *values,
        f"{signed(finding.difference.estimate, places)} ({interval})",
        effect_size(finding.effect),
        html.escape(share(finding.wins)),
        html.escape(p_value(finding.p_holm)),
        finding.verdict,
    ]
    return f"| {' | '.join(cells)} |"


def _value(finding: Finding, value: float, places: int) -> str:
    text = number(value, places)
    is_loss = finding.metric.name == LOSS.name
    return f"{text} (perplexity {brief(perplexity(value))})" if is_loss else text


def _described(comparison: Comparison) -> list[str]:
    known = labels(comparison)
    return [
        f"{plain(known.get(name, name))}: {number(before)} (baseline), {number(after)} (fine-tuned)"
        for name, (before, after) in comparison.described.items()
    ]


def _facts(comparison: Comparison) -> list[str]:
    facts = [
        f"Baseline: {_model(comparison.baseline)}",
        f"Fine-tuned: {_model(comparison.finetuned)}",
        f"Data: {_data(comparison.data)}",
    ]
    if not comparison.same_tokenizer:
        facts.append("The tokenizers differ: compare bits a byte, not nats or perplexity a token.")
    return facts


def _model(model: ModelFacts) -> str:
    return (
        f"{code(model.source)}, {model.parameters:,} parameters, {model.vocabulary:,} tokens in "
        f"its vocabulary, {model.context:,} in its context"
    )


def _data(data: DataFacts) -> str:
    of = "the test split of " if data.kept_out else ""
    return (
        f"{of}{code(data.source)}: {data.rows:,} rows read, {data.records:,} records "
        f"({data.titles:,} titles), {data.examples:,} examples scored, {data.left_out:,} left out, "
        f"{data.cut:,} cut"
    )
