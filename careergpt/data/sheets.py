"""Rows of workbooks (.xlsx), by openpyxl where it is installed."""

import warnings
import zipfile
from collections.abc import Generator
from contextlib import closing
from io import BufferedIOBase
from typing import Any

from careergpt.data.cells import as_text
from careergpt.data.delimited import TextRow
from careergpt.data.packed import Bound, check_archive, open_seekable
from careergpt.errors import InputError


def sheet_names(path: str) -> list[str]:
    """The names of the workbook's sheets: the first is its table."""
    with open_seekable(path) as file, closing(_workbook(path, file)) as book:
        return [sheet.title for sheet in book.worksheets]


def read_sheet(path: str) -> Generator[TextRow, None, None]:
    """The rows of the first sheet that hold something, as wide as the widest before them."""
    bound, width = Bound(path), 0
    with open_seekable(path) as file, closing(_workbook(path, file)) as book:
        rows = enumerate(book.worksheets[0].iter_rows(values_only=True), start=1)
        while found := _next(path, rows):
            number, values = found
            cells = ["" if value is None else as_text(value) for value in values]
            bound.take(sum(map(len, cells)) + len(cells) + 1)
            while cells and not cells[-1].strip():
                cells.pop()
            width = max(width, len(cells))
            if cells:
                yield TextRow(number, cells + [""] * (width - len(cells)))


def _workbook(path: str, file: BufferedIOBase) -> Any:
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise InputError(
            f"{path}: reading .xlsx needs openpyxl (pip install openpyxl); or save it as .csv"
        ) from None
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


def _next(path: str, rows: Any) -> Any:
    try:
        return next(rows, None)
    except Exception as error:
        raise _damaged(path, error) from error


def _damaged(path: str, error: Exception) -> InputError:
    return InputError(f"{path} is no whole workbook: {str(error)[:150]}. Save it again, or as .csv")
