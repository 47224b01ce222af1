"""A comparison of models with their baseline: all that report, card and files say; the files."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa

from careergpt.compare.scores import TRIGRAM
from careergpt.compare.statistics import Better, Interval, Verdict
from careergpt.data.whole_files import write_json
from careergpt.errors import InputError

BASELINE, FINETUNED = "baseline", "finetuned"
"""The names of two models, in the table of scores and in every file; of more, `model_names`."""


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
    """What one metric says about a fine-tuned model and the baseline on the same records.

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
        model: The fine-tuned model's name.
        detectable: The smallest difference that so many records find in 8 of 10 cases, at the level
            that the correction left; None where a difference was found, or nothing differs.
        margin: Within which difference the two count as equivalent, where that was given.
        equivalent: Whether two one-sided tests show that they are.
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
    model: str = FINETUNED
    detectable: float | None = None
    margin: float | None = None
    equivalent: bool | None = None


class ModelFacts(NamedTuple):
    """One of the models: where it lies, its parameters, its tokenizer's size, its context."""

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
    """Models and their baseline on the same unseen records.

    Attributes:
        models: Name -> facts, the baseline first.
        same_tokenizer: Whether nats a token mean the same under all; else bits a byte count.
        findings: The metrics with their statistics: scores first, then answers.
        ranks: Metric name -> model -> its rank among three or more, with the bounds of it.
        bounds: Metric name -> what real texts reach, where that is known: "ceiling" by the
            record's own description, "floor" by another title's.
        diversity: Metric name -> model -> value, for measures of all texts together, which have no
            interval.
        scores: The table of scores (compare/scores.py).
        answers: The table of answers (compare/answers.py).
        word_scores: Examples word by word: best, median, worst.
        plain_words: The finding that decides, for who knows no nats.
        verdict: Sentences, the most important first.
        notes: What a reader must know: what was cut, what could not be measured and why.
        settings: The options.
        command: What was typed.
    """

    models: Mapping[str, ModelFacts]
    data: DataFacts
    same_tokenizer: bool
    findings: tuple[Finding, ...]
    ranks: Mapping[str, Mapping[str, Interval]]
    bounds: Mapping[str, Mapping[str, float]]
    diversity: Mapping[str, Mapping[str, float]]
    scores: pa.Table
    answers: pa.Table
    word_scores: tuple[WordScores, ...]
    plain_words: str
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    settings: Mapping[str, Any]
    command: str


def model_names(finetuned: Sequence[str]) -> list[str]:
    """A name for each fine-tuned model: the shortest end of its path that tells all apart.

    Example: of runs/a/model and runs/b/model, a/model and b/model.

    Raises:
        InputError: One is named twice.
    """
    if len(finetuned) == 1:
        return [FINETUNED]
    parts = [(Path(f).resolve() if Path(f).exists() else Path(f)).parts for f in finetuned]
    if len({*parts}) < len(parts):
        raise InputError(f"--finetuned {' '.join(finetuned)}: two of them are one model")
    names = []
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len({*names, BASELINE, TRIGRAM}) == len(names) + 2:
            break
    return names


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes comparison.json: all but the texts, which are in scores.parquet and answers.jsonl."""
    content = {
        "plain_words": comparison.plain_words,
        "verdict": comparison.verdict,
        "models": {name: facts._asdict() for name, facts in comparison.models.items()},
        "data": comparison.data._asdict(),
        "same_tokenizer": comparison.same_tokenizer,
        "findings": [_finding(finding) for finding in comparison.findings],
        "ranks": {
            metric: {
                model: dict(zip(("rank", "low", "high"), rank, strict=True))
                for model, rank in of.items()
            }
            for metric, of in comparison.ranks.items()
        },
        "bounds": comparison.bounds,
        "described": comparison.diversity,
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
