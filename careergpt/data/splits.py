"""Splits: a function of a group's hash, so that new rows move no old one; or the tables' own."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int8

from careergpt.errors import InputError

TRAIN, VAL, TEST = range(3)
SPLITS = ("train", "val", "test")
NO_SPLIT = -1

_NAMED = {
    **dict.fromkeys(("train", "training"), TRAIN),
    **dict.fromkeys(("val", "valid", "validation", "dev", "eval", "evaluation"), VAL),
    **dict.fromkeys(("test", "testing"), TEST),
}


@lru_cache
def split_named(text: str) -> int:
    """The split that a text names, "jobs_train-0.csv" or "Train"; NO_SPLIT if none or several."""
    named = {_NAMED[word] for word in re.findall("[a-z]+", text.casefold()) if word in _NAMED}
    return named.pop() if len(named) == 1 else NO_SPLIT


LEFT_OUT = len(SPLITS)
"""Of no split: a record to test on that the model was trained on."""


def unit_of(key: str) -> float:
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
    units: Float[np.ndarray, " N"], val_fraction: float, test_fraction: float
) -> Int8[np.ndarray, " N"]:
    """The split of each record by its group's number: val below, then test, train above both."""
    bounds = np.array([val_fraction, val_fraction + test_fraction])
    order = np.array([VAL, TEST, TRAIN], dtype=np.int8)
    return order[np.searchsorted(bounds, units, side="right")]


def split_records(
    table: pa.Table, splits: str, val_fraction: float, test_fraction: float
) -> Int8[np.ndarray, " N"]:
    """The split of each record: by hash, the tables' own, or all of them for the test.

    Raises:
        InputError: They are to be the tables' own, and a record has none.
    """
    if splits == "all":
        return np.full(len(table), TEST, dtype=np.int8)
    units = table["unit"].to_numpy()
    if splits == "hash":
        return split_by_hash(units, val_fraction, test_fraction)
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
    return np.where(own == TRAIN, split_by_hash(units, *fractions), own)
