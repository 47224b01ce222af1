"""A user's own list of candidates: a text file, or a column of a table."""

from __future__ import annotations

from collections.abc import Iterator

from careergpt.data.cleaning import clean_title
from careergpt.data.prompts import read_lines
from careergpt.data.sources import is_table
from careergpt.data.tables import Table, open_tables
from careergpt.errors import InputError
from careergpt.recommend.candidates import Candidates

COLUMNS = ("position_title", "title", "preferredlabel", "alternate title", "job_title", "name")
"""Headers under which titles are found, ours, O*NET's and ESCO's; compared without case."""


def read_candidates(path: str) -> Candidates:
    """The candidates that a file lists: one a line, or a table's column of titles.

    O*NET's tables are text files with tabs.

    Raises:
        InputError: The file is missing, has no such column, or holds no name.
    """
    try:
        return Candidates.listed(map(clean_title, _names(path)))
    except InputError as error:
        where = "" if path in str(error) else f"--candidates {path}: "
        raise InputError(f"{where}{error}") from None


def _names(path: str) -> Iterator[str]:
    if is_table(path):
        return _column(open_tables(path)[0])
    return (line for _, line in read_lines(path))


def _column(table: Table) -> Iterator[str]:
    by_name = {name.casefold(): name for name in reversed(table.columns)}
    column = next((by_name[name] for name in COLUMNS if name in by_name), None)
    if column is None and len(table.columns) == 1:
        column = table.columns[0]
    if column is None:
        raise InputError(
            f"{table.name} has no column of titles (it has: {', '.join(table.columns[:8])}); "
            "name one of them position_title"
        )
    for row in table.rows():
        cell = row.cells.get(column)
        if isinstance(cell, str) and cell.strip():
            yield cell
