"""What the models are compared on: unseen records, each asked by its tasks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from careergpt.compare.encoding import Alike, Reader, encode_alike
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.record_file import fields_of_row
from careergpt.data.splits import TEST
from careergpt.data.tasks import Fields, PromptCompletion, prompt_completion, text_of
from careergpt.data.tokens import Example
from careergpt.errors import InputError


class Case(NamedTuple):
    """An unseen record asked by one task.

    Attributes:
        record: The record's id.
        title: What it is called: its position, a career's last one, or else its id.
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


def unseen(data: CareerDataModule) -> list[Asked]:
    """The test split's records, each asked by every task of a weight that it has the fields for."""
    assert data.store is not None
    members = data.members(TEST)
    records = np.unique(data.store.record[members])
    rows = dict(zip(records.tolist(), data.table.take(records).to_pylist(), strict=True))
    tasks = list(data.tasks.items())
    asked = []
    for member in members.tolist():
        row = rows[int(data.store.record[member])]
        fields = fields_of_row(row)
        pair = prompt_completion(*tasks[int(data.store.task[member])], fields)
        assert pair is not None
        asked.append(Asked(row["id"], _title(fields, row["id"]), row["group"], fields, pair))
    return asked


def draw_records(asked: Sequence[Asked], limit: int | None, seed: int) -> list[Asked]:
    """What at most `limit` records are asked, drawn by the seed; all of it where it is None."""
    records = sorted({one.record for one in asked})
    drawn = {records[n] for n in np.random.default_rng(seed).permutation(len(records))[:limit]}
    return [one for one in asked if one.record in drawn]


def _title(fields: Fields, record: str) -> str:
    titles = fields.get("titles") or ("",)
    return str(fields.get("position_title") or titles[-1]) or record


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
