"""A comparison as a page of HTML that asks for nothing outside itself, and as part of a card."""

from __future__ import annotations

import html
import math
import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from careergpt.compare import figures, plots, wording
from careergpt.compare.answers import by_prompt
from careergpt.compare.comparison import BASELINE, FINETUNED, Comparison, Finding
from careergpt.compare.figures import as_perplexity, number
from careergpt.compare.metrics import ANSWERS, DIVERSITY
from careergpt.compare.words import END
from careergpt.data.whole_files import whole

_MARKDOWN = re.compile(r"[\\`*_{}\[\]|#~$!]|^[-+=]")

# Control characters become their pictures; what turns the text around, and what UTF-8 cannot
# hold, is named: neither may reach beyond the text that it stands in.
_VISIBLE = (
    {code: chr(0x2400 + code) for code in range(32) if chr(code) not in "\t\n\r"}
    | {code: f"[U+{code:04X}]" for code in [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]}
    | dict.fromkeys([*range(0x7F, 0xA0), *range(0xD800, 0xE000), 0xFFFE, 0xFFFF], "\ufffd")
)

ODDS = (2, 10, 100, 1_000, 10_000, 100_000)
"""Edges of the shades: one chance in so many; their logarithms are nats."""

SHOWN_WORDS, _SLACK = 120, 20

SHOWN_ANSWERS = 4
"""Of records, after those to the default prompts."""


def report_html(comparison: Comparison) -> str:
    """The page as text; every text of the comparison in it is text, whatever it holds."""
    return _rendered(
        "page.html.jinja",
        comparison,
        headlines=wording.headlines(comparison.findings, comparison.same_tokenizer),
        describing={metric.name: metric.says for metric in DIVERSITY},
        plots=[*_plots(comparison)],
        legend=_legend(),
        answers=shown_answers(comparison.answers),
        options=list(_flat(comparison.settings)),
    )


def _plots(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Each fine-tuned model's plots, where it has any."""
    seen = comparison.scores, comparison.same_tokenizer
    for model in [*comparison.models][1:]:
        drawn = {
            "scatter": plots.scatter(*seen, model),
            "by_task": plots.by_task(comparison, model),
            "by_title": plots.by_title(*seen, model),
        }
        if any(drawn.values()):
            yield drawn | {"model": model}


def _rendered(template: str, comparison: Comparison, autoescape: bool = True, **more: Any) -> str:
    # Findings by metric, in the order in which metrics come first.
    groups: dict[str, list[Finding]] = {}
    for found in comparison.findings:
        groups.setdefault(found.metric.name, []).append(found)
    known = [*DIVERSITY, *(found.metric for found in comparison.findings)]
    labels = {metric.name: metric.label for metric in known}
    return (
        _templates(autoescape)
        .get_template(template)
        .render(
            it=comparison,
            groups=list(groups.values()),
            labels=labels,
            names=_names(comparison),
            **more,
        )
    )


def _names(comparison: Comparison) -> dict[str, str]:
    """Model -> its name as a head."""
    heads = {BASELINE: "Baseline", FINETUNED: "Fine-tuned"}
    return {name: heads.get(name, name) for name in comparison.models}


@cache
def _templates(autoescape: bool) -> Environment:
    templates = Environment(
        loader=PackageLoader("careergpt.compare"),
        autoescape=autoescape,
        finalize=_finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters |= {
        "number": number,
        "signed": figures.signed,
        "brief": figures.brief,
        "share": figures.share,
        "perplexity": as_perplexity,
        "count": "{:,}".format,
        "cells": figures.cells,
        "sizes": figures.sizes,
        "rank": figures.rank,
        "shaded": shaded,
        "short": short,
        "plain": plain,
        "code": code,
    }
    templates.globals |= {
        "bounds": figures.bounds,
        # The colours of a model.
        "kind": lambda model: BASELINE if model == BASELINE else FINETUNED,
        "end_sign": END,
        "symmetric_mark": plots.symmetric_mark,
    }
    return templates


def _finalize(value: Any) -> Any:
    """What every expression of a template goes through, before it is escaped."""
    # Markup is what a macro made: it went through here already.
    foreign = isinstance(value, str) and not isinstance(value, Markup)
    return visible(value) if foreign else value


def shown_answers(answers: pa.Table) -> list[dict[str, dict[str, Any]]]:
    """The answers to the default prompts, then to some of records, with the labels of measures."""
    prompts = by_prompt(answers)
    for row in (row for by_model in prompts for row in by_model.values()):
        values = ((metric.label, row[metric.name]) for metric in ANSWERS)
        row["measures"] = [(label, value) for label, value in values if value is not None]
    n_default = sum(not by_model["baseline"]["record"] for by_model in prompts)
    return prompts[: n_default + SHOWN_ANSWERS]


def visible(text: str) -> str:
    """The text without characters that act; nothing is escaped yet."""
    return text.translate(_VISIBLE)


def short(text: str, length: int = 60) -> str:
    """The text on one line, cut to so many characters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1] + "…"


def _flat(options: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Options and their values, those of a group by their dotted names."""
    for name, value in options.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{name}.")
        else:
            yield before + name, value


def _legend() -> list[tuple[str, str]]:
    """The shades from expected to startling: their nats, and the chance that the word had."""
    edges = [f"{math.log(odds):.1f}" for odds in ODDS]
    nats = [f"under {edges[0]}", *map("{} to {}".format, edges, edges[1:]), f"{edges[-1]} or more"]
    odds = [f"better than 1 in {ODDS[0]}", *(f"1 in {a:,} to {b:,}" for a, b in pairwise(ODDS))]
    return list(zip(nats, [*odds, f"rarer than 1 in {ODDS[-1]:,}"], strict=True))


def shaded(words: Sequence[tuple[str, float]]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The words in the shades of their surprise: what is shown at once, and what on request.

    One scale for all models and all records; a long text folds after some 120 words. A word is the
    space before it, its text, its shade's place (-1: nats not known) and the nats in words.
    """
    found: list[dict[str, Any]] = []
    for spaced, nats in words:
        text = spaced.lstrip()
        space = spaced[: len(spaced) - len(text)]
        # White space alone is coloured itself: it may be what surprised.
        space, text = (space, text) if text else ("", space)
        place = -1 if math.isnan(nats) else bisect_right(ODDS, math.exp(min(nats, 700)))
        told = f"{number(nats, 2)} nats"
        # The space that joins the completion to its prompt would indent its first line.
        space = space if found else ""
        found.append({"space": space, "text": text, "place": place, "says": told})
    fold = SHOWN_WORDS if len(words) > SHOWN_WORDS + _SLACK else len(words)
    return found[:fold], found[fold:]


def card_text(comparison: Comparison) -> str:
    """The verdict, the findings as a table, what was compared, what to know, the command."""
    text = _rendered("card.md.jinja", comparison, autoescape=False)
    # What is empty leaves blank lines.
    return re.sub(r"\n{3,}", "\n\n", text).strip()


def marks(part: str) -> tuple[str, str]:
    """What a part of a card begins and ends with."""
    return f"<!-- {part} -->", f"<!-- /{part} -->"


def add_to_card(folder: Path, text: str, part: str = "comparison") -> bool:
    """Puts the text into the folder's README.md between the part's marks, in place of an earlier.

    A card without marks gets it at its end; a folder without a card gets one. The card is replaced
    whole or not at all.

    Returns:
        Whether it stands there now. False, and nothing has changed: there is no such folder (a
        model of the Hub, say), it cannot be written, or its card is not UTF-8.
    """
    start, end = marks(part)
    assert not re.search(f"{start}|{end}", text), "the next would cut the card there"
    if not folder.is_dir():
        return False
    path = folder / "README.md"
    block = f"{start}\n{text}\n{end}"
    # From a start to the next end with no other start between: what is not ours is never cut out.
    earlier = re.compile(f"{start}(?:(?!{start}).)*?{end}", re.DOTALL)
    try:
        card = path.read_bytes().decode() if path.exists() else ""
        if earlier.search(card):
            # A function: backslashes of the text are no references to groups.
            card = earlier.sub(lambda _: block, card, count=1)
        else:
            card = f"{card.rstrip() or '# A compared model'}\n\n{block}\n"
        with whole(path) as partial:
            partial.write_bytes(card.encode())
    except (OSError, ValueError):  # Not UTF-8, or refused by the system.
        return False
    return True


def plain(text: str) -> str:
    """Foreign text on one line, in which Markdown and HTML see nothing but text."""
    line = " ".join(visible(text).split())
    return _MARKDOWN.sub(r"\\\g<0>", html.escape(line, quote=False))


def code(text: str) -> str:
    """The text as code; as plain text where code cannot hold it in a card."""
    return plain(text) if re.search(r"[`<>|&]|[^ -~]|^ *$", text) else f"`{text}`"
