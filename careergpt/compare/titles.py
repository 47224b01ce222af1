"""Does the title matter? Unseen descriptions under their true title and under another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.compare.scores import completion_nats
from careergpt.compare.statistics import Interval, ratio_interval
from careergpt.compare.trigram import IntArray, Trigram
from careergpt.data.batches import Scored
from careergpt.data.tasks import Field, Fields, Task, missing_from, prompt_completion
from careergpt.data.tokens import Example, encode
from careergpt.modeling.loss import perplexity

TITLE = "position_title"


class TitlePair(NamedTuple):
    """A completion under the record's own title and under another's, cut to the same tokens."""

    title: str
    other: str
    true: Scored
    swapped: Scored


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
    """

    records: int
    titles: int
    perplexity_true: float
    perplexity_swapped: float
    gain: Interval
    perplexity_trigram: float


def title_pairs(
    records: Sequence[Fields],
    task: Task,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    *,
    limit: int,
    seed: int,
) -> list[TitlePair]:
    """At most `limit` records, each with the title of another that is called otherwise.

    Args:
        records: Unseen records.
        task: A task whose prompt names the title, and whose completion does not.
        tokenizer: The model's.
        max_length: Longest example in tokens.
        limit: How many pairs at most, drawn by the seed.
        seed: Draws the records and their other titles.
    """
    rng = np.random.default_rng(seed)
    usable = [fields for fields in records if not missing_from(task, fields)]
    titles = sorted({str(fields[TITLE]) for fields in usable}, key=str.casefold)
    pairs: list[TitlePair] = []
    for place in rng.permutation(len(usable)).tolist():
        fields = usable[place]
        others = [t for t in titles if t.casefold() != str(fields[TITLE]).casefold()]
        if not others or len(pairs) == limit:
            break
        other = others[int(rng.integers(len(others)))]
        pair = _pair(fields, other, task, tokenizer, max_length)
        if pair:
            pairs.append(pair)
    return pairs


def _pair(
    fields: Fields, other: str, task: Task, tokenizer: PreTrainedTokenizerFast, max_length: int
) -> TitlePair | None:
    changed: Mapping[str, Field] = {**fields, TITLE: other}
    asked = [prompt_completion("", task, some) for some in (fields, changed)]
    true, swapped = encode([pair for pair in asked if pair], tokenizer, max_length)
    if not (isinstance(true, Example) and isinstance(swapped, Example)):
        return None
    # Prompts differ in length, so a cut falls elsewhere: the shorter completion counts for both.
    kept = min(len(some.token_ids) - some.n_prompt for some in (true, swapped))
    cut = [
        Scored(np.array(some.token_ids[: some.n_prompt + kept]), some.n_prompt)
        for some in (true, swapped)
    ]
    return TitlePair(str(fields[TITLE]), other, cut[0], cut[1])


def title_evidence(
    model: PreTrainedModel, pairs: Sequence[TitlePair], trained_on: Iterable[IntArray]
) -> TitleEvidence:
    """Scores the pairs, and the trigram model of the training rows on the true ones."""
    true = completion_nats(model, [pair.true for pair in pairs])
    swapped = completion_nats(model, [pair.swapped for pair in pairs])
    trigram = Trigram.fit(trained_on, model.config.vocab_size)
    counted = [trigram.nats(pair.true.token_ids, pair.true.n_prompt) for pair in pairs]
    tokens = np.array([len(nats) for nats in true], dtype=np.float64)
    sums = [np.array([nats.sum() for nats in some]) for some in (true, swapped, counted)]
    titles = [pair.title.casefold() for pair in pairs]
    return TitleEvidence(
        len(pairs),
        len(set(titles)),
        perplexity(sums[0].sum() / tokens.sum()),
        perplexity(sums[1].sum() / tokens.sum()),
        ratio_interval(sums[1] - sums[0], tokens, titles),
        perplexity(sums[2].sum() / tokens.sum()),
    )
