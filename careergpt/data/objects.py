"""Tables of objects, JSON, Parquet and data sets of the hub; and how a value becomes a cell."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count, islice
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from careergpt.data.foreign_files import (
    CHUNK_BYTES,
    Bound,
    RepeatedError,
    object_once,
    open_seekable,
)
from careergpt.data.text_files import (
    BAD,
    MAX_ROW_CHARS,
    REMEDY,
    detect_encoding,
    open_text,
    read_rows,
)
from careergpt.errors import InputError

Cell = str | list[str] | None

NAMES = ("content", "name", "label", "title", "skill", "text", "value", "preferredlabel")
"""The keys of an object under which its name is found; compared without case."""

ADJACENT = re.compile(r"(?<=['\"])\s+(?=['\"])")
"""Numpy writes its lists without commas, which Python would read as one text."""

OBJECTS = re.compile(r"""\[?\s*\{\s*(["'])\w+\1\s*:""")
"""How objects begin, as JSON and Python write them."""

LONGEST_LITERAL = 100_000
"""Characters; Python's own parser takes a hundred times their memory."""

HEADERLESS_SAMPLE = 1000
"""Objects have no header: the paths in this many rows stand for one."""

_JSON = json.JSONDecoder(object_pairs_hook=object_once)

BETWEEN = re.compile(r"[\s,\[\]]*")

BATCH_ROWS = 1000

MOST_VALUES, MOST_VALUES_A_BYTE = 1_000_000, 10
"""Runs of one value take next to no room in Parquet, and much time and memory to go through."""


class RawRow(NamedTuple):
    """One row of a table as it stands there, before any cleaning."""

    place: str
    """Where it starts: "postings.csv:17"; "postings.parquet:row 17" where there are no lines."""
    cells: Mapping[str, Cell]
    fault: str = ""
    """Why it cannot be read; it is counted as dropped, never guessed at."""


class Table(NamedTuple):
    """A table that was found readable; its rows stream anew at each call of `rows`."""

    name: str
    columns: tuple[str, ...]
    """The header in order, duplicates included; in `cells` the first of them wins."""
    rows: Callable[[], Iterator[RawRow]]
    encoding: str = ""
    """"" for binary formats."""
    content: str = ""
    """Changes whenever a byte or the name of an opened table does; its folder does not matter."""
    passed_over: tuple[str, ...] = ()
    """What of the file is not read."""


class NamelessError(Exception):
    """An object of which no value is its name, or that cannot be read; says which."""


def clean_name(name: str) -> str:
    """A column's name without the white space and the byte order mark that may stick to it."""
    return name.strip("\ufeff \t\r\n\xa0")


def by_path(values: Mapping[str, object]) -> dict[str, Cell]:
    """A row's cells by their columns; what an object holds has a path.

    An object, and a list of them, also stand for their names under their own column.

    Example:
        by_path({"job": {"title": "Cook"}}) == {"job": "Cook", "job.title": "Cook"}
    """
    cells: dict[str, Cell] = {}
    for key, value in values.items():
        if name := clean_name(key):
            with suppress(NamelessError):  # Then only its paths are columns.
                cells.setdefault(name, as_cell(value))
            for path, cell in _within(value).items():
                cells.setdefault(f"{name}.{path}", cell)
    return cells


def _within(value: object) -> Mapping[str, Cell]:
    if isinstance(value, dict):
        return by_path(value)
    if not (isinstance(value, list) and value and isinstance(value[0], dict)):
        return {}
    lists: dict[str, list[str]] = {}
    for item in value:
        for path, cell in by_path(item).items() if isinstance(item, dict) else ():
            lists.setdefault(path, []).extend([cell] if isinstance(cell, str) else cell or [])
    return lists


def as_cell(value: object) -> Cell:
    """A typed value as text, an object as its name; a list stays a list, its nulls left out.

    Raises:
        NamelessError: An object has no name.
    """
    if value is None:
        return None
    if isinstance(value, list | tuple):
        cells = map(as_cell, value)
        return [
            text for cell in cells for text in ([cell] if isinstance(cell, str) else cell or ())
        ]
    return _name_of(value) if isinstance(value, dict) else as_text(value)


def _name_of(value: Mapping[object, object]) -> str:
    """Its text under one of the usual keys, or its only text where it holds no list or object."""
    texts = {str(key).casefold(): text for key, text in value.items() if isinstance(text, str)}
    for name in NAMES:
        if name in texts:
            return texts[name]
    if len(texts) != 1 or any(part and isinstance(part, list | dict) for part in value.values()):
        raise NamelessError("is an object without a key such as name, title or skill")
    return next(iter(texts.values()))


def as_text(value: object) -> str:
    """A value that is neither list nor object as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return json.dumps(value) if isinstance(value, bool | int | float) else str(value)


def structured(text: str) -> Cell:
    """A cell's text; where it is a list or an object as JSON or Python write them, what it holds.

    Raises:
        NamelessError: An object has no name, or is cut off or broken: its text names nothing.
    """
    bare = text.strip()
    parsers = (json.loads, _python_literal) if bare[:1] + bare[-1:] in ("[]", "{}", "()") else ()
    for parse in parsers:
        try:
            value = parse(bare)
            if isinstance(value, list | dict | tuple):
                return as_cell(value)
        except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError):
            continue
    if OBJECTS.match(bare):
        raise NamelessError("is an object that is cut off or broken")
    return text


def _python_literal(text: str) -> object:
    if len(text) > LONGEST_LITERAL:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Of "\d" and the like.
        return ast.literal_eval(ADJACENT.sub(", ", text))


def open_json(path: str) -> Table:
    """Objects of JSON: one a line, or one after the other in an array or without one."""
    encoding = detect_encoding(path)
    with open_text(path, encoding) as file:
        start = file.read(CHUNK_BYTES).lstrip()
    # An array, or objects that each take several lines.
    is_document = start.startswith("[") or re.match(r"\{\s*?[\r\n]", start)
    read = _read_document if is_document else _read_lines
    return open_objects(path, partial(read, encoding=encoding), encoding)


def open_objects(name: str, read: Callable[[str], Iterator[RawRow]], encoding: str = "") -> Table:
    """The table of objects that `read` reads at the name: their paths are its columns."""
    sample = list(islice(read(name), HEADERLESS_SAMPLE))
    if not sample:
        raise InputError(f"{name} is empty. {REMEDY}")
    columns = dict.fromkeys(column for row in sample for column in row.cells)
    if not columns:
        found = sample[0].fault or "an object without keys"
        raise InputError(f'{sample[0].place}: {found}. Write objects, {{"column": value, ...}}')
    return Table(name, tuple(columns), partial(read, name), encoding)


def _read_lines(path: str, encoding: str) -> Iterator[RawRow]:
    """One object a line; a line that is none is a row that cannot be read."""
    for number, line, fault in read_rows(path, encoding):
        place = f"{path}:{number}"
        try:
            yield RawRow(place, {}, fault) if fault else _row(_JSON.decode(line), place)
        except RepeatedError as error:
            yield RawRow(place, {}, str(error))
        except (ValueError, RecursionError):
            yield RawRow(place, {}, "not JSON")


def _row(value: object, place: str) -> RawRow:
    if isinstance(value, dict):
        return RawRow(place, by_path(value))
    return RawRow(place, {}, "no JSON object")


def _read_document(path: str, encoding: str) -> Iterator[RawRow]:
    """Objects one after the other, an object in memory at a time."""
    text, at, line = "", 0, 1
    with open_text(path, encoding) as file:
        while True:
            found = BETWEEN.match(text, at)
            assert found is not None
            start = found.end()
            line += text.count("\n", at, start)
            try:
                value, at = _JSON.raw_decode(text, start)
                row = _row(value, f"{path}:{line}")
            except RepeatedError as error:
                raise InputError(f"{path}:{line}: {error}. Mend it") from None
            except (ValueError, RecursionError) as error:
                # It may go on beyond what was read.
                text, at = text[start:], 0
                more = file.read(max(CHUNK_BYTES, len(text))) if len(text) <= MAX_ROW_CHARS else ""
                if not (text or more):
                    return
                if not more:
                    why = error.msg if isinstance(error, json.JSONDecodeError) else error
                    raise InputError(f"{path}:{line}: not whole JSON ({why}). Mend it") from error
                text += more
                continue
            if text.find(BAD, start, at) >= 0:
                row = RawRow(row.place, {}, f"a byte that is not {encoding}")
            yield row
            line += text.count("\n", start, at)


def read_parquet(path: str) -> Iterator[RawRow]:
    """The file's rows, a batch in memory at a time."""
    bound, numbers = Bound(path), count(1)
    try:
        with open_seekable(path) as content, _parquet_file(content) as file:
            _check_size(file.metadata, bound)
            for batch in file.iter_batches(batch_size=BATCH_ROWS):
                bound.take(sum(map(_expanded, batch.columns)))
                for values in batch.to_pylist():
                    yield RawRow(f"{path}:row {next(numbers)}", by_path(values))
    except pa.ArrowException as error:
        raise InputError(
            f"{path} is no whole Parquet file: {_first_line(error)}. Write it again"
        ) from error


@contextmanager
def _parquet_file(content: Any) -> Iterator[parquet.ParquetFile]:
    """Texts stay in their dictionaries: one that stands in many rows is held once."""
    with parquet.ParquetFile(content) as file:
        columns = map(file.schema.column, range(len(file.schema)))
        texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
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


def hub_splits(name: str) -> dict[str, Any]:
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
    """The rows of all splits of `owner/name` on the hub, in their order."""
    for split, data in hub_splits(name).items():
        for number, values in enumerate(data, start=1):
            yield RawRow(f"{name}:{split}:row {number}", by_path(values))


def hub_fingerprint(name: str) -> str:
    """What `datasets` keys its own cache by: the revision and the files behind each split."""
    return " ".join(f"{split}:{data._fingerprint}" for split, data in hub_splits(name).items())


def _first_line(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0].rstrip(". ")
