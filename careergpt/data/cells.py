"""What may stand in a table: the names of its columns and the values of its cells."""

import ast
import json
import re
import warnings
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import NamedTuple

Cell = str | list[str] | None

NAMES = ("content", "name", "label", "title", "skill", "text", "value", "preferredlabel")
"""The keys of an object under which its name is found; compared without case."""

ADJACENT = re.compile(r"(?<=['\"])\s+(?=['\"])")
"""Numpy writes its lists without commas, which Python would read as one text."""

OBJECTS = re.compile(r"""\[?\s*\{\s*(["'])\w+\1\s*:""")
"""How objects begin, as JSON and Python write them."""

LONGEST_LITERAL = 100_000
"""Characters; Python's own parser takes a hundred times their memory."""


class RawRow(NamedTuple):
    """One row of a table as it stands there, before any cleaning."""

    place: str
    """Where it starts: "postings.csv:17"; "postings.parquet:row 17" where there are no lines."""
    cells: Mapping[str, Cell]
    fault: str = ""
    """Why it cannot be read; it is counted as dropped, never guessed at."""


class NamelessError(Exception):
    """An object of which no value is its name, or that cannot be read; says which."""


def clean_name(name: str) -> str:
    """A column's name without the white space and the byte order mark that may stick to it."""
    return name.strip("\ufeff \t\r\n\xa0")


def first_places(header: Iterable[str]) -> dict[str, int]:
    """Where each name first stands in the header; empty names are no columns."""
    places: dict[str, int] = {}
    for index, name in enumerate(map(clean_name, header)):
        if name:
            places.setdefault(name, index)
    return places


def by_path(values: Mapping[str, object]) -> dict[str, Cell]:
    """A row's cells by their columns; what an object holds has a path, `job.title`.

    An object, and a list of them, also stand for their names under their own column.
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
