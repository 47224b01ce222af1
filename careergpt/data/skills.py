"""Which skills training knows, compared by case, white space and punctuation only."""

from __future__ import annotations

import re
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa

from careergpt.data.splits import TRAIN
from careergpt.data.store import items_of

# What is no word elsewhere sets skills apart: C++ and C# from C, .NET from net, node.js from node.
_SKILL_WORD = re.compile(r"(?:(?<![\w.])\.)?\w+(?:\.\w+)*[+#]*")


def skill_words(text: str) -> tuple[str, ...]:
    """The text's words, without case and punctuation but for what belongs to names such as C++."""
    return tuple(_SKILL_WORD.findall(text.casefold()))


def known_from(records: int) -> int:
    """In how many of so many training records a title or skill must be to be known.

    Five tell a name from a slip; of a small table that would leave none.
    """
    return min(max(records // 200, 1), 5)


def known_skills(column: pa.ChunkedArray, split: np.ndarray, min_count: int) -> list[str]:
    """Skills that `min_count` training records or more name, each as most of them spell it."""
    spellings: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for items, home in zip(items_of(column), split, strict=True):
        if home == TRAIN:
            for words, item in {skill_words(item): item for item in items}.items():
                spellings[words][item] += 1
    known = (some for some in spellings.values() if some.total() >= min_count)
    # Of two spellings as frequent, the same one whatever the records' order.
    return sorted(max(some, key=lambda item: (some[item], item)) for some in known)
