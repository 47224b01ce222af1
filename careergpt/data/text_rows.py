"""Rows of CSV and JSON Lines files, each with the line where it starts, in bounded memory."""

import csv
import json
import re
from collections.abc import Generator, Iterator
from io import TextIOWrapper
from typing import NamedTuple

from careergpt.data.encodings import open_text, reading
from careergpt.errors import InputError

MAX_ROW_CHARS = 10_000_000
"""A longer row is a broken file: reading on would hold all of it in memory."""

QUOTED = re.compile(r'"[^"]*"')


class TextRow(NamedTuple):
    """A row of a delimited file and the line where it starts, counted from 1."""

    line: int
    cells: list[str]


class BoundedLines:
    """A file's lines that remembers where the row began and refuses one that never ends."""

    def __init__(self, file: TextIOWrapper, name: str) -> None:
        """Starts before the first line of `file`, which errors call `name`."""
        self.file = file
        self.name = name
        self.line = 0
        self.begin_row()

    def begin_row(self) -> None:
        """The next line starts a new row."""
        self.first_line = self.line + 1
        self.room = MAX_ROW_CHARS

    def __iter__(self) -> Iterator[str]:
        """These lines, from where they stand."""
        return self

    def __next__(self) -> str:
        """The next line with its end."""
        line = self.file.readline(self.room + 1)
        if not line:
            raise StopIteration
        self.line += 1
        self.room -= len(line)
        if self.room < 0:
            raise self.endless()
        return line

    def endless(self) -> InputError:
        """Names the row's first line: that is where a quote was left open."""
        place = f"{self.name}:{self.first_line}"
        if self.line > self.first_line:
            return InputError(
                f"{place}: a quote is opened in this row and never closed within "
                f"{MAX_ROW_CHARS:,} characters. Close it"
            )
        return InputError(
            f"{place}: this line is longer than {MAX_ROW_CHARS:,} characters. Shorten or remove it"
        )


def find_delimiter(path: str, encoding: str) -> str:
    """The one of comma, semicolon and tab that the header holds most, outside of quotes."""
    with reading(path), open_text(path, encoding) as file:
        header = next((line for line in BoundedLines(file, path) if line.strip()), "")
    bare = QUOTED.sub("", header)
    return max(",;\t", key=bare.count)


def read_delimited(path: str, encoding: str, delimiter: str) -> Generator[TextRow, None, None]:
    """The rows of a CSV or TSV file, its header first; blank lines are passed over."""
    # csv's own limit on cells is the whole process's: another library may have lowered it.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARS))
    with reading(path), open_text(path, encoding) as file:
        lines = BoundedLines(file, path)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        while True:
            lines.begin_row()
            try:
                cells = next(reader, None)
            except csv.Error as error:
                raise _quote_error(lines, str(error)) from error
            if cells is None:
                return
            if cells:
                yield TextRow(lines.first_line, cells)


def _quote_error(lines: BoundedLines, found: str) -> InputError:
    place = f"{lines.name}:{lines.first_line}"
    if found == "unexpected end of data":
        message = f"{place}: a quote is opened in this row and never closed. Close it"
    elif lines.line > lines.first_line:
        message = (
            f"{place}: a quote is opened in this row and never closed: the next quote is in line "
            f"{lines.line}, amid a cell. Close it"
        )
    else:
        message = f"{place}: not well-formed: {found}"
    return InputError(f'{message}; a quote that is meant as a character is written twice ("")')


def read_json_lines(
    path: str, encoding: str
) -> Generator[tuple[int, dict[str, object]], None, None]:
    """The objects of a JSON Lines file with their lines; blank lines are passed over."""
    with reading(path), open_text(path, encoding) as file:
        lines = BoundedLines(file, path)
        for line in lines:
            lines.begin_row()
            if line.strip():
                yield lines.line, _parse_object(line, f"{path}:{lines.line}")


def _parse_object(line: str, place: str) -> dict[str, object]:
    try:
        parsed = json.loads(line)
    except (ValueError, RecursionError) as error:
        message = f"{place}: not JSON ({error}): {_excerpt(line)}. Write one object a line"
        raise InputError(message) from error
    if not isinstance(parsed, dict):
        message = f'{place}: not an object: {_excerpt(line)}. Write {{"column": value, ...}}'
        raise InputError(message)
    return parsed


def _excerpt(line: str) -> str:
    line = line.strip()
    return repr(line if len(line) <= 40 else line[:37] + "...")
