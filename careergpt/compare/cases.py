"""What the models are compared on: unseen records, each asked by its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from careergpt.compare.encoding import Alike, Reader, encode_alike
from careergpt.compare.titles import TITLE
from careergpt.data.dataset import CareerDataset
from careergpt.data.names import title_key
from careergpt.data.records import fields_of_row
from careergpt.data.splits import TEST
from careergpt.data.tasks import Fields, PromptCompletion, Task, prompt_completion, text_of
from careergpt.data.tokens import Example
from careergpt.errors import InputError


class Case(NamedTuple):
    """An unseen record asked by one task.

    Attributes:
        record: The record's id.
        title: What it is called: its position or a career's last one; empty where it has none.
        group: Its group of near-duplicates.
        fields: Its text.
        pair: The question and the answer.
        examples: The same as tokens, for each reader.
    """

    record: str
    title: str
    group: int
    fields: Fields
    pair: PromptCompletion
    examples: Alike

    @property
    def cluster(self) -> str:
        """What is resampled with it: records of one title are no independent evidence."""
        return title_key(self.title) or self.record

    @property
    def completion(self) -> str:
        """The whole answer as text."""
        return text_of(self.pair.completion).strip()

    def example(self, side: int) -> Example:
        """How the first or the second model reads it."""
        return self.examples[min(side, len(self.examples) - 1)][0]

    @property
    def cut(self) -> bool:
        """Whether the readers do not see the answer's end."""
        return any(example.n_cut for some in self.examples for example in some)


class Asked(NamedTuple):
    """A question to an unseen record, not yet tokens; `group` as in Case."""

    record: str
    title: str
    group: int
    fields: Fields
    pair: PromptCompletion


def unseen(data: CareerDataset) -> list[Asked]:
    """The test split's records, each asked by every task of a weight that it has the fields for."""
    tasks = list(data.tasks.items())
    weighs = np.array([task.weight > 0 for _, task in tasks])
    chosen = (data.split == TEST)[data.store.record] & weighs[data.store.task]
    examples = np.flatnonzero(chosen)
    records = np.unique(data.store.record[examples])
    # The signatures of near-duplicates are as large as the texts.
    rows = data.table.drop_columns(["signature", "key", "place"]).take(records).to_pylist()
    fields = dict(zip(records.tolist(), map(_identified, rows), strict=True))
    asked = []
    for example in examples.tolist():
        record, title, group, said = fields[int(data.store.record[example])]
        pair = prompt_completion(*tasks[int(data.store.task[example])], said)
        assert pair is not None
        asked.append(Asked(record, title, group, said, pair))
    return asked


def _identified(row: dict[str, Any]) -> tuple[str, str, int, Fields]:
    fields = fields_of_row(row)
    titles = fields.get("titles") or ("",)
    return row["id"], str(fields.get(TITLE) or titles[-1]), row["group"], fields


def asked_tasks(asked: Sequence[Asked], data: CareerDataset) -> dict[str, Task]:
    """The tasks that some record is asked."""
    names = {one.pair.task for one in asked}
    return {name: task for name, task in data.tasks.items() if name in names}


def draw_records(asked: Sequence[Asked], limit: int | None, seed: int) -> list[Asked]:
    """What at most `limit` records are asked, drawn by the seed; all of it where it is None."""
    records = sorted({one.record for one in asked})
    drawn = {records[n] for n in np.random.default_rng(seed).permutation(len(records))[:limit]}
    return [one for one in asked if one.record in drawn]


def encode_cases(asked: Sequence[Asked], readers: Sequence[Reader]) -> list[Case]:
    """The questions that leave every reader room for an answer.

    Raises:
        InputError: There is none.
    """
    encoded = encode_alike([[one.pair] for one in asked], readers)
    cases = [Case(*one, found) for one, found in zip(asked, encoded, strict=True) if found]
    if not cases:
        raise InputError(
            f"none of {len(asked)} unseen examples fits into {readers[0].max_length} tokens with "
            "its question: compare models of a longer context"
        )
    return cases
