"""Which skills training knows, compared by case, white space and punctuation only."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa

from careergpt.data.names import title_key
from careergpt.data.splits import TRAIN
from careergpt.data.store import items_of


def known_from(records: int) -> int:
    """In how many of so many training records a title or skill must be to be known.

    Five tell a name from a slip; of a small table that would leave none.
    """
    return min(max(records // 200, 1), 5)


def known_skills(column: pa.ChunkedArray, split: np.ndarray, min_count: int) -> list[str]:
    """Skills that `min_count` training records or more name, each as most of them spell it."""
    spellings: dict[str, Counter[str]] = defaultdict(Counter)
    for items, home in zip(items_of(column), split, strict=True):
        if home == TRAIN:
            for key, item in {title_key(item): item for item in items}.items():
                spellings[key][item] += 1
    known = (some for some in spellings.values() if some.total() >= min_count)
    # Of two spellings as frequent, the same one whatever the records' order.
    return sorted(max(some, key=lambda item: (some[item], item)) for some in known)
