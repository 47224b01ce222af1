"""A trie over the token ids of candidates: what they have in common is read once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64, Int64


class Trie:
    """All candidates, each followed by each terminator, as nodes in preorder.

    Node 0, the root, is the prompt's last token; every other node is a token after its parent.
    A subtree is a run of nodes, from its top up to the top's `ends`.

    Attributes:
        tokens: (N,) the token of each node; the root's, which each prompt brings, is 0.
        parents: (N,) the node before; lower than the node itself, and the root its own.
        depths: (N,) tokens from the root to the node.
        ends: (N,) the first node that is after the node's subtree.
        leaves: (C, K) where each candidate ends with each terminator; one may lie within another
            candidate.
        inner: (I,) the nodes that a token follows, in order: those that the model must read.
    """

    tokens: Int64[np.ndarray, " N"]
    parents: Int64[np.ndarray, " N"]
    depths: Int64[np.ndarray, " N"]
    ends: Int64[np.ndarray, " N"]
    leaves: Int64[np.ndarray, "C K"]
    inner: Int64[np.ndarray, " I"]

    def __init__(
        self, candidates: Sequence[Sequence[int]], terminators: Sequence[Sequence[int]]
    ) -> None:
        """Over candidates, of which some may be equal, and the token ids that may end each.

        Raises:
            ValueError: There is none of either, one is empty, or one terminator begins another:
                the probabilities of both could not be added.
        """
        _check(candidates, terminators)
        texts = [(*ids, *end) for ids in candidates for end in terminators]
        tokens, parents, depths, leaves = [0], [0], [0], [0] * len(texts)
        path, before = [0], texts[0][:0]
        # In sorted order each text leaves the path of the one before and never comes back to it.
        for place in sorted(range(len(texts)), key=texts.__getitem__):
            text = texts[place]
            shared = _shared(before, text)
            del path[shared + 1 :]
            for token in text[shared:]:
                parents.append(path[-1])
                depths.append(len(path))
                path.append(len(tokens))
                tokens.append(token)
            leaves[place] = path[-1]
            before = text
        self.tokens, self.parents, self.depths = map(np.array, (tokens, parents, depths))
        self.ends = _ends(parents)
        self.leaves = np.array(leaves).reshape(len(candidates), len(terminators))
        self.inner = np.flatnonzero(self.ends > np.arange(len(tokens)) + 1)

    def path_to(self, node: int) -> list[int]:
        """The nodes that the node follows, from the root on."""
        path: list[int] = []
        while node:
            node = int(self.parents[node])
            path.append(node)
        return path[::-1]

    def sees(self, nodes: Int64[np.ndarray, " T"]) -> Bool[np.ndarray, "T T"]:
        """Which of the nodes each of them follows or is."""
        above, below = nodes[None, :], nodes[:, None]
        seen: np.ndarray = (above <= below) & (below < self.ends[above])
        return seen

    def sums(self, steps: Float64[np.ndarray, "B N"]) -> Float64[np.ndarray, "B N"]:
        """Of each node: its own number, the root's being 0, and those of all that it follows."""
        sums = np.zeros_like(steps)
        for depth in range(1, int(self.depths.max()) + 1):
            nodes = np.flatnonzero(self.depths == depth)
            sums[:, nodes] = sums[:, self.parents[nodes]] + steps[:, nodes]
        return sums


class Chunk(NamedTuple):
    """Nodes of the trie that are read at once.

    Attributes:
        nodes: (T,) those that the first new one follows, read again, and the new ones.
        n_again: How many of them are read again.
        children: (E,) the nodes that follow a new one, by rising parents.
        rows: (E,) the place of each child's parent among the new ones.
    """

    nodes: Int64[np.ndarray, " T"]
    n_again: int
    children: Int64[np.ndarray, " E"]
    rows: Int64[np.ndarray, " E"]


def plan_chunks(trie: Trie, nodes: int) -> Iterator[Chunk]:
    """The inner nodes in runs of so many: of a run, all that lies outside is the first's path."""
    children = 1 + np.argsort(trie.parents[1:], kind="stable")
    parents = trie.parents[children]
    for start in range(0, len(trie.inner), nodes):
        new = trie.inner[start : start + nodes]
        again = trie.path_to(int(new[0]))
        edges = slice(*np.searchsorted(parents, [new[0], new[-1] + 1]))
        rows = np.searchsorted(new, parents[edges])
        yield Chunk(np.array([*again, *new]), len(again), children[edges], rows)


def _check(candidates: Sequence[Sequence[int]], terminators: Sequence[Sequence[int]]) -> None:
    for name, some in (("candidate", candidates), ("terminator", terminators)):
        if len(some) == 0:
            raise ValueError(f"there is no {name}")
        for place, ids in enumerate(some):
            if len(ids) == 0:
                raise ValueError(f"{name} {place} has no tokens")
    for one, other in pairwise(sorted(map(tuple, terminators))):
        if one == other[: len(one)]:
            raise ValueError(f"terminator {one} begins terminator {other}: name one of them")


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _ends(parents: Sequence[int]) -> Int64[np.ndarray, " N"]:
    """Where the subtree of each node ends, the nodes being in preorder."""
    ends = list(range(1, len(parents) + 1))
    for node in range(len(parents) - 1, 0, -1):
        ends[parents[node]] = max(ends[parents[node]], ends[node])
    return np.array(ends)
