"""Tables of counts: what every count model is made of, in memory and in the model folder.

They are sparse, without text and without anything that runs when it is read.
"""

from __future__ import annotations

import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from scipy import sparse

from careergpt.data.foreign_files import check_file
from careergpt.data.tasks import Fields
from careergpt.data.whole_files import whole
from careergpt.errors import InputError
from careergpt.recommend.candidates import GIVEN, Candidates, items_in

Logs = Float64[np.ndarray, " C"]
Kinds = Mapping[str, Candidates]
"""The titles and the skills."""

Tables = Mapping[str, sparse.csr_array]
"""By what the file's name has after the model's: "" for the only one."""

COUNTED = {"path": "markov", "position": "neighbours", "skills": "by_title"}
"""The count model of each task of whose tables others are made."""

_UNFOLDS = 50
"""Bytes that a byte on disk becomes at most; our tables take 2 to 10, a made-up one 1,000."""

_SMALL = 2**26
"""Bytes that any table may become."""

_LARGEST_COUNT = 2**31
"""Sums of more could pass the range of their type."""


class CountModel(ABC):
    """Ranks one task's candidates by tables of counts.

    A subclass fills its tables (`count`) and says what follows from them (`distribution`).
    """

    def __init__(self, task: str, candidates: Kinds, tables: Tables) -> None:
        """Of a task's tables; `fit` and `load` have them."""
        self.task, self.candidates, self.tables = task, candidates, tables

    @classmethod
    @abstractmethod
    def count(cls, task: str, candidates: Kinds, records: Sequence[Fields]) -> Tables:
        """The tables, counted on the training records; of no records they have their columns."""

    @abstractmethod
    def distribution(self, given: tuple[str, ...]) -> Logs:
        """Log-probability of each candidate, given the titles held, the skills or the title."""

    @classmethod
    def fit(cls, task: str, candidates: Kinds, records: Sequence[Fields]) -> CountModel:
        """The model of the training records."""
        return cls(task, candidates, cls.count(task, candidates, records))

    def log_probabilities(self, queries: Sequence[Fields]) -> Float64[np.ndarray, "N C"]:
        """Log-probabilities of each query, normalised over the candidates."""
        return np.stack([self.distribution(items_in(query, GIVEN[self.task])) for query in queries])

    def save(self, folder: Path, name: str) -> None:
        """Writes the tables; a file has its name only when it is whole."""
        for part, table in self.tables.items():
            with whole(folder / f"{name}{part}.npz") as partial, partial.open("wb") as file:
                sparse.save_npz(file, table)

    @classmethod
    def load(cls, task: str, candidates: Kinds, folder: Path, name: str) -> CountModel:
        """What `save` wrote, for the same candidates.

        Raises:
            InputError: A table is missing, damaged, or of other candidates.
        """
        tables: dict[str, sparse.csr_array] = {}
        for part, empty in cls.count(task, candidates, []).items():
            path = folder / f"{name}{part}.npz"
            table = tables[part] = _read(path)
            # A table of none or any number of rows has as many as the one before it.
            rows = empty.shape[0] or next(iter(tables.values())).shape[0]
            if table.shape != (rows, empty.shape[1]):
                raise InputError(
                    f"{path} counts {table.shape[0]:,} by {table.shape[1]:,} and the model folder "
                    f"names {rows:,} by {empty.shape[1]:,}: take all files from one model"
                )
        return cls(task, candidates, tables)


class OfAnother(CountModel):
    """A count model of another's tables, which alone writes them."""

    def save(self, folder: Path, name: str) -> None:
        """Nothing."""

    @classmethod
    def load(cls, task: str, candidates: Kinds, folder: Path, name: str) -> CountModel:
        """Of the tables of the model that counts for the task."""
        return super().load(task, candidates, folder, COUNTED[task])


def postings_in(records: Iterable[Fields]) -> Iterator[Fields]:
    """The records that have both a title and skills."""
    for record in records:
        if items_in(record, "skills") and isinstance(record.get("position_title"), str):
            yield record


def shares_of(counts: np.ndarray) -> Float64[np.ndarray, " C"]:
    """Share of each candidate, one added to each count (Laplace's rule of succession)."""
    return np.asarray((counts + 1.0) / (counts + 1.0).sum())


def table_of(pairs: Iterable[tuple[int, int]], shape: tuple[int, int]) -> sparse.csr_array:
    """How often each pair (row, column) occurs; memory: 16 bytes a pair, and the distinct ones."""
    places = np.fromiter(pairs, np.dtype((np.int64, 2)))
    ones = np.ones(len(places), dtype=np.int64)
    return sparse.coo_array((ones, (places[:, 0], places[:, 1])), shape=shape).tocsr()


def _read(path: Path) -> sparse.csr_array:
    """The counts of a file that anyone may have made."""
    check_file(path)
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(part.file_size for part in archive.infolist())
        if size > max(_UNFOLDS * path.stat().st_size, _SMALL):
            raise ValueError(f"it would unfold to {size:,} bytes")
        table = sparse.csr_array(sparse.load_npz(path))  # It never unpickles.
        if table.dtype.kind not in "iu":
            raise ValueError("its counts are no whole numbers")
        # A made-up index would be followed to wherever it leads.
        table.check_format(full_check=True)
        if table.nnz and not 1 <= table.data.min() <= table.data.max() <= _LARGEST_COUNT:
            raise ValueError("counts must be 1 or more, and below 2,000,000,000")
    except Exception as error:  # Whatever a made-up file leads scipy and NumPy to.
        reason = str(error).splitlines()[0] if str(error) else repr(error)
        raise InputError(
            f"{path} cannot be read ({reason}): train again, or copy it anew"
        ) from None
    return table
