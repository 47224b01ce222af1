"""Tables: where they are, and how they are opened; files, folders, archives, names on the hub.

To add a format, write a function from a path to a `Table` and add its suffix to READERS.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import PurePath

from careergpt.data.delimited import open_delimited, open_sheet
from careergpt.data.foreign_files import UNPACKERS, members, open_bytes, open_stored, reading
from careergpt.data.objects import (
    RawRow,
    Table,
    hub_fingerprint,
    open_json,
    open_objects,
    read_hub,
    read_parquet,
)
from careergpt.errors import InputError

READERS: dict[str, Callable[[str], Table]] = {
    ".csv": open_delimited,
    ".tsv": partial(open_delimited, delimiter="\t"),
    ".txt": partial(open_delimited, delimiter="\t"),
    ".json": open_json,
    ".jsonl": open_json,
    ".ndjson": open_json,
    ".parquet": partial(open_objects, read=read_parquet),
    ".xlsx": open_sheet,
}

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

LONGEST_HEADER = 100_000

# Names with a leading dot are the system's (macOS leaves "._jobs.csv" beside "jobs.csv").
_HIDDEN = re.compile(r"(^|/)(\.[^/]*|__MACOSX/.*)$")


def open_tables(source: str | Sequence[str]) -> list[Table]:
    """Every table of a path, a list of paths, a folder, an archive or `owner/name` on the hub."""
    return [_open(place) for place in find_tables(source)[0]]


def _open(place: str) -> Table:
    """The table; whoever reads it to its end knows that the rows are of its `content`."""
    content = _content_of(place)
    table = READERS.get(_suffix_of(place), partial(open_objects, read=read_hub))(place)

    def rows() -> Iterator[RawRow]:
        yield from table.rows()
        if _content_of(place) != content:
            raise InputError(f"{place} changed while it was read: run again once it is whole")

    return table._replace(rows=rows, content=content)


def _content_of(place: str) -> str:
    """Changes whenever a byte or the name of the table does; its folder does not matter."""
    if _suffix_of(place) not in READERS:
        return f"{place}\0{hub_fingerprint(place)}"
    with reading(place), open_stored(place) as file:
        digest = hashlib.file_digest(file, "blake2b")
    return f"{PurePath(place).name}\0{digest.hexdigest()}"


def _suffix_of(path: str) -> str:
    """What the name says of the content, whatever it is packed by."""
    stem, suffix = os.path.splitext(path.lower())
    return PurePath(stem).suffix if suffix in UNPACKERS else suffix


def is_table(path: str) -> bool:
    """Whether the file is a table by its name; of text files those with tabs are, as O*NET's."""
    if _suffix_of(path) != ".txt":
        return _suffix_of(path) in READERS
    with open_bytes(path) as file:
        return b"\t" in file.readline(LONGEST_HEADER)


def find_tables(source: str | Sequence[str]) -> tuple[list[str], list[str]]:
    """The places of the source's tables in order, and what lies beside them and is no table."""
    named = [source] if isinstance(source, str) else list(source)
    if not named:
        raise InputError("no tables given: name a file, a folder or a data set on the hub")
    tables: list[str] = []
    others: list[str] = []
    for place in named:
        found, beside = _tables_at(place)
        tables += found
        others += beside
    return tables, others


def _tables_at(place: str) -> tuple[list[str], list[str]]:
    if os.path.isdir(place):
        with reading(place):
            paths = [os.path.join(place, name) for name in sorted(os.listdir(place))]
        return _tables_among(place, [inner for path in paths for inner in _unzipped(path)])
    if os.path.exists(place):
        if not os.path.isfile(place):
            raise InputError(
                f"{place} is a pipe or a device, and tables are read more than once: save it as a "
                "file"
            )
        if place.lower().endswith(".zip"):
            return _tables_among(place, members(place))
        if is_table(place):
            return [place], []
        raise InputError(
            f"{place} is no table: its name must end in {_known()}, and a .txt table has tabs"
        )
    if HUB_NAME.fullmatch(place) and _suffix_of(place) not in READERS:
        return [place], []
    raise InputError(f"no such file or folder: {place}")


def _unzipped(path: str) -> list[str]:
    is_archive = path.lower().endswith(".zip") and os.path.isfile(path)
    return members(path) if is_archive else [path]


def _tables_among(place: str, paths: Sequence[str]) -> tuple[list[str], list[str]]:
    """The tables among these files, of which there must be one, and the others."""
    seen = [path for path in paths if not _HIDDEN.search(path)]
    files = (path for path in seen if os.path.isfile(path) or not os.path.exists(path))
    tables = [path for path in files if is_table(path)]
    if not tables:
        raise InputError(f"{place} has no tables: none of its files ends in {_known()}")
    return tables, [path for path in seen if path not in set(tables)]


def _known() -> str:
    return f"{', '.join(READERS)} (or those + {', '.join(UNPACKERS)}; or be a .zip of them)"
