"""Tables of rows below a header: CSV and its kin as tools write them, and workbooks (.xlsx).

Delimiter, quotes and header are found. A row is its line, counted from 1, its cells, and why it
cannot be read: (2, ["Cook", "fries"], "").
"""

from __future__ import annotations

import csv
import re
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from functools import partial
from io import BufferedIOBase
from itertools import islice, pairwise
from typing import Any, NamedTuple

from careergpt.data.foreign_files import Bound, check_archive, open_seekable
from careergpt.data.objects import RawRow, Table, as_text, clean_name
from careergpt.data.text_files import (
    MAX_ROW_CHARS,
    REMEDY,
    detect_encoding,
    open_text,
    read_rows,
)
from careergpt.errors import InputError, extra

Row = tuple[int, list[str], str]

DELIMITERS = ",;\t|"

# As RFC 4180 has it, with spaces after the delimiters, and as MySQL and Spark write quotes.
QUOTINGS: tuple[Mapping[str, Any], ...] = ({}, {"skipinitialspace": True}, {"escapechar": "\\"})
# Where a tab or a bar separates, many tools quote nothing: a quote is a character.
UNQUOTED: Mapping[str, Any] = {"quoting": csv.QUOTE_NONE}

SAMPLE_ROWS, SAMPLE_CHARS = 10_000, 20_000_000
"""The rows that show how a table is written, at most."""

MOST_ABOVE, MOST_BELOW = 20, 100
"""Where the header is sought, and how many rows below it show that it is one."""

LONGEST_HEADER = 100_000

QUOTED = re.compile(r'"[^"]*"')
SEP_LINE = re.compile(r'"?sep=([^"\s]|\t)"?\s*', re.IGNORECASE)
"""Excel's way to say the delimiter, above the header."""


class Header(NamedTuple):
    """The row that names the columns.

    Attributes:
        line: Where it stands; what stands above is a caption.
        cells: The names, of which some may be empty.
        named: The cells up to the last name: a row has as many.
        width: The cells that a row may have.
    """

    line: int
    cells: list[str]
    named: int
    width: int

    def fits(self, cells: Sequence[str]) -> bool:
        """Whether each named column has a cell, and no other cell but empty ones is left."""
        return self.named <= len(cells) and not "".join(cells[self.width :]).strip()


def open_delimited(path: str, delimiter: str | None = None) -> Table:
    """A text table; of the ways to quote cells, the one under which the fewest rows are broken."""
    encoding = detect_encoding(path)
    delimiter = delimiter or _find_delimiter(path, encoding)
    tried: list[tuple[int, Table]] = []
    for quoting in (*QUOTINGS, UNQUOTED) if delimiter in "\t|" else QUOTINGS:
        read = partial(_read_delimited, path, encoding, {"delimiter": delimiter, **quoting})
        rows = list(_sample(read()))
        header = _find_header(path, rows)
        broken = sum(_is_broken(row, header, quoting) for row in rows)
        tried.append((broken, _below_header(path, header, read, encoding)))
        if not broken:
            break
    return min(tried, key=lambda found: found[0])[1]


def open_sheet(path: str) -> Table:
    """The first sheet of a workbook, read by openpyxl where it is installed."""
    with open_seekable(path) as file, closing(_workbook(path, file)) as book:
        first, *others = (f"{path}: sheet {sheet.title}" for sheet in book.worksheets)
    header = _find_header(first, list(_sample(_read_sheet(path))))
    table = _below_header(path, header, partial(_read_sheet, path), "")
    return table._replace(passed_over=tuple(others))


def _below_header(
    path: str, header: Header, read: Callable[[], Iterator[Row]], encoding: str
) -> Table:
    names = list(map(clean_name, header.cells))
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        if name:
            places.setdefault(name, place)

    def rows() -> Iterator[RawRow]:
        for line, cells, fault in read():
            if line == header.line:
                continue
            if not fault and line < header.line:
                fault = "above the header"
            elif not fault and not header.fits(cells):
                fault = "more or fewer cells than the header"
            named = {} if fault else {name: cells[place] for name, place in places.items()}
            yield RawRow(f"{path}:{line}", named, fault)

    return Table(path, tuple(filter(None, names)), rows, encoding)


def _is_broken(row: Row, header: Header, quoting: Mapping[str, Any]) -> bool:
    line, cells, fault = row
    if line <= header.line:
        return False
    if fault or not header.fits(cells):
        return True
    # A cell in quotes shows that quotes mean something.
    return quoting is UNQUOTED and any(map(QUOTED.fullmatch, cells))


def _find_delimiter(path: str, encoding: str) -> str:
    """What the first line with any, no caption, holds most outside of quotes; or Excel's word."""
    with open_text(path, encoding) as file:
        lines = [file.readline(LONGEST_HEADER) for _ in range(MOST_ABOVE)]
    if found := SEP_LINE.fullmatch(lines[0]):
        return found[1]
    bare = [text for line in lines if (text := QUOTED.sub("", line)).strip()]
    for line, below in pairwise([*bare, ""]):
        likeliest = max(DELIMITERS, key=line.count)
        if likeliest in line and not _is_caption(line, likeliest, below):
            return likeliest
    return DELIMITERS[0]


def _is_caption(line: str, likeliest: str, below: str) -> bool:
    """Whether it is a sentence, of whose commas the line below has none, but other delimiters."""
    others = any(delimiter in below for delimiter in DELIMITERS) and '"' not in below
    return f"{likeliest} " in line and likeliest not in below and others


def _sample(rows: Iterable[Row]) -> Iterator[Row]:
    """The first rows, as many as may be held."""
    room = SAMPLE_CHARS
    for row in islice(rows, SAMPLE_ROWS):
        yield row
        room -= sum(map(len, row[1]))
        if room < 0:
            return


def _find_header(path: str, rows: Sequence[Row]) -> Header:
    """The first row that half of the rows below it fit, else the first row of all.

    Raises InputError where there is none, it cannot be read, names no column or ends the table.
    """
    if not rows:
        raise InputError(f"{path} is empty. {REMEDY}")
    line, cells, fault = rows[0]
    if fault:
        raise InputError(f"{path}:{line}: the header has {fault}. Mend it")
    readable = [row for row in rows[: MOST_ABOVE + MOST_BELOW] if not row[2]]
    header = next(_headers(readable), _header(line, cells))
    if not any(map(str.isalnum, "".join(header.cells))):
        raise InputError(f"{path}:{header.line}: the header names no column. {REMEDY}")
    if header.line == rows[-1][0]:
        raise InputError(f"{path} has a header and no rows. {REMEDY}")
    return header


def _headers(rows: Sequence[Row]) -> Iterator[Header]:
    for place, (line, row, _) in enumerate(rows[:MOST_ABOVE]):
        below = [cells for _, cells, _ in rows[place + 1 : place + 1 + MOST_BELOW]]
        # R numbers the rows and gives their numbers no name.
        numbered = place == 0 and below and below[0][0] == "1"
        for cells in [row, ["", *row]] if numbered else [row]:
            header = _header(line, cells)
            if sum(map(bool, map(str.strip, cells))) < 2:  # A caption, padded with empty cells?
                if place:
                    continue
                header = header._replace(width=header.named)
            if header.named and 2 * sum(map(header.fits, below)) >= len(below) > 0:
                yield header


def _header(line: int, cells: list[str]) -> Header:
    named = max((place for place, name in enumerate(cells, start=1) if name.strip()), default=0)
    return Header(line, cells, named, len(cells))


def _read_delimited(path: str, encoding: str, written: Mapping[str, Any]) -> Iterator[Row]:
    """The rows of a text table, its header among them; blank lines are passed over."""
    # csv's own limit on cells is the whole process's: another library may have lowered it.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARS))
    parse = partial(csv.reader, strict=True, **written)
    for line, cells, fault in read_rows(path, encoding, parse):
        if fault:
            yield line, [], fault
        elif cells and not (line == 1 and cells[0][:4].lower() == "sep="):
            yield line, cells, ""


def _read_sheet(path: str) -> Iterator[Row]:
    """The rows of the first sheet that hold something, as wide as the widest before them."""
    bound, width = Bound(path), 0
    with open_seekable(path) as file, closing(_workbook(path, file)) as book:
        rows = enumerate(book.worksheets[0].iter_rows(values_only=True), start=1)
        while True:
            try:
                number, values = next(rows, (0, ()))
            except Exception as error:
                raise _damaged(path, error) from error
            if not number:
                return
            cells = ["" if value is None else as_text(value) for value in values]
            bound.take(sum(map(len, cells)) + len(cells) + 1)
            while cells and not cells[-1].strip():
                cells.pop()
            width = max(width, len(cells))
            if cells:
                yield number, cells + [""] * (width - len(cells)), ""


def _workbook(path: str, file: BufferedIOBase) -> Any:
    with extra("sheets", f"{path}: reading .xlsx rather than .csv"):
        from openpyxl import load_workbook
    try:
        with zipfile.ZipFile(file) as archive:
            check_archive(archive, path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Of styles and the like, which no table needs.
            book = load_workbook(file, read_only=True, data_only=True)
        book.worksheets[0].reset_dimensions()  # Some tools write them wrongly.
        return book
    except InputError:
        raise
    except Exception as error:  # Openpyxl raises KeyError, ValueError, ParseError and others.
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> InputError:
    return InputError(f"{path} is no whole workbook: {str(error)[:150]}. Save it again, or as .csv")
