"""Near-duplicates: MinHash signatures of texts and the groups that they form (Broder, 1997)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from datasketch import MinHash, MinHashLSH
from numpy.typing import NDArray

PERMUTATIONS = 128
SHINGLE_WORDS = 5

# Copied for each text: drawing the permutations anew costs as much as the sketch itself.
_EMPTY = MinHash(PERMUTATIONS, hashfunc=zlib.crc32, scheme="affine32")

Signature = NDArray[np.uint32]


def signature(words: Sequence[str]) -> Signature:
    """(128,) MinHash of a text's shingles of five words; equal texts have equal signatures."""
    encoded = [word.encode("utf-8", "replace") for word in words]
    shifted = (encoded[start:] for start in range(SHINGLE_WORDS))
    shingles = set(map(b" ".join, zip(*shifted, strict=False)))
    sketch = _EMPTY.copy()
    sketch.update_batch(shingles or {b" ".join(encoded)})
    return np.asarray(sketch.hashvalues, dtype=np.uint32)


def near_pairs(
    signatures: Iterable[Signature], threshold: float
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
    whole = np.ascontiguousarray(band).view(f"V{band.itemsize * band.shape[1]}")[:, 0]
    order = np.argsort(whole, kind="stable")
    changes = whole[order[1:]] != whole[order[:-1]]
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
