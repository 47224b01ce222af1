"""What the metrics find of models and their baseline: values by record, tests, sizes, ranks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from careergpt.compare.comparison import Finding, Metric
from careergpt.compare.metrics import ANSWERS, BITS, DIVERSITY, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
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
