"""Rows of CSV and its kin as tools write them: delimiter, quotes and header are found."""

import csv
import re
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from typing import Any, NamedTuple

from careergpt.data.encodings import REMEDY, open_text
from careergpt.data.text_rows import MAX_ROW_CHARS, BrokenRowError, RowLines
from careergpt.errors import InputError

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


class TextRow(NamedTuple):
    """A row of cells, the line where it starts, counted from 1, and why it cannot be read."""

    line: int
    cells: list[str]
    fault: str = ""


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


class Layout(NamedTuple):
    """How a text table is written: what csv's reader must know, and the header."""

    written: Mapping[str, Any]
    header: Header


def find_layout(path: str, encoding: str, delimiter: str | None = None) -> Layout:
    """The layout under which the fewest of the first rows are broken.

    Raises:
        InputError: The table is empty, or its header cannot be read or names no column.
    """
    delimiter = delimiter or find_delimiter(path, encoding)
    quotings = (*QUOTINGS, UNQUOTED) if delimiter in "\t|" else QUOTINGS
    fewest, best = None, None
    for quoting in quotings:
        written = {"delimiter": delimiter, **quoting}
        rows = list(sample(read_delimited(path, encoding, written)))
        layout = Layout(written, find_header(path, rows))
        broken = sum(_is_broken(row, layout) for row in rows)
        if fewest is None or broken < fewest:
            fewest, best = broken, layout
        if not broken:
            break
    assert best is not None
    return best


def _is_broken(row: TextRow, layout: Layout) -> bool:
    if row.line <= layout.header.line:
        return False
    if row.fault or not layout.header.fits(row.cells):
        return True
    # A cell in quotes shows that quotes mean something.
    return "quoting" in layout.written and any(QUOTED.fullmatch(cell) for cell in row.cells)


def find_delimiter(path: str, encoding: str) -> str:
    """What the first line with any, no caption, holds most outside of quotes; or Excel's word."""
    with open_text(path, encoding) as file:
        lines = [file.readline(LONGEST_HEADER) for _ in range(MOST_ABOVE)]
    if said := SEP_LINE.fullmatch(lines[0]):
        return said[1]
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


def sample(rows: Iterable[TextRow]) -> Iterator[TextRow]:
    """The first rows, as many as may be held."""
    room = SAMPLE_CHARS
    for row in islice(rows, SAMPLE_ROWS):
        yield row
        room -= sum(map(len, row.cells))
        if room < 0:
            return


def find_header(path: str, rows: Sequence[TextRow]) -> Header:
    """The first row that half of the rows below it fit, else the first row of all.

    Raises:
        InputError: There is none, it cannot be read, it names no column or nothing is below it.
    """
    if not rows:
        raise InputError(f"{path} is empty. {REMEDY}")
    if rows[0].fault:
        raise InputError(f"{path}:{rows[0].line}: the header has {rows[0].fault}. Mend it")
    whole = [row for row in rows[: MOST_ABOVE + MOST_BELOW] if not row.fault]
    header = next(_headers(whole), _header(rows[0].line, rows[0].cells))
    if not any(map(str.isalnum, "".join(header.cells))):
        raise InputError(f"{path}:{header.line}: the header names no column. {REMEDY}")
    if header.line == rows[-1].line:
        raise InputError(f"{path} has a header and no rows. {REMEDY}")
    return header


def _headers(rows: Sequence[TextRow]) -> Iterator[Header]:
    for place, row in enumerate(rows[:MOST_ABOVE]):
        below = rows[place + 1 : place + 1 + MOST_BELOW]
        # R numbers the rows and gives their numbers no name.
        numbered = place == 0 and below[:1] and below[0].cells[0] == "1"
        for cells in [row.cells, ["", *row.cells]] if numbered else [row.cells]:
            header = _header(row.line, cells)
            if sum(map(bool, map(str.strip, cells))) < 2:  # A caption, padded with empty cells?
                if place:
                    continue
                header = header._replace(width=header.named)
            fitting = sum(header.fits(other.cells) for other in below)
            if header.named and 2 * fitting >= len(below) > 0:
                yield header


def _header(line: int, cells: list[str]) -> Header:
    named = max((place for place, name in enumerate(cells, start=1) if name.strip()), default=0)
    return Header(line, cells, named, len(cells))


def read_delimited(
    path: str, encoding: str, written: Mapping[str, Any]
) -> Generator[TextRow, None, None]:
    """The rows of a text table, its header among them; blank lines are passed over."""
    # csv's own limit on cells is the whole process's: another library may have lowered it.
    csv.field_size_limit(max(csv.field_size_limit(), MAX_ROW_CHARS))
    with open_text(path, encoding) as file:
        lines = RowLines(file, path)
        reader = csv.reader(lines, strict=True, **written)
        while True:
            lines.begin_row()
            try:
                cells = next(reader, None)
            except (csv.Error, BrokenRowError) as error:
                fault = _fault(lines, error)
                lines.resume_below()
                yield TextRow(lines.first_line, [], fault)
                continue
            if cells is None:
                return
            if lines.is_damaged:
                yield TextRow(lines.first_line, [], f"a byte that is not {encoding}")
            elif cells and not (lines.first_line == 1 and cells[0][:4].lower() == "sep="):
                yield TextRow(lines.first_line, cells)


def _fault(lines: RowLines, error: Exception) -> str:
    if isinstance(error, BrokenRowError):
        return str(error)
    if lines.is_multiline or str(error) == "unexpected end of data":
        return "a quote that is opened and never closed"
    return 'a quote amid a cell that is not written twice ("")'
