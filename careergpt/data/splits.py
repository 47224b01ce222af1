"""Splits: near-duplicates form groups, and a group's hash decides its split, or the tables do.

Near-duplicates are found by MinHash (Broder, 1997). A group moves as one, and no new row moves an
old one. What a model was trained on, by any stage, is kept as numbers that stand for texts.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from datasketch import MinHash, MinHashLSH
from jaxtyping import Float, Float64, Int8, Int64
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from careergpt.data.foreign_files import check_file
from careergpt.data.whole_files import whole
from careergpt.errors import InputError

TRAIN, VAL, TEST = range(3)
SPLITS = ("train", "val", "test")
NO_SPLIT = -1

LEFT_OUT = len(SPLITS)
"""Of no split: a record to test on that the model was trained on."""

_NAMED = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}

PERMUTATIONS = 128
SHINGLE_WORDS = 5

NEAR_DUPLICATE = 0.8
"""Estimated Jaccard similarity of shingles from which two texts, or two lists, are one."""

# Copied for each text: drawing the permutations anew costs as much as the sketch itself.
_EMPTY = MinHash(PERMUTATIONS, hashfunc=zlib.crc32, scheme="affine32")

Signature = NDArray[np.uint32]

TRAINED_ROWS = "trained_rows.npy"
"""Of a model folder. A text leads to its number, but no number to a text."""

LONG_TEXT = 100
"""Characters from which on no two people write the same."""

Numbers = Float64[np.ndarray, " M"]


@lru_cache
def split_named(text: str) -> int:
    """The split that a text names, "jobs_train-0.csv" or "Train"; NO_SPLIT if none or several."""
    named = {_NAMED[word] for word in re.findall("[a-z]+", text.casefold()) if word in _NAMED}
    return named.pop() if len(named) == 1 else NO_SPLIT


def hash_of(key: str) -> float:
    """A number in [0, 1) that the key alone decides, uniform over keys."""
    return int.from_bytes(blake2b(key.encode(), digest_size=6).digest(), "big") / 2**48


def check_fractions(val_fraction: float, test_fraction: float) -> None:
    """Raises InputError unless both fractions are at least 0 and leave something to train on."""
    if min(val_fraction, test_fraction) < 0 or val_fraction + test_fraction >= 1:
        raise InputError(
            "data.val_fraction and data.test_fraction must be 0 or more and sum to less than 1, "
            f"found {val_fraction} and {test_fraction}"
        )


def split_by_hash(
    hashes: Float[np.ndarray, " N"], val_fraction: float, test_fraction: float
) -> Int8[np.ndarray, " N"]:
    """The split of each record by its group's number: val below, then test, train above both."""
    bounds = np.array([val_fraction, val_fraction + test_fraction])
    order = np.array([VAL, TEST, TRAIN], dtype=np.int8)
    return order[np.searchsorted(bounds, hashes, side="right")]


def split_records(
    table: pa.Table, splits: str, val_fraction: float, test_fraction: float
) -> Int8[np.ndarray, " N"]:
    """The split of each record: by hash, the tables' own, or all of them for the test.

    Raises:
        InputError: They are to be the tables' own, and a record has none.
    """
    if splits == "all":
        return np.full(len(table), TEST, dtype=np.int8)
    hashes = table["hash"].to_numpy()
    if splits == "hash":
        return split_by_hash(hashes, val_fraction, test_fraction)
    own = table["own_split"].to_numpy()
    if len(without := np.flatnonzero(own == NO_SPLIT)):
        raise InputError(
            f"{table['place'][int(without[0])]}: data.splits=own, and {len(without):,} records "
            "like this one have no split: name it in a column (--data.columns.split=COLUMN) or in "
            "the table's file name (train, validation or test)"
        )
    # What the tables lack of the two is drawn from train.
    fractions = [
        0.0 if (own == split).any() else fraction
        for split, fraction in ((VAL, val_fraction), (TEST, test_fraction))
    ]
    return np.where(own == TRAIN, split_by_hash(hashes, *fractions), own)


def signature(words: Sequence[str], size: int = SHINGLE_WORDS) -> Signature:
    """(128,) MinHash of a text's shingles of so many words; equal texts have equal signatures."""
    encoded = [word.encode("utf-8", "replace") for word in words]
    shifted = (encoded[start:] for start in range(size))
    shingles = set(map(b" ".join, zip(*shifted, strict=False)))
    sketch = _EMPTY.copy()
    sketch.update_batch(shingles or {b" ".join(encoded)})
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


def near_pairs(
    signatures: Iterable[Signature], threshold: float = NEAR_DUPLICATE
) -> Iterator[tuple[int, int, float]]:
    """Pairs (one, other, estimated Jaccard similarity) that connect all that are this similar.

    Candidates are those that agree in a band of their signatures. The estimate's standard error
    is at most 0.045 (128 permutations). Memory: 512 bytes a signature.
    """
    row = np.dtype((np.uint32, PERMUTATIONS))
    sketches = np.asarray(np.fromiter(signatures, row), dtype=np.uint32)
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    for start, end in index.hashranges:
        for bucket in _buckets(sketches[:, start:end]):
            yield from _connect(bucket, sketches, threshold)


def _buckets(band: NDArray[np.uint32]) -> Iterator[NDArray[np.int64]]:
    """Indices of equal rows, for each row that is there twice or more."""
    whole_rows = np.ascontiguousarray(band).view(f"V{band.itemsize * band.shape[1]}")[:, 0]
    order = np.argsort(whole_rows, kind="stable")
    changes = whole_rows[order[1:]] != whole_rows[order[:-1]]
    bounds = np.flatnonzero(np.concatenate([[True], changes, [True]]))
    for place in np.flatnonzero(np.diff(bounds) > 1):
        yield order[bounds[place] : bounds[place + 1]]


def _connect(
    bucket: NDArray[np.int64], sketches: NDArray[np.uint32], threshold: float
) -> Iterator[tuple[int, int, float]]:
    """Pairs that connect what is similar within the bucket: at most one for each member.

    All pairs would be quadratic in postings that differ by a town's name only.
    """
    reached: list[int] = []
    while len(bucket):
        if not reached:
            reached, bucket = [int(bucket[0])], bucket[1:]
        one = reached.pop()
        similarity = np.mean(sketches[bucket] == sketches[one], axis=1)
        near = similarity >= threshold
        for other, estimate in zip(bucket[near].tolist(), similarity[near].tolist(), strict=True):
            yield one, other, estimate
            reached.append(other)
        bucket = bucket[~near]


def groups(count: int, pairs: Iterable[tuple[int, int, float]]) -> Int64[np.ndarray, " N"]:
    """The group of each of `count` items: the lowest index that chains of pairs lead to.

    Example:
        groups(4, [(3, 1, 0.9)]).tolist() == [0, 1, 2, 1]
    """
    ends = np.array([pair[:2] for pair in pairs], dtype=np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    _, component = connected_components(graph, directed=False)
    _, first = np.unique(component, return_index=True)
    return np.asarray(first[component], dtype=np.int64)


def numbers_of(table: pa.Table) -> tuple[Int64[np.ndarray, " M"], Numbers]:
    """Records by place, and numbers that their texts alone decide, whatever table they stand in.

    A record has one of its key, and one of each long text: the same text may be a description here
    and an answer under another name there, beside fields that only one of two stages read.
    """
    keys = table["key"].to_pylist()
    places, numbers = [np.arange(len(keys))], [np.array([*map(hash_of, keys)], dtype=np.float64)]
    for name, column in zip(table.column_names, table.columns, strict=True):
        if name in ("id", "place", "key") or not pa.types.is_string(column.type):
            continue
        # Part by part: all texts at once may be more than the memory holds.
        long = [pc.greater_equal(pc.utf8_length(part), LONG_TEXT) for part in column.chunks]
        parts = zip(column.chunks, long, strict=True)
        texts = (text for part, mask in parts for text in part.filter(mask).to_pylist())
        places.append(np.flatnonzero(pa.chunked_array(long, pa.bool_()).fill_null(False)))
        numbers.append(np.fromiter(map(hash_of, texts), np.float64))
    return np.concatenate(places), np.concatenate(numbers)


def leave_out_trained(
    split: Int8[np.ndarray, " N"], table: pa.Table, trained: Numbers
) -> Int8[np.ndarray, " N"]:
    """The split without those that were trained on, and their near-duplicates, outside training."""
    group = table["group"].to_numpy()
    places, numbers = numbers_of(table)
    seen = np.isin(group, group[places[np.isin(numbers, trained)]])
    return np.where(seen & (split != TRAIN), np.int8(LEFT_OUT), split)


def read_trained_rows(folders: Iterable[str]) -> Numbers | None:
    """What any of these models was trained on; None where none of them says."""
    found = []
    for path in (Path(folder) / TRAINED_ROWS for folder in folders):
        check_file(path)
        if path.exists():
            try:  # It never unpickles; what is mapped can be no larger than the file.
                numbers = np.load(path, mmap_mode="r")
                found.append(np.asarray(numbers, dtype=np.float64).reshape(-1))
            except (OSError, ValueError, TypeError, EOFError) as error:
                raise InputError(
                    f"{path} cannot be read ({error}): train again, or copy it anew"
                ) from None
    return np.unique(np.concatenate(found)) if found else None


def write_trained_rows(folder: Path, numbers: Numbers) -> None:
    """Writes them into a model folder."""
    with whole(folder / TRAINED_ROWS) as partial, partial.open("wb") as file:
        np.save(file, np.unique(numbers))
