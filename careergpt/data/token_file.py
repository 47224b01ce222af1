"""The token file: every example of every record, as one Arrow table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from careergpt.data.record_file import fields_of_row
from careergpt.data.records import RecordRules
from careergpt.data.tasks import prompt_completion
from careergpt.data.tokens import Example, encode

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TOKEN_SCHEMA = pa.schema(
    {
        "record": pa.int64(),
        "task": pa.int16(),
        "n_prompt": pa.int32(),
        "length": pa.int32(),
        "n_bytes": pa.int32(),
        "n_cut": pa.int32(),
        "token_ids": pa.list_(pa.int32()),
        "items": pa.list_(pa.int32()),
    }
)


def encode_records(
    rows: Sequence[tuple[int, dict[str, Any]]],
    *,
    rules: RecordRules,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    shuffled: frozenset[str],
) -> dict[str, list[Any]]:
    """The token file's columns for these records; a prompt too long has length 0 and no ids."""
    asked = [
        (record, number, pair)
        for record, row in rows
        for number, (name, task) in enumerate(rules.tasks.items())
        if (pair := prompt_completion(name, task, fields_of_row(row)))
    ]
    examples = encode([pair for *_, pair in asked], tokenizer, max_length, shuffled)
    whole = [
        example if isinstance(example, Example) else Example([], example.n_tokens, 0, 0, [])
        for example in examples
    ]
    return {
        "record": [record for record, _, _ in asked],
        "task": [number for _, number, _ in asked],
        "n_prompt": [example.n_prompt for example in whole],
        "length": [len(example.token_ids) for example in whole],
        "n_bytes": [example.n_bytes for example in whole],
        "n_cut": [example.n_cut for example in whole],
        "token_ids": [example.token_ids for example in whole],
        "items": [example.items for example in whole],
    }
