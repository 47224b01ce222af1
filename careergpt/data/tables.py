"""Tables as rows of named cells: text, JSON, workbooks, Parquet, or a data set on the hub."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple

from careergpt.data import columnar
from careergpt.data.cells import RawRow, clean_name, first_places
from careergpt.data.delimited import (
    Header,
    TextRow,
    find_header,
    find_layout,
    read_delimited,
    sample,
)
from careergpt.data.encodings import REMEDY, detect_encoding
from careergpt.data.json_rows import read_json
from careergpt.data.sheets import read_sheet, sheet_names
from careergpt.data.sources import content_of, find_sources, suffix_of
from careergpt.errors import InputError

HEADERLESS_SAMPLE = 1000
"""Objects have no header: the paths in this many rows stand for one."""


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


def open_tables(source: str | Sequence[str]) -> list[Table]:
    """Every table of a path, a list of paths, a folder, an archive or `owner/name` on the hub."""
    return [_open(place) for place in find_sources(source).places]


def _open(place: str) -> Table:
    """The table; whoever reads it to its end knows that the rows are of its `content`."""
    content = content_of(place)
    table = READERS.get(suffix_of(place), _hub)(place)

    def rows() -> Iterator[RawRow]:
        yield from table.rows()
        if content_of(place) != content:
            raise InputError(f"{place} changed while it was read: run again once it is whole")

    return table._replace(rows=rows, content=content)


def _delimited(path: str, delimiter: str | None = None) -> Table:
    encoding = detect_encoding(path)
    layout = find_layout(path, encoding, delimiter)
    read = partial(read_delimited, path, encoding, layout.written)
    return _below_header(path, layout.header, read, encoding)


def _sheet(path: str) -> Table:
    first, *others = (f"{path}: sheet {name}" for name in sheet_names(path))
    header = find_header(first, list(sample(read_sheet(path))))
    table = _below_header(path, header, partial(read_sheet, path), "")
    return table._replace(passed_over=tuple(others))


def _below_header(
    path: str, header: Header, read: Callable[[], Iterator[TextRow]], encoding: str
) -> Table:
    places = first_places(header.cells)

    def rows() -> Iterator[RawRow]:
        for line, cells, fault in read():
            place = f"{path}:{line}"
            if line < header.line:
                yield RawRow(place, {}, fault or "above the header")
            elif line > header.line and not fault and not header.fits(cells):
                yield RawRow(place, {}, "more or fewer cells than the header")
            elif line > header.line:
                named = {} if fault else {name: cells[at] for name, at in places.items()}
                yield RawRow(place, named, fault)

    return Table(path, tuple(filter(None, map(clean_name, header.cells))), rows, encoding)


def _json(path: str) -> Table:
    encoding = detect_encoding(path)
    return _of_objects(path, partial(read_json, path, encoding), encoding)


def _parquet(path: str) -> Table:
    return _of_objects(path, partial(columnar.read_parquet, path))


def _hub(name: str) -> Table:
    return _of_objects(name, partial(columnar.read_hub, name))


def _of_objects(name: str, read: Callable[[], Iterator[RawRow]], encoding: str = "") -> Table:
    columns: dict[str, None] = {}
    first = None
    for row in islice(read(), HEADERLESS_SAMPLE):
        columns.update(dict.fromkeys(row.cells))
        first = first or row
    if first is None:
        raise InputError(f"{name} is empty. {REMEDY}")
    if not columns:
        found = first.fault or "an object without keys"
        raise InputError(f'{first.place}: {found}. Write objects, {{"column": value, ...}}')
    return Table(name, tuple(columns), read, encoding)


READERS: dict[str, Callable[[str], Table]] = {
    ".csv": _delimited,
    ".tsv": partial(_delimited, delimiter="\t"),
    ".txt": partial(_delimited, delimiter="\t"),
    ".json": _json,
    ".jsonl": _json,
    ".ndjson": _json,
    ".parquet": _parquet,
    ".xlsx": _sheet,
}
