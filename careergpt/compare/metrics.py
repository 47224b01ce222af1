"""The metrics of a comparison, a row each, and what each finds of two models.

A metric of answers is one row of `ANSWERS`: name, label, which way is better, a sentence, and the
function that computes it of an answer. Findings, report, card and files take it from there.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from careergpt.compare.comparison import Finding, Metric
from careergpt.compare.overlap import f1, precision, recall, rouge_l
from careergpt.compare.relevance import relevance
from careergpt.compare.scores import TRIGRAM, rows_of
from careergpt.compare.statistics import (
    FloatArray,
    effect_size,
    holm,
    judge,
    ratio_interval,
    sign_flip,
    wins,
)
from careergpt.data.names import title_key
from careergpt.generation.decoding import distinct, repetition

# Metrics of scores: of a model's rows (`rows_of`) the numerators and the denominators.

LOSS = Metric(
    "loss", "Loss, nats a token", "lower",
    "Surprise by the real text, a token.",
    lambda rows: (rows["nats"], rows["tokens"]),
)  # fmt: skip
BITS = Metric(
    "bits_per_byte", "Bits a byte", "lower",
    "Surprise by the real text, a byte of it: the same for every tokenizer.",
    lambda rows: (rows["nats"] / np.log(2), rows["n_bytes"]),
)  # fmt: skip
TITLE_GAIN = Metric(
    "title_gain", "Worth of the title, nats a token", "higher",
    "How much dearer a description is under another record's title than under its own.",
    lambda rows: (rows["nats"] - rows["nats_own_title"], rows["tokens"]),
)  # fmt: skip
TITLE_GAIN_BITS = Metric(
    "title_gain_bits", "Worth of the title, bits a byte", "higher",
    "How much dearer a description is under another record's title than under its own.",
    lambda rows: ((rows["nats"] - rows["nats_own_title"]) / np.log(2), rows["n_bytes"]),
)  # fmt: skip


class Response(NamedTuple):
    """An answer to a record's prompt, and what it may be measured against.

    Attributes:
        text: The answer.
        tokens: Its token ids without the end of text.
        ended: Whether the model ended it.
        reference: The record's own text.
        skills: Known skills that the answer names.
        wanted: Known skills that the record names.
        rank: At which the answer, as a search, finds a description of its title; None: no other
            record has the title.
        copied: Tokens of its longest run that stands so in a training text; None: those texts
            are not known.
    """

    text: str
    tokens: Sequence[int]
    ended: bool
    reference: str
    skills: AbstractSet[str]
    wanted: AbstractSet[str]
    rank: int | None
    copied: int | None


# Metrics of answers: of a `Response` its value; None where it does not apply.

REP_4 = Metric(
    "rep_4", "rep-4", "lower",
    "Share of an answer's four-token runs that it had written before.",
    # A text of three tokens cannot repeat four: that is no merit.
    lambda answer: repetition(answer.tokens) if len(answer.tokens) >= 4 else None,
)  # fmt: skip
LENGTH = Metric(
    "tokens", "Length, tokens", "neither",
    "Tokens of an answer, as the fine-tuned model counts.",
    lambda answer: len(answer.tokens),
)  # fmt: skip
ENDED = Metric(
    "ended", "Ended by itself", "higher",
    "Share of answers that came to an end.",
    lambda answer: answer.ended,
)  # fmt: skip
# Where the record names no known skill, there is nothing to find.
SKILLS_PRECISION = Metric(
    "skills_precision", "Skills, precision", "higher",
    "Of the known skills that an answer names, the share that the real text names.",
    lambda answer: precision(answer.skills, answer.wanted) if answer.wanted else None,
)  # fmt: skip
SKILLS_RECALL = Metric(
    "skills_recall", "Skills, recall", "higher",
    "Of the known skills that the real text names, the share that the answer names.",
    lambda answer: recall(answer.skills, answer.wanted) if answer.wanted else None,
)  # fmt: skip
SKILLS_F1 = Metric(
    "skills_f1", "Skills, F1", "higher",
    "Harmonic mean of the two.",
    lambda answer: f1(answer.skills, answer.wanted) if answer.wanted else None,
)  # fmt: skip
ROUGE_L = Metric(
    "rouge_l", "ROUGE-L, F1", "higher",
    "Longest common subsequence of words with the real text.",
    lambda answer: rouge_l(answer.text, answer.reference),
)  # fmt: skip
MRR = Metric(
    "mrr", "Relevance, MRR", "higher",
    "1 / rank at which the answer, as a search, finds a description of its own title.",
    lambda answer: relevance(answer.rank)["mrr"] if answer.rank else None,
)  # fmt: skip
RECALL_5 = Metric(
    "recall@5", "Relevance, recall@5", "higher",
    "Share of answers that find a description of their own title among the first five.",
    lambda answer: relevance(answer.rank)["recall@5"] if answer.rank else None,
)  # fmt: skip
COPIED_RUN = Metric(
    "copied_run", "Longest copied run, tokens", "neither",
    "Longest run of tokens that stands so in a training text; who writes well hits on longer ones.",
    lambda answer: answer.copied,
)  # fmt: skip
# No two writers would hit on a run of 50 tokens.
COPIED_50 = Metric(
    "copied_50", "Copied 50 tokens", "lower",
    "Share of answers with a copied run of 50 tokens.",
    lambda answer: None if answer.copied is None else answer.copied >= 50,
)  # fmt: skip

ANSWERS = (
    REP_4, LENGTH, ENDED, SKILLS_PRECISION, SKILLS_RECALL, SKILLS_F1, ROUGE_L, MRR, RECALL_5,
    COPIED_RUN, COPIED_50,
)  # fmt: skip
"""Metrics that are means over answers; an answer lacks those that do not apply to it."""

# Metrics of all answers together: of the token ids of each, a value.

DIVERSITY = (
    Metric(
        "distinct_1", "distinct-1", "higher",
        "Distinct tokens over all tokens, of answers cut alike.",
        lambda texts: distinct(texts, 1),
    ),
    Metric(
        "distinct_2", "distinct-2", "higher",
        "Distinct pairs over all pairs, of answers cut alike.",
        lambda texts: distinct(texts, 2),
    ),
)  # fmt: skip
"""They have no value for one answer, and so no interval."""


class Paired(NamedTuple):
    """One metric, record by record, under both models; a model's value is sum / sum of weights.

    Attributes:
        metric: The measure.
        task: The task that it is over; "": all.
        baseline: One numerator a record, such as nats summed over its tokens, or an answer's value.
        finetuned: The same under the fine-tuned model.
        weights: One positive denominator a record, the same for both: tokens, bytes, or ones.
        titles: One title a record; records of one title are resampled together.
    """

    metric: Metric
    task: str
    baseline: FloatArray
    finetuned: FloatArray
    weights: FloatArray
    titles: Sequence[str]


def paired_scores(
    scores: pa.Table, baseline: str, finetuned: str, *, same_tokenizer: bool
) -> list[Paired]:
    """The loss over all tasks, then by task where there are several; the worth of the title.

    Args:
        scores: The table of scores.
        baseline: A model's name.
        finetuned: Another's.
        same_tokenizer: Whether nats a token mean the same under both; else bits a byte count.
    """
    loss, gain = (LOSS, TITLE_GAIN) if same_tokenizer else (BITS, TITLE_GAIN_BITS)
    tasks = list(dict.fromkeys(rows_of(scores, baseline)["task"]))
    groups = [(loss, task, False) for task in ["", *(tasks if len(tasks) > 1 else [])]]
    found = []
    for metric, task, other_titles in [*groups, (gain, "", True)]:
        before, after = (
            rows_of(scores, model, task, other_titles=other_titles)
            for model in (baseline, finetuned)
        )
        (one, weights), (other, _) = metric.measure(before), metric.measure(after)
        if len(one) and len(other):
            # Titles are swapped in one task alone.
            named = before["task"][0] if other_titles else task
            found.append(Paired(metric, named, one, other, weights, before["cluster"].tolist()))
    return found


def instance_losses(rows: Mapping[str, NDArray[Any]], same_tokenizer: bool) -> FloatArray:
    """Of each of a model's rows the loss in nats a token, or bits a byte; NaN of an empty text."""
    nats, units = (LOSS if same_tokenizer else BITS).measure(rows)
    losses: FloatArray = np.full(len(nats), np.nan)
    np.divide(nats, units, out=losses, where=units > 0)
    return losses


def paired_answers(answers: pa.Table, baseline: str, finetuned: str) -> list[Paired]:
    """Each metric over the prompts to which both models' answers have it."""
    before, after = (answers_of(answers, model) for model in (baseline, finetuned))
    titles = [title_key(title) for title in before["title"].to_pylist()]
    found = []
    for metric in ANSWERS:
        one, other = (rows[metric.name].to_numpy().astype(np.float64) for rows in (before, after))
        having = np.flatnonzero(~(np.isnan(one) | np.isnan(other)))
        if len(having):
            some = [titles[n] for n in having.tolist()]
            found.append(Paired(metric, "", one[having], other[having], np.ones(len(some)), some))
    return found


def diversity(answers: pa.Table, baseline: str, finetuned: str) -> dict[str, tuple[float, float]]:
    """How various each model's answers are together, in the same number of tokens a prompt."""
    both = [answers_of(answers, model)["token_ids"].to_pylist() for model in (baseline, finetuned)]
    # More text repeats more: the longer answer to a prompt is cut to the shorter's length.
    lengths = [min(len(one), len(other)) for one, other in zip(*both, strict=True)]
    before, after = (
        [text[:length] for text, length in zip(texts, lengths, strict=True)] for texts in both
    )
    if not lengths:
        return {}
    return {metric.name: (metric.measure(before), metric.measure(after)) for metric in DIVERSITY}


def answers_of(answers: pa.Table, model: str) -> pa.Table:
    """A model's answers to the prompts of records."""
    return answers.filter((pc.field("model") == model) & (pc.field("record") != ""))


def findings(measured: Sequence[Paired], *, seed: int = 0) -> tuple[Finding, ...]:
    """What each metric says, its p corrected for all of `measured`; in the given order.

    Args:
        measured: The metrics.
        seed: Of the flips and the resamples.
    """
    for one in measured:
        lengths = [len(column) for column in one[2:]]
        if len(set(lengths)) > 1 or not lengths[0] or not (one.weights > 0).all():
            raise ValueError(
                f"{one.metric.name} {one.task}: baseline, finetuned, weights and titles have "
                f"{lengths} values; give one of each a record, at least one record, and positive "
                "weights"
            )
    p = [sign_flip(m.finetuned - m.baseline, m.weights, m.titles, seed=seed) for m in measured]
    return tuple(
        _finding(paired, raw, corrected, seed)
        for paired, raw, corrected in zip(measured, p, holm(p), strict=True)
    )


def _finding(paired: Paired, p: float, p_holm: float, seed: int) -> Finding:
    metric, task, baseline, finetuned, weights, titles = paired
    difference = ratio_interval(finetuned - baseline, weights, titles, seed=seed)
    by_record = (finetuned - baseline) / weights
    return Finding(
        metric=metric,
        task=task,
        n=len(weights),
        titles=len(set(titles)),
        baseline=math.fsum(baseline) / math.fsum(weights),
        finetuned=math.fsum(finetuned) / math.fsum(weights),
        difference=difference,
        effect=effect_size(by_record),
        wins=wins(by_record, metric.better),
        p=p,
        p_holm=p_holm,
        verdict=judge(difference, p_holm, metric.better),
    )


def with_floor(findings: Sequence[Finding], scores: pa.Table) -> tuple[Finding, ...]:
    """The findings, those of the loss with what the trigram model reaches on the same rows."""

    def floor(found: Finding) -> float | None:
        nats, units = found.metric.measure(rows_of(scores, TRIGRAM, found.task))
        return float(nats.sum() / units.sum()) if len(nats) else None

    return tuple(
        found._replace(trigram=floor(found)) if found.metric in (LOSS, BITS) else found
        for found in findings
    )
