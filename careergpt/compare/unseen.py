"""Test instances: unseen records, each asked by its tasks, as the tokens of every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from transformers import PreTrainedTokenizerFast

from careergpt.data.dataset import CareerDataset
from careergpt.data.names import title_key
from careergpt.data.records import fields_of_row
from careergpt.data.splits import TEST
from careergpt.data.tasks import (
    Fields,
    Piece,
    PromptCompletion,
    Task,
    parse_template,
    prompt_completion,
    text_of,
)
from careergpt.data.tokens import Example, encode
from careergpt.errors import InputError
from careergpt.modeling.loaded import LoadedModel

TITLE = "position_title"

Tokenizers = Mapping[str, PreTrainedTokenizerFast]
"""Model -> its tokenizer; models that read the same tokens may share one."""


class Instance(NamedTuple):
    """An unseen record asked by one task.

    Attributes:
        record: The record's id.
        title: What it is called: its position or a career's last one; empty where it has none.
        group: Its group of near-duplicates.
        fields: Its text.
        pair: The prompt and the completion.
        examples: Model -> the same as tokens; empty until they are encoded.
    """

    record: str
    title: str
    group: int
    fields: Fields
    pair: PromptCompletion
    examples: Mapping[str, Example]

    @property
    def completion(self) -> str:
        """The whole completion as text."""
        return text_of(self.pair.completion).strip()

    @property
    def is_cut(self) -> bool:
        """Whether the models do not see the completion's end."""
        return any(example.n_cut for example in self.examples.values())

    def retitled(self, task: Task, title: str) -> Instance:
        """The record asked by this title, not yet tokens."""
        fields = {**self.fields, TITLE: title}
        pair = prompt_completion(self.pair.task, task, fields, self.pair.form)
        assert pair is not None
        return self._replace(fields=fields, pair=pair, examples={})


def unseen(data: CareerDataset, task: str | None = None) -> list[Instance]:
    """The test split's records, each asked by every task of a weight that it has the fields for.

    Args:
        data: The tables, set up.
        task: Only this task; None: all.
    """
    tasks = list(data.tasks.items())
    kept = np.array([one.weight > 0 and task in (None, name) for name, one in tasks])
    chosen = (data.split == TEST)[data.store.record] & kept[data.store.task]
    examples = np.flatnonzero(chosen)
    asked = np.zeros(len(data.table), dtype=bool)
    asked[data.store.record[examples]] = True
    # The signatures of near-duplicates are as large as the texts.
    rows = data.table.drop_columns(["signature", "key", "place"]).filter(pa.array(asked))
    identified = map(_identified, rows.to_pylist())
    known = dict(zip(np.flatnonzero(asked).tolist(), identified, strict=True))
    instances = []
    for example in examples.tolist():
        record, title, group, fields = known[int(data.store.record[example])]
        pair = prompt_completion(*tasks[int(data.store.task[example])], fields, data.form)
        assert pair is not None
        instances.append(Instance(record, title, group, fields, pair, {}))
    return instances


def _identified(row: dict[str, Any]) -> tuple[str, str, int, Fields]:
    fields = fields_of_row(row)
    titles = fields.get("titles") or ("",)
    return row["id"], str(fields.get(TITLE) or titles[-1]), row["group"], fields


def draw_records(instances: Sequence[Instance], limit: int | None, seed: int) -> list[Instance]:
    """Those of at most `limit` records, drawn by the seed; all of them where it is None."""
    records = sorted({one.record for one in instances})
    drawn = {records[n] for n in np.random.default_rng(seed).permutation(len(records))[:limit]}
    return [one for one in instances if one.record in drawn]


def encode_instances(
    instances: Sequence[Instance], tokenizers: Tokenizers, max_length: int
) -> list[Instance]:
    """Those whose prompt leaves every model room for a token of the completion, as tokens.

    Raises:
        InputError: There is none.
    """
    encoded = encode_together([[one.pair] for one in instances], tokenizers, max_length)
    found = [
        one._replace(examples=examples[0])
        for one, examples in zip(instances, encoded, strict=True)
        if examples
    ]
    if not found:
        raise InputError(
            f"none of {len(instances)} unseen examples fits into {max_length} tokens with "
            "its question: compare models of a longer context"
        )
    return found


def same_tokens(models: Sequence[LoadedModel], probes: Sequence[PromptCompletion]) -> bool:
    """Whether the models read the same tokens: then their nats a token may be compared.

    Saved tokenizers may differ in what does not matter, such as a token for padding; so their
    words, the end of text and the probes decide.
    """
    length = min(model.context for model in models)
    first, *others = (
        (
            model.tokenizer.backend_tokenizer.get_vocab(False),
            model.tokenizer.eos_token_id,
            encode(probes, model.tokenizer, length),
        )
        for model in models
    )
    return all(other == first for other in others)


def title_task(tasks: Mapping[str, Task]) -> tuple[str, Task] | None:
    """The first task that asks by the title and is not answered by it, with its name.

    Example: describe, "Tell me about the qualifications required for a {position_title}."
    """
    for name, task in tasks.items():
        prompt = {slot.field for slot in parse_template(task.prompt)}
        completion = {slot.field for slot in parse_template(task.completion)}
        if TITLE in prompt and TITLE not in completion and task.weight > 0:
            return name, task
    return None


def other_titles(titles: Sequence[str], *, seed: int) -> list[str]:
    """For each title one that another has, of another name; empty where all have one name."""
    names = sorted({title_key(title): title for title in sorted(titles)}.items())
    if len(names) < 2:
        return []
    places = {name: place for place, (name, _) in enumerate(names)}
    drawn = np.random.default_rng(seed).integers(len(names) - 1, size=len(titles)).tolist()
    own = [places[title_key(title)] for title in titles]
    # All names but one's own: those from it on move up by one.
    return [names[d + (d >= o)][1] for d, o in zip(drawn, own, strict=True)]


def swap_titles(
    instances: Sequence[Instance],
    name: str,
    task: Task | None,
    tokenizers: Tokenizers,
    max_length: int,
    seed: int,
) -> list[tuple[int, Instance, Instance]]:
    """Instances under their own title and under another's, both cut to the same completion.

    Args:
        instances: Those of the task, and others.
        name: The name of a task that asks by the title and is not answered by it.
        task: The task; None: there is none.
        tokenizers: Model -> its tokenizer.
        max_length: The longest example in tokens.
        seed: Draws the others' titles.

    Returns:
        The place among the instances, the instance under its own title, under another's; without
        those whose prompt is too long. Empty where all have one title.
    """
    if task is None:
        return []
    places = [place for place, one in enumerate(instances) if one.pair.task == name]
    others = other_titles([instances[place].title for place in places], seed=seed)
    both = [
        [instances[place].retitled(task, title) for title in (instances[place].title, other)]
        for place, other in zip(places, others, strict=False)
    ]
    encoded = encode_together([[one.pair for one in two] for two in both], tokenizers, max_length)
    return [
        (place, own._replace(examples=examples[0]), other._replace(examples=examples[1]))
        for place, (own, other), examples in zip(places, both, encoded, strict=False)
        if examples
    ]


def encode_together(
    completions: Sequence[Sequence[PromptCompletion]], tokenizers: Tokenizers, max_length: int
) -> list[list[dict[str, Example]] | None]:
    """One completion after each of its prompts, for every model: the same text, to the same end.

    It ends for all where one could read no more of it: models whose tokens differ are compared on
    equal texts.

    Args:
        completions: For each the pairs with its prompts, equally many for all.
        tokenizers: Model -> its tokenizer.
        max_length: The longest example in tokens.

    Returns:
        For each completion, by prompt: model -> example. None for one of which a prompt leaves
        some model no room for a token.
    """
    distinct = list({id(tokenizer): tokenizer for tokenizer in tokenizers.values()}.values())
    readers = {model: distinct.index(tokenizer) for model, tokenizer in tokenizers.items()}
    flat = [pair for pairs in completions for pair in pairs]
    encoded = [iter(encode(flat, tokenizer, max_length)) for tokenizer in distinct]
    found: list[list[dict[str, Example]] | None] = []
    for pairs in completions:
        by_reader = [list(islice(some, len(pairs))) for some in encoded]
        whole = [[one for one in some if isinstance(one, Example)] for some in by_reader]
        fits = all(len(some) == len(pairs) for some in whole)
        same = _cut_to_one_end(pairs, whole, distinct, max_length) if fits else None
        if same is None:
            found.append(None)
            continue
        found.append(
            [
                {model: same[reader][prompt] for model, reader in readers.items()}
                for prompt in range(len(pairs))
            ]
        )
    return found


def _cut_to_one_end(
    pairs: Sequence[PromptCompletion],
    whole: list[list[Example]],
    tokenizers: Sequence[PreTrainedTokenizerFast],
    max_length: int,
) -> list[list[Example]] | None:
    """Examples by tokenizer, then by prompt."""
    if not any(example.n_cut for some in whole for example in some):
        return whole
    if len(tokenizers) == 1:
        # Prompts differ in length, so a cut falls elsewhere: the shortest counts for all.
        kept = min(example.n_scored for example in whole[0])
        return [[_first_tokens(example, kept, tokenizers[0]) for example in whole[0]]]
    # The completion's first words, as many as every model can read; without its end.
    room = min(
        # Characters that the example's tokens spell whole.
        len(str(tokenizer.decode(example.token_ids[example.n_prompt :])).rstrip("\ufffd"))
        for some, tokenizer in zip(whole, tokenizers, strict=True)
        for example in some
    )
    text = text_of(pairs[0].completion)
    while room > 0:
        # Tokenizers split at white space, so that the words before it keep their tokens.
        room = max((at for at in range(1, min(room, len(text))) if text[at].isspace()), default=0)
        cut = [pair._replace(completion=_first_chars(pair.completion, room)) for pair in pairs]
        again = [
            [one for one in encode(cut, tokenizer, max_length + 1) if isinstance(one, Example)]
            for tokenizer in tokenizers
        ]
        if room and not any(example.n_cut for some in again for example in some):
            # A text that was cut does not end here. One token counts as cut: it is no whole text.
            return [
                [one._replace(token_ids=one.token_ids[:-1], n_cut=1) for one in some]
                for some in again
            ]
    return None


def _first_tokens(example: Example, kept: int, tokenizer: PreTrainedTokenizerFast) -> Example:
    more = example.n_scored - kept
    if not more:
        return example
    ids = example.token_ids[: example.n_prompt + kept]
    text = str(tokenizer.decode(ids[example.n_prompt :]))
    return example._replace(
        token_ids=ids, n_bytes=len(text.encode("utf-8", "replace")), n_cut=example.n_cut + more
    )


def _first_chars(pieces: Sequence[Piece], n_chars: int) -> tuple[Piece, ...]:
    kept = []
    for piece in pieces:
        text = piece.text[:n_chars]
        n_chars -= len(text)
        if text:
            kept.append(piece._replace(text=text))
    return tuple(kept)
