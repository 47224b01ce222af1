"""Near-duplicates: MinHash signatures of texts and the groups that they form (Broder, 1997)."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

PERMUTATIONS = 128
SHINGLE_WORDS = 5

_WORD = re.compile(r"\w+")

Signature = NDArray[np.uint32]


def words_of(text: str) -> list[str]:
    """The text's words, without case and punctuation: what duplicates are compared by."""
    return _WORD.findall(text.casefold())


def signature(text: str) -> Signature:
    """(128,) MinHash of the text's shingles of five words; equal texts have equal signatures."""
    words = words_of(text)
    last = max(len(words) - SHINGLE_WORDS + 1, 1)
    shingles = {" ".join(words[start : start + SHINGLE_WORDS]) for start in range(last)}
    sketch = MinHash(PERMUTATIONS, hashfunc=zlib.crc32, scheme="affine32")
    sketch.update_batch([shingle.encode("utf-8", "replace") for shingle in shingles])
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


def near_pairs(
    signatures: Iterable[Signature], threshold: float
) -> Iterable[tuple[int, int, float]]:
    """Pairs (earlier, later, estimated Jaccard similarity) at or above the threshold.

    The estimate's standard error is at most 0.045 (128 permutations).
    """
    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    seen: list[Signature] = []
    for later, values in enumerate(signatures):
        sketch = MinHash(PERMUTATIONS, hashvalues=values, hashfunc=zlib.crc32, scheme="affine32")
        for earlier in sorted(index.query(sketch)):
            similarity = float(np.mean(seen[earlier] == values))
            if similarity >= threshold:
                yield earlier, later, similarity
        index.insert(later, sketch)
        seen.append(values)


def groups(count: int, pairs: Iterable[tuple[int, int, float]]) -> Sequence[int]:
    """The group of each of `count` items: the lowest index that chains of pairs lead to."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    for left, right, _ in pairs:
        low, high = sorted((root(left), root(right)))
        parent[high] = low
    return [root(item) for item in range(count)]
