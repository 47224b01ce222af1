"""A comparison of two models: all that its report, its card and its files say, and the files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from careergpt.compare.statistics import Better, Interval, Verdict
from careergpt.data.whole_files import write_json

BASELINE, FINETUNED = "baseline", "finetuned"
"""The names of the two models, in the table of scores and in every file."""


class Metric(NamedTuple):
    """A measure of a model.

    Attributes:
        name: What comparison.json calls it.
        label: What a table calls it.
        better: Which way is better; "neither": a difference is only a difference.
        says: One sentence for a reader who does not know it, with its unit.
        measure: Computes it; of what is said where the metrics stand.
    """

    name: str
    label: str
    better: Better
    says: str
    measure: Callable[..., Any]


class Finding(NamedTuple):
    """What one metric says about two models on the same records.

    Attributes:
        metric: The measure.
        task: The task that it is over; "": all.
        n: Records, or answers.
        titles: Distinct titles among them: what is resampled.
        baseline: The baseline's value; likewise `finetuned`.
        difference: finetuned - baseline with its 95 % interval, resampled by title.
        effect: Cohen's d of the paired differences: their mean in standard deviations; NaN where
            no two differ.
        wins: Share of records on which the fine-tuned model is better (lower, where neither way is
            better); equal ones count half.
        p: Of a sign-flip permutation test by title.
        p_holm: The same, corrected for all metrics of the comparison (Holm, 1979).
        verdict: In words; "better" and "worse" are of the fine-tuned model.
        trigram: What counting three tokens in a row of the training split reaches: a floor; None
            where it was not counted.
    """

    metric: Metric
    task: str
    n: int
    titles: int
    baseline: float
    finetuned: float
    difference: Interval
    effect: float
    wins: float
    p: float
    p_holm: float
    verdict: Verdict
    trigram: float | None = None


class ModelFacts(NamedTuple):
    """One of the two models: where it lies, its parameters, its tokenizer's size, its context."""

    source: str
    parameters: int
    vocabulary: int
    context: int


class DataFacts(NamedTuple):
    """What the models were compared on.

    Attributes:
        source: The tables.
        kept_out: Whether they are known to be no training records of the fine-tuned model: its
            folder says that it was trained on this table, and on which of its rows.
        rows: Rows read.
        records: Unseen records scored.
        examples: Examples scored: a record has one for each task that it has the fields for.
        titles: Distinct titles among the records; 0 where they have none.
        left_out: Examples of the drawn records that do not fit into the context of both models.
        cut: Examples whose completion is cut to what both models read.
        trained: Rows of the split that one of the models was trained on.
    """

    source: str
    kept_out: bool
    rows: int
    records: int
    examples: int
    titles: int
    left_out: int
    cut: int
    trained: int = 0


class WordScores(NamedTuple):
    """An example word by word.

    Attributes:
        place: Where it stands among all by what fine-tuning gained.
        task: Its task.
        title: Its record's title.
        prompt: Its prompt.
        losses: Model -> nats a token; bits a byte if tokenizers differ.
        words: Model -> the completion's words, each with the white space before it and the nats
            that it cost: ((" Cares", 5.1), (" for", 0.2)).
    """

    place: Literal["best", "median", "worst"]
    task: str
    title: str
    prompt: str
    losses: Mapping[str, float]
    words: Mapping[str, tuple[tuple[str, float], ...]]


@dataclass(frozen=True)
class Comparison:
    """Two models on the same unseen records.

    Attributes:
        same_tokenizer: Whether nats a token mean the same under both; else bits a byte count.
        findings: The metrics with their statistics: scores first, then answers.
        bounds: Metric name -> what real texts reach, where that is known: "ceiling" by the
            record's own description, "floor" by another title's.
        diversity: Metric name -> (baseline, finetuned) for measures of all texts together, which
            have no interval.
        scores: The table of scores (compare/scores.py).
        answers: The table of answers (compare/answers.py).
        word_scores: Examples word by word: best, median, worst.
        plain_words: The finding that decides, for who knows no nats.
        verdict: Sentences, the most important first.
        notes: What a reader must know: what was cut, what could not be measured and why.
        settings: The options.
        command: What was typed.
    """

    baseline: ModelFacts
    finetuned: ModelFacts
    data: DataFacts
    same_tokenizer: bool
    findings: tuple[Finding, ...]
    bounds: Mapping[str, Mapping[str, float]]
    diversity: Mapping[str, tuple[float, float]]
    scores: pa.Table
    answers: pa.Table
    word_scores: tuple[WordScores, ...]
    plain_words: str
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    command: str


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes comparison.json: all but the texts, which are in scores.parquet and answers.jsonl."""
    content = {
        "plain_words": comparison.plain_words,
        "verdict": comparison.verdict,
        "baseline": comparison.baseline._asdict(),
        "finetuned": comparison.finetuned._asdict(),
        "data": comparison.data._asdict(),
        "same_tokenizer": comparison.same_tokenizer,
        "findings": [_finding(finding) for finding in comparison.findings],
        "bounds": comparison.bounds,
        "described": {
            name: dict(zip((BASELINE, FINETUNED), both, strict=True))
            for name, both in comparison.diversity.items()
        },
        "settings": comparison.settings,
        "notes": comparison.notes,
        "command": comparison.command,
    }
    write_json(path, content)


def _finding(finding: Finding) -> dict[str, Any]:
    numbers = {**finding._asdict(), "metric": finding.metric.name}
    numbers |= {"difference": finding.difference.estimate}
    numbers |= {"low": finding.difference.low, "high": finding.difference.high}
    # JSON has no word for a number that is none.
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in numbers.items()
    }
