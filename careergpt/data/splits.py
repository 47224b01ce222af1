"""Splits: a function of a group's hash, so that new rows move no old one."""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from jaxtyping import Float, Int8

from careergpt.errors import InputError

TRAIN, VAL, TEST = range(3)
SPLITS = ("train", "val", "test")

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
