"""Rows of Parquet files and of data sets on the Hugging Face hub."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from careergpt.data.cells import RawRow, by_path
from careergpt.data.packed import Bound, open_seekable
from careergpt.errors import InputError

BATCH_ROWS = 1000

MOST_VALUES, MOST_VALUES_A_BYTE = 1_000_000, 10
"""Runs of one value take next to no room in Parquet, and much time and memory to go through."""


def read_parquet(path: str) -> Iterator[RawRow]:
    """The file's rows, a batch in memory at a time."""
    bound, number = Bound(path), 0
    try:
        with open_seekable(path) as content, _parquet_file(content) as file:
            _check_size(file.metadata, bound)
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                bound.take(sum(map(_expanded, batch.columns)))
                for values in batch.to_pylist():
                    number += 1
                    yield RawRow(f"{path}:row {number}", by_path(values))
    except pa.ArrowException as error:
        raise InputError(
            f"{path} is no whole Parquet file: {_first_line(error)}. Write it again"
        ) from error


@contextmanager
def _parquet_file(content: Any) -> Iterator[parquet.ParquetFile]:
    """Texts stay in their dictionaries: one that stands in many rows is held once."""
    with parquet.ParquetFile(content) as file:
        schema = file.schema
        texts = [
            schema.column(place).path
            for place in range(len(schema))
            if schema.column(place).physical_type == "BYTE_ARRAY"
        ]
    content.seek(0)
    with parquet.ParquetFile(content, read_dictionary=texts) as file:
        yield file


def _check_size(metadata: Any, bound: Bound) -> None:
    """Raises InputError where the columns unfold to more than any table's would."""
    chunks = [
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    ]
    values = sum(chunk.num_values for chunk in chunks)
    if values > max(MOST_VALUES, MOST_VALUES_A_BYTE * bound.size):
        raise InputError(
            f"{bound.path} holds {bound.size:,} bytes and says that they are {values:,} values: no "
            "table does. Write it again"
        )
    Bound(bound.path).take(sum(chunk.total_uncompressed_size for chunk in chunks))


def _expanded(array: pa.Array) -> int:
    """Bytes of an array whose every value is held for itself."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        lengths = pc.binary_length(array.dictionary).take(array.indices)
        return pc.sum(lengths).as_py() or 0
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _expanded(array.flatten())
    if pa.types.is_struct(kind):
        return sum(map(_expanded, array.flatten()))
    return int(array.nbytes)


def load_hub_splits(name: str) -> dict[str, Any]:
    """The splits of `owner/name` on the hub, in their order."""
    try:
        import datasets  # late: it takes a second, and most tables are files

        loaded = datasets.load_dataset(name)
    except Exception as error:
        raise InputError(
            f"no such file or folder: {name}; as a data set on the hub it could not be loaded: "
            f"{_first_line(error)}. An offline machine needs a local file"
        ) from error
    return dict(loaded) if isinstance(loaded, dict) else {"train": loaded}


def read_hub(name: str) -> Iterator[RawRow]:
    """The rows of all splits, in their order."""
    for split, data in load_hub_splits(name).items():
        for number, values in enumerate(data, start=1):
            yield RawRow(f"{name}:{split}:row {number}", by_path(values))


def hub_fingerprint(name: str) -> str:
    """What `datasets` keys its own cache by: the revision and the files behind each split."""
    splits = load_hub_splits(name)
    return " ".join(f"{split}:{data._fingerprint}" for split, data in splits.items())


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(". ")
