"""Rows of Parquet files and of data sets on the Hugging Face hub."""

import gzip
import io
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from careergpt.data.encodings import reading
from careergpt.errors import InputError

BATCH_ROWS = 1000


def open_parquet(path: str) -> Any:
    """The Parquet file; a gzipped one is unpacked in memory, for Parquet is read from its end."""
    try:
        with reading(path):
            if not path.lower().endswith(".gz"):
                return parquet.ParquetFile(path)
            with gzip.open(path, "rb") as file:
                return parquet.ParquetFile(io.BytesIO(file.read()))
    except pa.ArrowException as error:
        raise _damaged(path, error) from error


def read_parquet(path: str) -> Iterator[list[object]]:
    """The file's rows in its order of columns, a batch in memory at a time."""
    file = open_parquet(path)
    try:
        with reading(path), file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                columns = [column.to_pylist() for column in batch.columns]
                yield from map(list, zip(*columns, strict=True))
    except pa.ArrowException as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> InputError:
    return InputError(f"{path} is no whole Parquet file: {_first_line(error)}. Write it again")


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


def hub_fingerprint(name: str) -> str:
    """What `datasets` keys its own cache by: the revision and the files behind each split."""
    splits = load_hub_splits(name)
    return " ".join(f"{split}:{data._fingerprint}" for split, data in splits.items())


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(". ")
