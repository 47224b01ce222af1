"""Where tables are: files, folders, zip archives and names on the hub become places to read."""

import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import NamedTuple

from careergpt.data.columnar import hub_fingerprint
from careergpt.data.packed import UNPACKERS, members, open_bytes, open_stored, reading
from careergpt.errors import InputError

SUFFIXES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".xlsx")

HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")

LONGEST_HEADER = 100_000


class Sources(NamedTuple):
    """The tables' places in order, and what lies beside them and is no table."""

    places: list[str]
    passed_over: list[str]


def find_sources(source: str | Sequence[str]) -> Sources:
    """Every table of a path, a list of paths, a folder, an archive or `owner/name` on the hub."""
    named = [source] if isinstance(source, str) else list(source)
    if not named:
        raise InputError("no tables given: name a file, a folder or a data set on the hub")
    found = Sources([], [])
    for place in named:
        places, passed_over = _sources_at(place)
        found.places.extend(places)
        found.passed_over.extend(passed_over)
    return found


def content_of(place: str) -> str:
    """Changes whenever a byte or the name of the table does; its folder does not matter."""
    if suffix_of(place) not in SUFFIXES:
        return f"{place}\0{hub_fingerprint(place)}"
    with reading(place), open_stored(place) as file:
        digest = hashlib.file_digest(file, "blake2b")
    return f"{PurePath(place).name}\0{digest.hexdigest()}"


def suffix_of(path: str) -> str:
    """What the name says of the content, whatever it is packed by."""
    stem, suffix = os.path.splitext(path.lower())
    return PurePath(stem).suffix if suffix in UNPACKERS else suffix


def is_table(path: str) -> bool:
    """Whether the file is a table by its name; of text files those with tabs are, as O*NET's."""
    if suffix_of(path) != ".txt":
        return suffix_of(path) in SUFFIXES
    with open_bytes(path) as file:
        return b"\t" in file.readline(LONGEST_HEADER)


def _sources_at(place: str) -> Sources:
    if os.path.isdir(place):
        return _sources_in(place)
    if os.path.exists(place):
        if not os.path.isfile(place):
            raise InputError(
                f"{place} is a pipe or a device, and tables are read more than once: save it as a "
                "file"
            )
        if place.lower().endswith(".zip"):
            return _some_tables(place, members(place))
        if is_table(place):
            return Sources([place], [])
        raise InputError(
            f"{place} is no table: its name must end in {_known()}, and a .txt table has tabs"
        )
    if HUB_NAME.fullmatch(place) and suffix_of(place) not in SUFFIXES:
        return Sources([place], [])
    raise InputError(f"no such file or folder: {place}")


def _sources_in(folder: str) -> Sources:
    with reading(folder):
        paths = [os.path.join(folder, name) for name in sorted(os.listdir(folder))]
    inside: list[str] = []
    for path in paths:
        is_archive = path.lower().endswith(".zip") and os.path.isfile(path)
        inside += members(path) if is_archive else [path]
    return _some_tables(folder, inside)


def _some_tables(place: str, paths: Sequence[str]) -> Sources:
    """The tables among these files, of which there must be one."""
    # Names with a leading dot are the system's (macOS leaves "._jobs.csv" beside "jobs.csv").
    seen = [path for path in paths if not re.search(r"(^|/)(\.[^/]*|__MACOSX/.*)$", path)]
    files = (path for path in seen if os.path.isfile(path) or not os.path.exists(path))
    tables = [path for path in files if is_table(path)]
    if not tables:
        raise InputError(f"{place} has no tables: none of its files ends in {_known()}")
    return Sources(tables, [path for path in seen if path not in set(tables)])


def _known() -> str:
    return f"{', '.join(SUFFIXES)} (or those + {', '.join(UNPACKERS)}; or be a .zip of them)"
