"""Arrow files on disk, memory-mapped: what the data preparation writes and the training reads."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Int32
from numpy.typing import NDArray

from careergpt.data.leaving import unfinished

# Column name -> its values: a list, or an array of numpy or Arrow.
Columns = Mapping[str, Any]


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A file to write instead, which takes the path's name when it is whole; an error leaves none.

    A folder that is missing is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Named by process, so that two programs that write the same file do not mix.
    with unfinished(path.with_name(f"{path.name}.{os.getpid()}.partial")) as partial:
        yield partial
        os.replace(partial, path)


def write_arrow(path: Path, schema: pa.Schema, batches: Iterable[Columns]) -> None:
    """Writes the batches as one Arrow file."""
    with (
        whole(path) as partial,
        pa.OSFile(str(partial), "wb") as sink,
        pa.ipc.new_file(sink, schema) as writer,
    ):
        for columns in batches:
            writer.write_batch(pa.record_batch(dict(columns), schema=schema))


def write_json(path: Path, content: Any) -> None:
    """Writes the content as JSON."""
    with whole(path) as partial:
        partial.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def write_lines(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Writes the rows as JSON Lines."""
    with whole(path) as partial, partial.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_arrow(path: Path) -> pa.Table:
    """The table in the file, memory-mapped: opening costs no memory for its rows."""
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The table's rows, one batch in memory at a time."""
    for batch in table.to_batches():
        yield from batch.to_pylist()


def items_of(column: pa.ChunkedArray) -> Iterator[Sequence[str]]:
    """The items of each cell: a text is one, an empty cell has none."""
    for value in column:
        held = value.as_py() or ()
        yield (held,) if isinstance(held, str) else held


class TokenStore:
    """The examples of a token file, by index; picklable: loader processes share the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        table = read_arrow(path)
        self.task = table["task"].to_numpy()
        self.record = table["record"].to_numpy()
        self.n_prompt = table["n_prompt"].to_numpy()
        self.n_bytes = table["n_bytes"].to_numpy()
        self.n_cut = table["n_cut"].to_numpy()
        self.length = table["length"].to_numpy()
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
        self._first = np.cumsum([0, *(len(chunk) for chunk in chunks)])
        self._offsets: list[NDArray[np.int32]] = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values: list[NDArray[np.int32]] = [chunk.values.to_numpy() for chunk in chunks]

    def __getitem__(self, index: int) -> NDArray[np.int32]:
        chunk = int(np.searchsorted(self._first, index, side="right")) - 1
        start, end = self._offsets[chunk][index - self._first[chunk] :][:2]
        return self._values[chunk][start:end]
