"""Tables as rows of named cells: CSV, TSV, JSON Lines, Parquet, or a data set on the hub."""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import PurePath
from typing import NamedTuple

from careergpt.data import columnar, text_rows
from careergpt.data.cells import Cell, as_cell, clean_name, first_places
from careergpt.data.encodings import REMEDY, detect_encoding, reading
from careergpt.errors import InputError

__all__ = [
    "Cell",
    "RaggedRow",
    "RawRow",
    "Table",
    "delimited_table",
    "is_table",
    "open_tables",
]

HEADERLESS_SAMPLE = 1000
"""JSON Lines has no header: the keys of this many rows stand for one."""

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


class RawRow(NamedTuple):
    """One row of a table as it stands there, before any cleaning."""

    place: str
    """Where it starts: "postings.csv:17"; "postings.parquet:row 17" where there are no lines."""
    cells: dict[str, Cell]


class RaggedRow(NamedTuple):
    """A row with more or fewer cells than the header; counted as dropped, never guessed at."""

    place: str
    found: int
    expected: int


class Table(NamedTuple):
    """A table that was found readable; its rows stream anew at each call of `rows`."""

    name: str
    columns: tuple[str, ...]
    """The header in order, duplicates included; in `cells` the first of them wins."""
    rows: Callable[[], Iterator[RawRow | RaggedRow]]
    encoding: str
    """"" for binary formats."""
    content: str = ""
    """Changes whenever a byte or the name of an opened table does; its folder does not matter."""


def open_tables(source: str | Sequence[str]) -> list[Table]:
    """Every table of a path, a list of paths, a folder or `owner/name` on the hub."""
    return [_open(place) for place in _expand(source)]


def _expand(source: str | Sequence[str]) -> list[str]:
    places = [source] if isinstance(source, str) else list(source)
    if not places:
        raise InputError("no tables given: name a file, a folder or a data set on the hub")
    return [table for place in places for table in _tables_at(place)]


def _tables_at(place: str) -> list[str]:
    if os.path.isdir(place):
        return _tables_in(place)
    known = ", ".join(READERS)
    if os.path.exists(place):
        if _suffix(place) not in READERS:
            raise InputError(f"{place} is no table: its name must end in {known} (or those + .gz)")
        return [place]
    if HUB_NAME.fullmatch(place) and _suffix(place) not in READERS:
        return [place]
    raise InputError(f"no such file or folder: {place}")


def _tables_in(folder: str) -> list[str]:
    with reading(folder):
        names = sorted(os.listdir(folder))
    # Names with a leading dot are the system's (macOS leaves "._jobs.csv" beside "jobs.csv").
    visible = [os.path.join(folder, name) for name in names if not name.startswith(".")]
    tables = [path for path in visible if _suffix(path) in READERS and os.path.isfile(path)]
    if not tables:
        raise InputError(f"{folder} has no tables: none of its files ends in {', '.join(READERS)}")
    return tables


def _suffix(path: str) -> str:
    return PurePath(path.lower().removesuffix(".gz")).suffix


def _open(place: str) -> Table:
    """The table; whoever reads it to its end knows that the rows are of its `content`."""
    content = _content(place)
    table = READERS.get(_suffix(place), _hub_table)(place)

    def rows() -> Iterator[RawRow | RaggedRow]:
        yield from table.rows()
        if _content(place) != content:
            raise InputError(f"{place} changed while it was read: run again once it is whole")

    return table._replace(rows=rows, content=content)


def _content(place: str) -> str:
    if _suffix(place) not in READERS:
        return f"{place}\0{columnar.hub_fingerprint(place)}"
    with reading(place), open(place, "rb") as file:
        return f"{PurePath(place).name}\0{hashlib.file_digest(file, 'blake2b').hexdigest()}"


def is_table(path: str) -> bool:
    """Whether the file's name is that of a table."""
    return _suffix(path) in READERS


def delimited_table(path: str) -> Table:
    """The table of a text file whose first row is its header, whatever its name.

    Raises:
        InputError: It cannot be read, or has no row below its header.
    """
    encoding = detect_encoding(path)
    delimiter = "\t" if _suffix(path) == ".tsv" else text_rows.find_delimiter(path, encoding)
    with closing(text_rows.read_delimited(path, encoding, delimiter)) as lines:
        header = next(lines, None)
        if header is None:
            raise InputError(f"{path} is empty. {REMEDY}")
        if not any(map(str.isalnum, "".join(header.cells))):
            raise InputError(f"{path}:{header.line}: the header names no column. {REMEDY}")
        if next(lines, None) is None:
            raise InputError(f"{path} has a header and no rows. {REMEDY}")
    width, places = len(header.cells), first_places(header.cells)

    def rows() -> Iterator[RawRow | RaggedRow]:
        lines = text_rows.read_delimited(path, encoding, delimiter)
        for number, cells in islice(lines, 1, None):
            place = f"{path}:{number}"
            if len(cells) == width:
                yield RawRow(place, {name: cells[index] for name, index in places.items()})
            else:
                yield RaggedRow(place, len(cells), width)

    names = (clean_name(name) for name in header.cells)
    return Table(path, tuple(name for name in names if name), rows, encoding)


def _json_table(path: str) -> Table:
    encoding = detect_encoding(path)
    columns: dict[str, None] = {}
    with closing(text_rows.read_json_lines(path, encoding)) as lines:
        for _, values in islice(lines, HEADERLESS_SAMPLE):
            columns.update(dict.fromkeys(first_places(values)))
    if not columns:
        raise InputError(f"{path} is empty. {REMEDY}")

    def rows() -> Iterator[RawRow | RaggedRow]:
        for number, values in text_rows.read_json_lines(path, encoding):
            yield RawRow(f"{path}:{number}", _cells(values))

    return Table(path, tuple(columns), rows, encoding)


def _parquet_table(path: str) -> Table:
    with columnar.open_parquet(path) as file:
        names, count = list(file.schema_arrow.names), file.metadata.num_rows
    if not count:
        raise InputError(f"{path} has a header and no rows. {REMEDY}")
    places = first_places(names)

    def rows() -> Iterator[RawRow | RaggedRow]:
        for number, values in enumerate(columnar.read_parquet(path), start=1):
            cells = {name: as_cell(values[index]) for name, index in places.items()}
            yield RawRow(f"{path}:row {number}", cells)

    return Table(path, tuple(filter(None, map(clean_name, names))), rows, "")


def _hub_table(name: str) -> Table:
    splits = columnar.load_hub_splits(name)
    if not any(map(len, splits.values())):
        raise InputError(f"{name} has a header and no rows. {REMEDY}")
    columns = dict.fromkeys(column for data in splits.values() for column in data.column_names)

    def rows() -> Iterator[RawRow | RaggedRow]:
        for split, data in splits.items():
            for number, values in enumerate(data, start=1):
                yield RawRow(f"{name}:{split}:row {number}", _cells(values))

    return Table(name, tuple(first_places(columns)), rows, "")


def _cells(values: dict[str, object]) -> dict[str, Cell]:
    """The row's cells by clean names; the first wins where two keys become one name."""
    keys = list(values)
    return {name: as_cell(values[keys[index]]) for name, index in first_places(keys).items()}


READERS: dict[str, Callable[[str], Table]] = {
    ".csv": delimited_table,
    ".tsv": delimited_table,
    ".jsonl": _json_table,
    ".ndjson": _json_table,
    ".parquet": _parquet_table,
}
