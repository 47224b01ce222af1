"""The token file: examples as rows, written by record and read by index, memory-mapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int32
from numpy.typing import NDArray

from careergpt.data.records import RecordRules, fields_of_row
from careergpt.data.tasks import PromptForm, prompt_completion
from careergpt.data.tokens import Example, encode
from careergpt.data.whole_files import read_arrow

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
"""Of a token file: an example a row."""


def encode_records(
    rows: Sequence[tuple[int, dict[str, Any]]],
    *,
    rules: RecordRules,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    shuffled: frozenset[str],
    form: PromptForm = "plain",
) -> dict[str, list[Any]]:
    """The token file's columns for these records; a prompt too long has length 0 and no ids."""
    pairs = [
        (record, number, pair)
        for record, row in rows
        for number, (name, task) in enumerate(rules.tasks.items())
        if (pair := prompt_completion(name, task, fields_of_row(row), form))
    ]
    examples = [
        found if isinstance(found, Example) else Example([], found.n_tokens, 0, 0, [])
        for found in encode([pair for *_, pair in pairs], tokenizer, max_length, shuffled)
    ]
    return {
        "record": [record for record, _, _ in pairs],
        "task": [number for _, number, _ in pairs],
        "length": [len(example.token_ids) for example in examples],
        **{name: [getattr(found, name) for found in examples] for name in Example._fields},
    }


class TokenStore:
    """The examples of a token file, by index; picklable: loader processes share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        table = read_arrow(path)
        self.record, self.task = table["record"].to_numpy(), table["task"].to_numpy()
        self.length, self.n_prompt = table["length"].to_numpy(), table["n_prompt"].to_numpy()
        self.n_bytes, self.n_cut = table["n_bytes"].to_numpy(), table["n_cut"].to_numpy()
        self._ids = _Ragged(table["token_ids"])
        self._items = _Ragged(table["items"])

    def __reduce__(self) -> tuple[Callable[[Path], TokenStore], tuple[Path]]:
        return TokenStore, (self.path,)

    def __len__(self) -> int:
        return len(self.task)

    def token_ids(self, example: int) -> Int32[np.ndarray, " L"]:
        """The example's ids, a view into the file."""
        return self._ids[example]

    def items(self, example: int) -> Int32[np.ndarray, "I 2"]:
        """Start and end of each list item that may change places."""
        return self._items[example].reshape(-1, 2)


class _Ragged:
    """A column of lists, read without a copy."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        chunks = [chunk for chunk in column.chunks if len(chunk)]
        self._first = np.cumsum([0, *map(len, chunks)])
        self._offsets: list[NDArray[np.int32]] = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values: list[NDArray[np.int32]] = [chunk.values.to_numpy() for chunk in chunks]

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        chunk = int(np.searchsorted(self._first, index, side="right")) - 1
        start, end = self._offsets[chunk][index - self._first[chunk] :][:2]
        return self._values[chunk][start:end]
