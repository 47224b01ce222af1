"""Which records a model was trained on, by any stage: numbers that stand for texts."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int8

from careergpt.data.foreign_files import check_file
from careergpt.data.splits import LEFT_OUT, TRAIN, unit_of
from careergpt.data.whole_files import whole
from careergpt.errors import InputError

TRAINED_ROWS = "trained_rows.npy"
"""Of a model folder. A text leads to its number, but no number to a text."""

Numbers = Float64[np.ndarray, " M"]


def numbers_of(table: pa.Table) -> Float64[np.ndarray, " N"]:
    """For each record the number that its text alone decides, whatever table it stands in."""
    return np.array([unit_of(key) for key in table["key"].to_pylist()], dtype=np.float64)


def leave_out_trained(
    split: Int8[np.ndarray, " N"], table: pa.Table, trained: Numbers
) -> Int8[np.ndarray, " N"]:
    """The split without those that were trained on, and their near-duplicates, outside training."""
    group = table["group"].to_numpy()
    seen = np.isin(group, group[np.isin(numbers_of(table), trained)])
    return np.where(seen & (split != TRAIN), np.int8(LEFT_OUT), split)


def read_trained_rows(folders: Iterable[str]) -> Numbers | None:
    """What any of these models was trained on; None where none of them says."""
    paths = [path for folder in folders if (path := Path(folder) / TRAINED_ROWS).exists()]
    return np.unique(np.concatenate([_read(path) for path in paths])) if paths else None


def write_trained_rows(folder: Path, numbers: Numbers) -> None:
    """Writes them into a model folder."""
    with whole(folder / TRAINED_ROWS) as partial, partial.open("wb") as file:
        np.save(file, np.unique(numbers))


def _read(path: Path) -> Numbers:
    check_file(path)
    try:
        # It never unpickles; what is mapped can be no larger than the file.
        return np.asarray(np.load(path, mmap_mode="r"), dtype=np.float64).reshape(-1)
    except (OSError, ValueError, TypeError, EOFError) as error:
        raise InputError(f"{path} cannot be read ({error}): train again, or copy it anew") from None
