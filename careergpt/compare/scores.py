"""The table of scores: a row for each record, task, title and model; every figure is a group of it.

| record | task | title | asked_title | model | nats | tokens | n_bytes | nats_own_title |
|---|---|---|---|---|---|---|---|---|
| 5f1c | describe | Nurse | Nurse | baseline | 310.2 | 92 | 415 | |
| 5f1c | describe | Nurse | Nurse | finetuned | 251.8 | 92 | 415 | |
| 5f1c | describe | Nurse | Welder | finetuned | 287.5 | 92 | 415 | 251.8 |

A loss is sum(nats) / sum(tokens) of a model's rows under their own titles; the worth of the title
is sum(nats - nats_own_title) / sum(tokens) of its rows under others' titles. There may be any
number of models; one that counts trigrams has rows like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.compare.statistics import FloatArray, Interval, ratio_interval
from careergpt.compare.trigram import IntArray, Trigram
from careergpt.compare.unseen import TITLE, Instance, swap_titles
from careergpt.data.batches import Scored, collate
from careergpt.data.names import title_key
from careergpt.data.rows import Budget, plan_batches
from careergpt.data.tasks import Task, text_of
from careergpt.data.tokens import Example
from careergpt.data.whole_files import whole
from careergpt.errors import InputError
from careergpt.modeling.attention import dropout_off
from careergpt.modeling.loss import perplexity, token_scores

TRIGRAM = "trigram"
"""The name of the model that only counts."""

COLUMNS = pa.schema(
    {
        "record": pa.string(),
        "task": pa.string(),
        "title": pa.string(),
        "asked_title": pa.string(),
        "prompt": pa.string(),
        "completion": pa.string(),
        "model": pa.string(),
        "nats": pa.float64(),
        "nats_own_title": pa.float64(),
        "tokens": pa.int64(),
        "n_bytes": pa.int64(),
        "n_prompt": pa.int64(),
        "token_ids": pa.list_(pa.int32()),
    }
)

TABLE = COLUMNS.append(pa.field("cluster", pa.string()))
"""The file's columns, and what is resampled and flipped whole: the title's normalised form, for
records of one title are no independent evidence, or the record where it has no title."""

Scorer = Callable[[Sequence[Example], str], FloatArray]
"""Examples, and what a progress bar says -> the nats of each one's completion."""

# Tokens that are scored side by side; any number gives the same nats.
_BATCH_TOKENS = 8192


def completion_nats(
    model: PreTrainedModel,
    examples: Sequence[Example],
    *,
    batch_tokens: int = _BATCH_TOKENS,
    progress: str | None = None,
) -> FloatArray:
    """The nats of each example's completion, dropout off.

    Args:
        model: The model.
        examples: What it is to foretell.
        batch_tokens: Tokens that are scored side by side; any number gives the same nats.
        progress: What a progress bar says; None: no bar.

    Raises:
        InputError: The model's logits are no numbers.
    """
    nats = np.zeros(len(examples))
    bar = tqdm(total=len(examples), desc=progress, disable=progress is None, unit=" examples")
    for place, some in token_nats(model, examples, batch_tokens=batch_tokens):
        nats[place] = some.sum()
        if not np.isfinite(nats[place]):
            raise InputError(
                f"the scores of {model.name_or_path or 'the model'} are not finite: it diverged "
                "in training; compare another checkpoint"
            )
        bar.update()
    bar.close()
    return nats


def token_nats(
    model: PreTrainedModel, examples: Sequence[Example], *, batch_tokens: int = _BATCH_TOKENS
) -> Iterator[tuple[int, FloatArray]]:
    """For each example its place and the nats of its scored tokens; in no order, dropout off."""
    lengths = np.array([len(example.token_ids) for example in examples])
    budget = Budget(max(batch_tokens, int(lengths.max(initial=1))), None)
    scored = [Scored(np.array(example.token_ids), example.n_prompt) for example in examples]
    with dropout_off(model):
        for rows in plan_batches(lengths, np.arange(len(examples)), budget, seed=0, epoch=0):
            batch = collate([[scored[index] for index in row] for row in rows])
            scores = token_scores(model, batch.to(model.device))
            owners = scores.segment_ids.cpu().numpy()
            values = scores.nats.double().cpu().numpy()
            for segment, index in enumerate(index for row in rows for index in row):
                yield index, values[owners == segment]


def model_scorer(model: PreTrainedModel, batch_tokens: int = _BATCH_TOKENS) -> Scorer:
    """How a model scores, behind a progress bar."""
    return lambda examples, what: completion_nats(
        model, examples, batch_tokens=batch_tokens, progress=what
    )


def trigram_scorer(training: Iterable[IntArray], vocabulary: int) -> Scorer:
    """What counting three tokens in a row reaches: who does no better has learned no sentence.

    Args:
        training: Token ids of each training example.
        vocabulary: How many ids there are.
    """
    trigram = Trigram.fit(training, vocabulary)

    def score(examples: Sequence[Example], what: str) -> FloatArray:
        nats = [trigram.nats(np.array(one.token_ids), one.n_prompt).sum() for one in examples]
        return np.array(nats, dtype=np.float64)

    return score


def score_table(
    instances: Sequence[Instance],
    swaps: Sequence[tuple[int, Instance, Instance]],
    scorers: Mapping[str, Scorer],
    floor: Mapping[str, Scorer] | None = None,
) -> pa.Table:
    """The table of the instances as they are, then of those whose titles were swapped.

    Args:
        instances: Encoded for each of the models.
        swaps: What `swap_titles` made of them.
        scorers: Model -> how it scores.
        floor: The same for models that are not tried under others' titles.
    """
    nats = _nats(instances, {**scorers, **(floor or {})}, "scoring")
    own = _table(instances, nats)
    if not swaps:
        return own
    places, originals, others = zip(*swaps, strict=True)
    nats_own = {model: nats[model][[*places]] for model in scorers}
    # Where the prompt leaves less room, the completion is shorter than the one that was scored.
    shorter = [
        n for n, one in enumerate(originals) if one.examples != instances[places[n]].examples
    ]
    again = _nats([originals[n] for n in shorter], scorers, "scoring shortened texts")
    for model, some in again.items():
        nats_own[model][shorter] = some
    nats_other = _nats(others, scorers, "scoring under others' titles")
    return pa.concat_tables([own, _table(others, nats_other, nats_own)])


def _nats(
    instances: Sequence[Instance], scorers: Mapping[str, Scorer], what: str
) -> dict[str, FloatArray]:
    return {
        model: scorer([one.examples[model] for one in instances], f"{what}, {model}")
        for model, scorer in scorers.items()
        if instances
    }


def _table(
    instances: Sequence[Instance],
    nats: Mapping[str, FloatArray],
    nats_own: Mapping[str, FloatArray] | None = None,
) -> pa.Table:
    clusters = [title_key(one.title) or one.record for one in instances]
    rows = [
        {
            "record": one.record,
            "task": one.pair.task,
            "title": one.title,
            "asked_title": str(one.fields.get(TITLE, one.title)),
            "prompt": text_of(one.pair.prompt),
            "completion": text_of(one.pair.completion),
            "model": model,
            "nats": nats[model][place],
            "nats_own_title": nats_own[model][place] if nats_own else None,
            "tokens": one.examples[model].n_scored,
            "n_bytes": one.examples[model].n_bytes,
            "n_prompt": one.examples[model].n_prompt,
            "token_ids": one.examples[model].token_ids,
            "cluster": clusters[place],
        }
        for place, one in enumerate(instances)
        for model in nats
    ]
    return pa.Table.from_pylist(rows, schema=TABLE)


def rows_of(
    scores: pa.Table, model: str, task: str = "", *, other_titles: bool = False
) -> dict[str, NDArray[Any]]:
    """A model's rows of the table, column by column, without texts; all models' in one order.

    Args:
        scores: The table.
        model: The model's name.
        task: Only this task; "": all.
        other_titles: The rows under others' titles; else those under their own.
    """
    is_own = pc.field("nats_own_title").is_null()
    chosen = (pc.field("model") == model) & (~is_own if other_titles else is_own)
    if task:
        chosen &= pc.field("task") == task
    rows = scores.drop_columns(["prompt", "completion", "token_ids"]).filter(chosen)
    columns = {name: rows[name].to_numpy() for name in rows.column_names}
    counted = ("tokens", "n_bytes")
    return columns | {name: columns[name].astype(np.float64) for name in counted}


def write_scores(path: Path, scores: pa.Table) -> None:
    """Writes scores.parquet: the rows of the models that are compared.

    A record asked by another's title has a row of its own: `asked_title` is not its `title`, and
    `nats_own_title` is what the same tokens cost under its own.
    """
    import pyarrow.parquet as pq

    with whole(path) as partial:
        compared = scores.filter(pc.field("model") != TRIGRAM)
        pq.write_table(compared.select(COLUMNS.names), partial)


class TitleEvidence(NamedTuple):
    """What a model makes of titles.

    Attributes:
        records: Unseen records scored.
        titles: Distinct titles among them.
        perplexity_true: exp(nats a completion token) under the true titles.
        perplexity_swapped: The same under others' titles.
        gain: Nats a token that the true title saves, with a 95 % interval over titles.
        perplexity_trigram: Of a trigram model that learned from the same rows; it cannot see the
            title beyond two tokens.
        gain_before: The gain before training, from where that could be measured.
        change: The gain less that, with its interval.
    """

    records: int
    titles: int
    perplexity_true: float
    perplexity_swapped: float
    gain: Interval
    perplexity_trigram: float
    gain_before: Interval | None = None
    change: Interval | None = None


def title_evidence(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    instances: Sequence[Instance],
    task: tuple[str, Task],
    max_length: int,
    training: Iterable[IntArray],
    start: PreTrainedModel | None = None,
) -> TitleEvidence | None:
    """What the title is worth to one model, beside a trigram model; None where all have one title.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        instances: Unseen records asked by the task.
        task: The name of a task that asks by the title, and the task.
        max_length: The longest example in tokens.
        training: Token ids of the training examples that the trigram model counts.
        start: What the model was before training, of the same tokenizer; None: not to be had.
    """
    models = {"model": model} if start is None else {"model": model, "start": start}
    tokenizers = dict.fromkeys((*models, TRIGRAM), tokenizer)
    swaps = swap_titles(instances, *task, tokenizers, max_length, seed=0)
    if len({title_key(one.title) for _, one, _ in swaps}) < 2:
        return None
    scorers: dict[str, Scorer] = {
        name: lambda examples, _, one=one: completion_nats(one, examples)  # type: ignore[misc]
        for name, one in models.items()
    }
    scorers[TRIGRAM] = trigram_scorer(training, model.config.vocab_size)
    # As they are under their own titles here: shortened where another's leaves less room.
    own = [one for _, one, _ in swaps]
    swaps = [(place, one, other) for place, (_, one, other) in enumerate(swaps)]
    table = score_table(own, swaps, scorers)
    columns = {name: rows_of(table, name, other_titles=True) for name in models}
    rows = columns["model"]
    gains = {name: one["nats"] - one["nats_own_title"] for name, one in columns.items()}
    counted = rows_of(table, TRIGRAM, other_titles=True)
    tokens = rows["tokens"].sum()

    def interval(saved: NDArray[np.float64]) -> Interval:
        return ratio_interval(saved, rows["tokens"], rows["cluster"].tolist())

    return TitleEvidence(
        len(rows["record"]),
        len(set(rows["cluster"])),
        perplexity(rows["nats_own_title"].sum() / tokens),
        perplexity(rows["nats"].sum() / tokens),
        interval(gains["model"]),
        perplexity(counted["nats_own_title"].sum() / tokens),
        None if start is None else interval(gains["start"]),
        None if start is None else interval(gains["model"] - gains["start"]),
    )
