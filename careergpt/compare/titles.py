"""Does the title matter? Unseen descriptions under their true title and under another's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedModel

from careergpt.compare.encoding import Reader, encode_alike
from careergpt.compare.scores import completion_nats
from careergpt.compare.statistics import Interval, ratio_interval
from careergpt.compare.trigram import IntArray, Trigram
from careergpt.data.names import title_key
from careergpt.data.tasks import (
    Field,
    Fields,
    Task,
    missing_from,
    parse_template,
    prompt_completion,
)
from careergpt.data.tokens import Example
from careergpt.modeling.loss import perplexity

TITLE = "position_title"


class Swap(NamedTuple):
    """A record, and the title of another that is called otherwise."""

    fields: Fields
    other: str


class TitlePair(NamedTuple):
    """A completion under the record's own title and under another's, cut to the same tokens."""

    title: str
    other: str
    true: Example
    swapped: Example


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


def title_task(tasks: Mapping[str, Task]) -> tuple[str, Task] | None:
    """The first task that asks by the title and is not answered by it, with its name."""
    for name, task in tasks.items():
        asked = {slot.field for slot in parse_template(task.prompt)}
        answered = {slot.field for slot in parse_template(task.completion)}
        if TITLE in asked and TITLE not in answered and task.weight > 0:
            return name, task
    return None


def other_titles(titles: Sequence[str], *, seed: int) -> list[str]:
    """For each title one that another has, called otherwise; none where all are called alike."""
    names = sorted({title_key(title): title for title in sorted(titles)}.items())
    if len(names) < 2:
        return []
    places = {name: place for place, (name, _) in enumerate(names)}
    drawn = np.random.default_rng(seed).integers(len(names) - 1, size=len(titles)).tolist()
    own = [places[title_key(title)] for title in titles]
    # All names but one's own: those from it on move up by one.
    return [names[d + (d >= o)][1] for d, o in zip(drawn, own, strict=True)]


def draw_swaps(records: Sequence[Fields], task: Task, *, limit: int, seed: int) -> list[Swap]:
    """At most `limit` records that the task can ask, drawn, each with another's title."""
    usable = [fields for fields in records if not missing_from(task, fields)]
    places = np.random.default_rng(seed).permutation(len(usable))[:limit].tolist()
    drawn = [usable[place] for place in places]
    others = other_titles([str(fields[TITLE]) for fields in drawn], seed=seed)
    return [Swap(fields, other) for fields, other in zip(drawn, others, strict=False)]


def title_pairs(
    swaps: Sequence[Swap], task: Task, readers: Sequence[Reader]
) -> list[tuple[TitlePair, ...] | None]:
    """For each swap its pair as each reader reads it; None where a prompt is too long.

    Args:
        swaps: Records and others' titles.
        task: A task whose prompt names the title, and whose completion does not.
        readers: One, or several whose tokens differ.
    """
    asked = []
    for fields, other in swaps:
        changed: Mapping[str, Field] = {**fields, TITLE: other}
        pairs = [prompt_completion("", task, some) for some in (fields, changed)]
        asked.append([pair for pair in pairs if pair])
    return [
        tuple(TitlePair(str(swap.fields[TITLE]), swap.other, *examples) for examples in alike)
        if alike
        else None
        for swap, alike in zip(swaps, encode_alike(asked, readers), strict=True)
    ]


def title_evidence(
    model: PreTrainedModel, pairs: Sequence[TitlePair], trained_on: Iterable[IntArray]
) -> TitleEvidence:
    """Scores the pairs, and the trigram model of the training rows on the true ones."""
    true = completion_nats(model, [pair.true for pair in pairs])
    swapped = completion_nats(model, [pair.swapped for pair in pairs])
    trigram = Trigram.fit(trained_on, model.config.vocab_size)
    counted = [
        trigram.nats(np.array(pair.true.token_ids), pair.true.n_prompt).sum() for pair in pairs
    ]
    tokens = np.array([pair.true.n_scored for pair in pairs], dtype=np.float64)
    titles = [title_key(pair.title) for pair in pairs]
    return TitleEvidence(
        len(pairs),
        len(set(titles)),
        perplexity(true.sum() / tokens.sum()),
        perplexity(swapped.sum() / tokens.sum()),
        ratio_interval(swapped - true, tokens, titles),
        perplexity(np.sum(counted) / tokens.sum()),
    )


def evidence_text(evidence: TitleEvidence) -> str:
    """What a title is worth to the model."""
    gain = evidence.gain
    if gain.low > 0:
        verdict = "the title helps"
    elif gain.high < 0:
        verdict = "the title misleads"
    else:
        verdict = "no difference found"
    return "\n".join(
        [
            f"Perplexity of {evidence.records} unseen descriptions ({evidence.titles} titles), "
            "a token:",
            f"  under their true title     {evidence.perplexity_true:8.2f}",
            f"  under another's title      {evidence.perplexity_swapped:8.2f}",
            f"  trigram, same rows         {evidence.perplexity_trigram:8.2f}",
            f"The true title saves {gain.estimate:.3f} nats a token "
            f"(95 % interval {gain.low:.3f} to {gain.high:.3f}, by title): {verdict}.",
        ]
    )
