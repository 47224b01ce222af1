"""What a comparison of two models holds: everything that its report, its card and its JSON say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from careergpt.compare.statistics import Interval

Better = Literal["lower", "higher", "neither"]
Verdict = Literal["better", "worse", "different", "no difference found"]


class Metric(NamedTuple):
    """A measure of a model.

    Attributes:
        name: What comparison.json calls it.
        label: What a table calls it.
        better: Which way is better; "neither": a difference is only a difference.
        says: One sentence for a reader who does not know it, with its unit.
    """

    name: str
    label: str
    better: Better
    says: str


class Finding(NamedTuple):
    """What one metric says about two models on the same records.

    Attributes:
        metric: The measure.
        task: The task that it is over; "": all.
        n: Records, or answers.
        titles: Distinct titles among them: what is resampled.
        baseline: The baseline's value.
        finetuned: The fine-tuned model's.
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


class PairedScore(NamedTuple):
    """An example under both models (baseline, finetuned).

    `nats` and `tokens` are of the completion with the end of text, where it was not cut; `n_bytes`
    is the length of its UTF-8 text.
    """

    record: str
    task: str
    title: str
    prompt: str
    completion: str
    n_bytes: int
    nats: tuple[float, float]
    tokens: tuple[int, int]


class Word(NamedTuple):
    """A word of a completion, with the white space before it, and the nats that it cost."""

    text: str
    nats: float


class ShownRecord(NamedTuple):
    """A completion word by word under both models; `place` is where it stands among all."""

    place: Literal["best", "median", "worst"]
    score: PairedScore
    baseline: tuple[Word, ...]
    finetuned: tuple[Word, ...]


class Answer(NamedTuple):
    """A written answer and its measures.

    Attributes:
        text: The answer.
        finish_reason: "end": the model ended it; "length": it was cut.
        measures: Metric name -> value, of the metrics that are means over answers; one that does
            not apply is absent.
    """

    text: str
    finish_reason: Literal["end", "length"]
    measures: dict[str, float]


class PairedAnswer(NamedTuple):
    """A prompt answered by both models, with the same seed and decoding.

    `record` is empty, and `reference` too, for a prompt that is nobody's.
    """

    record: str
    title: str
    prompt: str
    reference: str
    baseline: Answer
    finetuned: Answer


class Bounds(NamedTuple):
    """What real texts reach: the record's own description, and another title's."""

    ceiling: float
    floor: float


@dataclass(frozen=True)
class Comparison:
    """Two models on the same unseen records.

    Attributes:
        baseline: The first model.
        finetuned: The second.
        data: What they were compared on.
        same_tokenizer: Whether nats a token mean the same under both; else bits a byte count.
        findings: The metrics with their statistics: scores first, then answers.
        bounds: Metric name -> what real texts reach, where that is known.
        described: Metric name -> (baseline, finetuned) for measures of all texts together, which
            have no interval.
        scores: Every example.
        shown_records: Completions shown word by word: best, median, worst.
        shown_answers: Answers to show; the first is to the seed's prompt.
        answers: Answers that were measured.
        plain_words: The finding that decides, for who knows no nats.
        verdict: Sentences, the most important first.
        notes: What a reader must know: what was cut, what could not be measured and why.
        settings: How it was done: records and answers asked for, decoding, seed, ….
        command: What was typed.
    """

    baseline: ModelFacts
    finetuned: ModelFacts
    data: DataFacts
    same_tokenizer: bool
    findings: tuple[Finding, ...]
    bounds: dict[str, Bounds]
    described: dict[str, tuple[float, float]]
    scores: tuple[PairedScore, ...]
    shown_records: tuple[ShownRecord, ...]
    shown_answers: tuple[PairedAnswer, ...]
    answers: tuple[PairedAnswer, ...]
    plain_words: str
    verdict: tuple[str, ...]
    notes: tuple[str, ...]
    settings: dict[str, Any]
    command: str
