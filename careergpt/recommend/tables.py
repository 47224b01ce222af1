"""Tables of counts on disk: sparse, without text and without anything that runs when read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse

from careergpt.data.whole_files import whole
from careergpt.errors import InputError


def count_table(places: np.ndarray, shape: tuple[int, int]) -> sparse.csr_array:
    """How often each pair (row, column) occurs among the `places` (N, 2)."""
    ones = np.ones(len(places), dtype=np.int64)
    return sparse.coo_array((ones, (places[:, 0], places[:, 1])), shape=shape).tocsr()


def write_table(path: Path, table: sparse.csr_array) -> None:
    """Writes the counts; the file has its name only when it is whole."""
    with whole(path) as partial, partial.open("wb") as file:
        sparse.save_npz(file, table)


def read_table(path: Path, columns: int) -> sparse.csr_array:
    """The counts that `write_table` wrote.

    Raises:
        InputError: There is no such file, it is damaged, or it has another number of columns.
    """
    try:
        table = sparse.csr_array(sparse.load_npz(path))  # It never unpickles.
        # A made-up index would be followed to wherever it leads.
        table.check_format(full_check=True)
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise InputError(
            f"{path} cannot be read ({reason}): train again, or copy it anew"
        ) from None
    if table.shape[1] != columns:
        raise InputError(
            f"{path} counts {table.shape[1]} candidates or words, and the model folder names "
            f"{columns}: take all files from one model"
        )
    return table
