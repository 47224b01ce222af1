"""Text files that others wrote: in whichever encoding, line by line, as objects of JSON Lines."""

from __future__ import annotations

import codecs
import csv
import io
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from careergpt.data.foreign_files import (
    CHUNK_BYTES,
    check_file,
    object_once,
    open_bytes,
    reading,
)
from careergpt.errors import InputError

REMEDY = "Give a table with a header and at least one row"

BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

BAD = "\udcff"
"""Stands for bytes that are not of the encoding: half a character, which no text holds."""

MANY_BAD = 10_000
"""So many bad bytes have shown what the encoding is not."""

HALF_CHARACTER = re.compile("[\ud800-\udfff]")
"""What JSON can write and UTF-8, and so the tokenizer, cannot."""

MAX_ROW_CHARS = 10_000_000
"""A longer row is a broken one: reading on would hold all of it in memory."""

OPEN_QUOTE = "a quote that is opened and never closed"

MAX_BLANK_LINES = 1_000_000
"""More in a row are no table's: going through them all might take hours."""

_LINE_ENDS = ("\n", "\r")

MARK_BAD = "careergpt.mark_bad"


def _mark(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return BAD, error.end


codecs.register_error(MARK_BAD, _mark)


@contextmanager
def open_text(path: str, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The file's text, its line ends as they stand: csv must see them inside quoted cells."""
    with (
        open_bytes(path) as file,
        io.TextIOWrapper(file, encoding=encoding, errors=MARK_BAD, newline="") as text,
    ):
        yield text


def detect_encoding(path: str) -> str:
    """UTF-8 or UTF-16, else Windows-1252: whichever most of the file's other letters are of."""
    with open_bytes(path) as file:
        start = file.read(CHUNK_BYTES)
        if not start:
            raise InputError(f"{path} is empty. {REMEDY}")
        if encoding := _wide_encoding(start):
            return encoding
        decoder = codecs.getincrementaldecoder("utf-8")(MARK_BAD)
        bad = letters = 0
        for chunk in chain([start], iter(partial(file.read, CHUNK_BYTES), b""), [b""]):
            text = decoder.decode(chunk, final=not chunk)
            if not text.isascii():
                bad += text.count(BAD)
                letters += len(text) - len(text.encode("ascii", "ignore"))
            if bad > MANY_BAD:
                break
    # One bad byte among letters of UTF-8 is a fault of its row alone.
    return "utf-8" if 2 * bad <= letters else "cp1252"


def _wide_encoding(start: bytes) -> str | None:
    """What a mark, or the NUL bytes of UTF-16, say at the start."""
    for mark, encoding in BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    # Western text in UTF-16 has a NUL in every other byte; stray NULs in UTF-8 are far rarer.
    even, odd = start[::2].count(0), start[1::2].count(0)
    if max(even, odd) * 4 > len(start) and min(even, odd) * 20 < len(start):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


class BrokenRowError(Exception):
    """A row that cannot be read; says why."""


class RowLines:
    """A file's lines, as rows are made of: bounded, numbered, read again after a broken row."""

    def __init__(self, file: io.TextIOWrapper, name: str) -> None:
        """Starts before the first line of `file`, which errors call `name`."""
        self.file, self.name = file, name
        self.line = 0
        self._blank = 0
        self._again: deque[str] = deque()
        self.begin_row()

    def begin_row(self) -> None:
        """The next line starts a new row."""
        self.first_line = self.line + 1
        self.is_damaged = False
        self._room = MAX_ROW_CHARS
        self._held: list[str] = []

    def __iter__(self) -> Iterator[str]:
        """These lines, from where they stand."""
        return self

    def __next__(self) -> str:
        """The next line with its end."""
        line = self._again.popleft() if self._again else ""
        if not line.endswith(_LINE_ENDS):
            line += self.file.readline(max(self._room + 1 - len(line), 0))
        if not line:
            raise StopIteration
        self.line += 1
        self._room -= len(line)
        self._held.append(line)
        if self._room < 0:
            raise BrokenRowError(
                OPEN_QUOTE
                if self.is_multiline
                else f"a line longer than {MAX_ROW_CHARS:,} characters"
            )
        self.is_damaged = self.is_damaged or BAD in line
        self._blank = self._blank + 1 if line.isspace() else 0
        if self._blank > MAX_BLANK_LINES:
            raise InputError(
                f"{self.name}:{self.line}: {MAX_BLANK_LINES:,} lines without a word. Remove them"
            )
        return line

    @property
    def is_multiline(self) -> bool:
        """Whether the row has gone beyond its first line."""
        return self.line > self.first_line

    def resume_below(self) -> None:
        """Goes on with the line below the broken row's first: that alone is lost."""
        first, *others = self._held
        self.line = self.first_line
        self._again.extendleft(reversed(others))
        while first and not others and not first.endswith(_LINE_ENDS):
            first = self.file.readline(MAX_ROW_CHARS)


def read_rows(
    path: str, encoding: str, parse: Callable[[RowLines], Iterator[Any]] = iter
) -> Iterator[tuple[int, Any, str]]:
    """Rows of a text file: the line where each starts, from 1; the row; why it cannot be read.

    `parse` makes rows of lines, as `csv.reader` does; without it a line that holds something is a
    row. A broken row costs its first line alone: the rows below it are read anew.
    """
    with open_text(path, encoding) as file:
        lines = RowLines(file, path)
        rows = parse(lines)
        while True:
            lines.begin_row()
            try:
                row = next(rows, None)
            except (csv.Error, BrokenRowError) as error:
                fault = _fault(lines, error)
                lines.resume_below()
                yield lines.first_line, None, fault
                continue
            if row is None:
                return
            if lines.is_damaged:
                yield lines.first_line, None, f"a byte that is not {encoding}"
            elif not isinstance(row, str) or row.strip():
                yield lines.first_line, row, ""


def _fault(lines: RowLines, error: Exception) -> str:
    if isinstance(error, BrokenRowError):
        return str(error)
    if lines.is_multiline or str(error) == "unexpected end of data":
        return OPEN_QUOTE
    return 'a quote amid a cell that is not written twice ("")'


def read_lines(path: str) -> list[tuple[int, str]]:
    """The lines of a text file that hold something, and their numbers from 1.

    Raises:
        InputError: The file is missing or unreadable, a line is endless, or none holds anything.
    """
    check_file(Path(path))
    with reading(path):
        encoding = detect_encoding(path) if os.path.getsize(path) else "utf-8"
    numbered = []
    for number, line, fault in read_rows(path, encoding):
        if fault:
            raise InputError(f"{path}:{number}: {fault}. Mend or remove it")
        numbered.append((number, line.strip()))
    if not numbered:
        raise InputError(f"{path} is empty: write one a line")
    return numbered


def read_objects(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects of a JSON Lines file, and their lines from 1; `write_lines` writes them.

    Raises:
        InputError: As `read_lines`, or a line is no object.
    """
    for number, line in read_lines(path):
        yield number, json_object(line, f"{path}:{number}")


def json_object(line: str, place: str) -> dict[str, Any]:
    """The object that a line of JSON holds.

    Raises:
        InputError: It holds none.
    """
    try:
        found = json.loads(line, object_pairs_hook=object_once)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{place}: not JSON ({error}): {excerpt(line)}. Write one object a line"
        ) from None
    if not isinstance(found, dict):
        raise InputError(f'{place}: not a JSON object: {excerpt(line)}. Write {{"name": value, …}}')
    return found


def excerpt(text: str) -> str:
    """The text's beginning in quotes, for a message."""
    return repr(text) if len(text) <= 40 else f"{text[:40]!r}…"
