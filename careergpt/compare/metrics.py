"""The metrics of a comparison, a row each, and what each finds of models and their baseline.

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
    LEVEL,
    FloatArray,
    Interval,
    detectable_effect,
    effect_size,
    holm,
    is_equivalent,
    judge,
    rank_intervals,
    ratio_interval,
    sign_flip,
    standard_error,
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

METRICS = (LOSS, BITS, TITLE_GAIN, TITLE_GAIN_BITS, *ANSWERS)

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


class Measured(NamedTuple):
    """One metric, record by record, under every model; a model's value is sum / sum of weights.

    Attributes:
        metric: The measure.
        task: The task that it is over; "": all.
        values: Model -> one numerator a record, such as nats summed over its tokens, or an answer's
            value; the baseline comes first.
        weights: One positive denominator a record, the same for all: tokens, bytes, or ones.
        titles: One title a record; records of one title are resampled together.
    """

    metric: Metric
    task: str
    values: Mapping[str, FloatArray]
    weights: FloatArray
    titles: Sequence[str]


def measured_scores(
    scores: pa.Table, models: Sequence[str], *, same_tokenizer: bool
) -> list[Measured]:
    """The loss over all tasks, then by task where there are several; the worth of the title.

    Args:
        scores: The table of scores.
        models: Their names, the baseline's first.
        same_tokenizer: Whether nats a token mean the same under all; else bits a byte count.
    """
    loss, gain = (LOSS, TITLE_GAIN) if same_tokenizer else (BITS, TITLE_GAIN_BITS)
    tasks = list(dict.fromkeys(rows_of(scores, models[0])["task"]))
    groups = [(loss, task, False) for task in ["", *(tasks if len(tasks) > 1 else [])]]
    found = []
    for metric, task, other_titles in [*groups, (gain, "", True)]:
        rows = {m: rows_of(scores, m, task, other_titles=other_titles) for m in models}
        values = {model: metric.measure(some)[0] for model, some in rows.items()}
        if all(map(len, values.values())):
            first = rows[models[0]]
            # Titles are swapped in one task alone.
            named = first["task"][0] if other_titles else task
            weights, titles = metric.measure(first)[1], first["cluster"].tolist()
            found.append(Measured(metric, named, values, weights, titles))
    return found


def instance_losses(rows: Mapping[str, NDArray[Any]], same_tokenizer: bool) -> FloatArray:
    """Of each of a model's rows the loss in nats a token, or bits a byte; NaN of an empty text."""
    nats, units = (LOSS if same_tokenizer else BITS).measure(rows)
    losses: FloatArray = np.full(len(nats), np.nan)
    np.divide(nats, units, out=losses, where=units > 0)
    return losses


def measured_answers(answers: pa.Table, models: Sequence[str]) -> list[Measured]:
    """Each metric over the prompts to which every model's answer has it."""
    rows = {model: answers_of(answers, model) for model in models}
    titles = [title_key(title) for title in rows[models[0]]["title"].to_pylist()]
    found = []
    for metric in ANSWERS:
        values = {m: some[metric.name].to_numpy().astype(np.float64) for m, some in rows.items()}
        having = np.flatnonzero(~np.isnan([*values.values()]).any(axis=0))
        if len(having):
            some = [titles[n] for n in having.tolist()]
            values = {model: value[having] for model, value in values.items()}
            found.append(Measured(metric, "", values, np.ones(len(some)), some))
    return found


def diversity(answers: pa.Table, models: Sequence[str]) -> dict[str, dict[str, float]]:
    """How various each model's answers are together, in the same number of tokens a prompt.

    Metric name -> model -> value.
    """
    texts = {model: answers_of(answers, model)["token_ids"].to_pylist() for model in models}
    # More text repeats more: longer answers to a prompt are cut to the shortest's length.
    lengths = [min(map(len, same)) for same in zip(*texts.values(), strict=True)]
    if not lengths:
        return {}
    cut = {
        model: [text[:length] for text, length in zip(some, lengths, strict=True)]
        for model, some in texts.items()
    }
    return {one.name: {m: one.measure(some) for m, some in cut.items()} for one in DIVERSITY}


def answers_of(answers: pa.Table, model: str) -> pa.Table:
    """A model's answers to the prompts of records."""
    return answers.filter((pc.field("model") == model) & (pc.field("record") != ""))


def findings(
    measured: Sequence[Measured], *, margins: Mapping[str, float] | None = None, seed: int = 0
) -> tuple[Finding, ...]:
    """What each metric says of each model and the baseline, p corrected for all; in their order.

    Args:
        measured: The metrics.
        margins: Metric name -> within which difference models count as equivalent.
        seed: Of the flips and the resamples.
    """
    for one in measured:
        lengths = [len(column) for column in (*one.values.values(), one.weights, one.titles)]
        if len(set(lengths)) > 1 or not lengths[0] or not (one.weights > 0).all():
            raise ValueError(
                f"{one.metric.name} {one.task}: the models' values, weights and titles are "
                f"{lengths}; give one of each a record, at least one record, and positive weights"
            )
    pairs = [(one, model) for one in measured for model in [*one.values][1:]]
    p = [
        sign_flip(_difference(*pair), pair[0].weights, pair[0].titles, seed=seed) for pair in pairs
    ]
    found = tuple(
        _finding(*pair, raw, corrected, seed)
        for pair, raw, corrected in zip(pairs, p, holm(p), strict=True)
    )
    # What Holm left unfound, it tried at this level.
    level = LEVEL / max(1, sum(one.p_holm >= LEVEL for one in found))
    return tuple(
        _with_sizes(one, *pair, level, (margins or {}).get(one.metric.name))
        for one, pair in zip(found, pairs, strict=True)
    )


def _difference(measured: Measured, model: str) -> FloatArray:
    """One a record: the model's less the baseline's, the first."""
    return measured.values[model] - next(iter(measured.values.values()))


def _finding(measured: Measured, model: str, p: float, p_holm: float, seed: int) -> Finding:
    metric, task, values, weights, titles = measured
    apart = _difference(measured, model)
    difference = ratio_interval(apart, weights, titles, seed=seed)
    return Finding(
        metric=metric,
        task=task,
        n=len(weights),
        titles=len(set(titles)),
        baseline=math.fsum(values[next(iter(values))]) / math.fsum(weights),
        finetuned=math.fsum(values[model]) / math.fsum(weights),
        difference=difference,
        effect=effect_size(apart / weights),
        wins=wins(apart / weights, metric.better),
        p=p,
        p_holm=p_holm,
        verdict=judge(difference, p_holm, metric.better),
        model=model,
    )


def _with_sizes(
    found: Finding, measured: Measured, model: str, level: float, margin: float | None
) -> Finding:
    """The finding with what could have been found, and whether it is next to nothing."""
    if margin is None and found.verdict != "no difference found":
        return found
    apart = _difference(measured, model)
    error, freedom = standard_error(apart, measured.weights, measured.titles)
    if found.verdict == "no difference found" and error > 0:
        found = found._replace(detectable=detectable_effect(error, found.titles, level=level))
    if margin is not None:
        same = is_equivalent(found.difference.estimate, error, freedom, margin)
        found = found._replace(margin=margin, equivalent=same)
    return found


def ranks(measured: Sequence[Measured], *, seed: int = 0) -> dict[str, dict[str, Interval]]:
    """Metric name -> model -> its rank and the bounds of it, over all tasks.

    Of three models or more, and of metrics of which one way is better.
    """
    found: dict[str, dict[str, Interval]] = {}
    for metric, _, values, weights, titles in measured:
        # Of a metric's tasks, all together come first.
        if len(values) > 2 and metric.better != "neither" and metric.name not in found:
            sign = 1 if metric.better == "higher" else -1
            columns = sign * np.stack([*values.values()], axis=1)
            placed = rank_intervals(columns, weights, titles, seed=seed)
            found[metric.name] = dict(zip(values, placed, strict=True))
    return found


def with_floor(findings: Sequence[Finding], scores: pa.Table) -> tuple[Finding, ...]:
    """The findings, those of the loss with what the trigram model reaches on the same rows."""

    def floor(found: Finding) -> float | None:
        nats, units = found.metric.measure(rows_of(scores, TRIGRAM, found.task))
        return float(nats.sum() / units.sum()) if len(nats) else None

    return tuple(
        found._replace(trigram=floor(found)) if found.metric in (LOSS, BITS) else found
        for found in findings
    )
