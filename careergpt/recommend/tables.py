"""Tables of counts on disk: sparse, without text and without anything that runs when read."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
from scipy import sparse

from careergpt.data.foreign_files import check_file
from careergpt.data.whole_files import whole
from careergpt.errors import InputError

_UNFOLDS = 50
"""Bytes that a byte on disk becomes at most; our tables take 2 to 10, a made-up one 1,000."""

_SMALL = 2**26
"""Bytes that any table may become."""

_LARGEST_COUNT = 2**31
"""Sums of more could pass the range of their type."""


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
    check_file(path)
    try:
        _check_unfolded(path)
        table = sparse.csr_array(sparse.load_npz(path))  # It never unpickles.
        _check_counts(table)
    except Exception as error:  # Whatever a made-up file leads scipy and NumPy to.
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


def _check_unfolded(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        size = sum(part.file_size for part in archive.infolist())
    if size > max(_UNFOLDS * path.stat().st_size, _SMALL):
        raise ValueError(f"it would unfold to {size:,} bytes")


def _check_counts(table: sparse.csr_array) -> None:
    if table.dtype.kind not in "iu":
        raise ValueError("its counts are no whole numbers")
    # A made-up index would be followed to wherever it leads.
    table.check_format(full_check=True)
    if table.nnz and not 1 <= table.data.min() <= table.data.max() <= _LARGEST_COUNT:
        raise ValueError("counts must be 1 or more, and below 2,000,000,000")
