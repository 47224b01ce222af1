"""The plan of an epoch: which examples share a row, which rows a batch; pure functions of lengths.

A packed batch is one row within a token budget. A padded batch is `batch_size` rows of one example
each, of near-equal length. Either way every example lands in exactly one row.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from careergpt.errors import InputError

Row = list[int]
Batch = list[Row]

# Padded batches are cut from windows of this many batches, sorted by length within each:
# wide enough to leave little padding, narrow enough that batches stay random.
_WINDOW = 50


class Budget(NamedTuple):
    """How large a batch is, in tokens (packed) or in rows (padded); the other is None."""

    tokens: int | None
    rows: int | None


def draw_examples(
    tasks: Int[np.ndarray, " N"], weights: Sequence[float], seed: int, epoch: int
) -> Int[np.ndarray, " M"]:
    """The examples of an epoch: each `weight` times, a fraction by turns so that none is left out.

    With a weight of 0.25 an example is seen once in four epochs, in an order that the seed draws.
    """
    drawn = []
    for task, weight in enumerate(weights):
        members = np.random.default_rng([seed, task]).permutation(np.flatnonzero(tasks == task))
        # Rounded up, or the turns would not reach the last of few examples.
        whole, part = int(weight), math.ceil((weight % 1) * len(members) - 1e-9)
        turn = (epoch * part + np.arange(part)) % max(len(members), 1)
        drawn += [np.tile(members, whole), members[turn]]
    return np.concatenate(drawn) if drawn else np.zeros(0, dtype=np.int64)


def plan_batches(
    lengths: Int[np.ndarray, " N"],
    examples: Int[np.ndarray, " M"],
    budget: Budget,
    *,
    seed: int,
    epoch: int,
    group: int = 1,
    bins: int | None = None,
) -> list[Batch]:
    """Batches that hold the given examples once each; their number is a multiple of `group`.

    Batches that are worked on together (the ranks' and the accumulated ones, `group` in all) are
    neighbours in the list, and packed ones are balanced by tokens over the whole epoch. `bins` asks
    for exactly so many packed batches, the same number in every epoch; where an epoch's draw is a
    little longer than that of the epochs that gave the number, its batches are a few tokens over
    the budget. Raises InputError for too few examples, or one longer than the budget.

    Example:
        Lengths of 3, 5 and 2 tokens in batches of 5: [[[1]], [[0, 2]]], in an order that is drawn.
    """
    order = np.random.default_rng([seed, epoch, 1]).permutation(examples)
    if budget.tokens is not None:
        batches = [[row] for row in _pack(lengths, order, budget.tokens, group, bins)]
    else:
        batches = _pad(lengths, order, budget.rows or 1, group)
    if not batches or not all(row for batch in batches for row in batch):
        raise InputError(
            f"{len(examples)} examples cannot fill {len(batches) or group} batches, a multiple of "
            f"{group} (ranks x accumulated batches): "
            "use fewer devices, accumulate fewer batches, or bring more rows"
        )
    shuffled = np.random.default_rng([seed, epoch, 2]).permutation(len(batches))
    return [batches[place] for place in shuffled]


def _pack(
    lengths: Int[np.ndarray, " N"],
    order: Int[np.ndarray, " M"],
    budget: int,
    group: int,
    bins: int | None,
) -> list[Row]:
    """Rows within the budget, balanced: longest first, each to the emptiest row (Graham, 1969)."""
    check_longest(lengths[order], budget)
    falling = order[np.argsort(-lengths[order], kind="stable")]
    if bins is not None:
        return _spread(lengths, falling, bins)
    count = max(_ceil(int(lengths[order].sum()), budget), 1)
    while True:
        count = _ceil(count, group) * group
        rows = _spread(lengths, falling, count)
        if max(sum(int(lengths[example]) for example in row) for row in rows) <= budget:
            return rows
        count = max(count + 1, int(count * 1.01))


def check_longest(lengths: Int[np.ndarray, " N"], budget: int) -> None:
    """Raises InputError where an example is longer than a packed batch may be."""
    longest = int(lengths.max(initial=0))
    if longest > budget:
        raise InputError(
            f"data.batch_tokens is {budget}, but the longest example has {longest} tokens: "
            f"raise it to at least {longest}, or lower data.max_length"
        )


def _spread(
    lengths: Int[np.ndarray, " N"], falling: Int[np.ndarray, " M"], count: int
) -> list[Row]:
    rows: list[Row] = [[] for _ in range(count)]
    emptiest = [(0, place) for place in range(count)]
    for example in falling.tolist():
        tokens, place = emptiest[0]
        rows[place].append(example)
        heapq.heapreplace(emptiest, (tokens + int(lengths[example]), place))
    return rows


def _pad(
    lengths: Int[np.ndarray, " N"], order: Int[np.ndarray, " M"], size: int, group: int
) -> list[Batch]:
    """Batches of `size` rows (the last ones may differ by one) of near-equal length."""
    if len(order) < group:
        return []
    # Rounded up to the group, but never to more batches than rows.
    count = min(_ceil(_ceil(len(order), size), group) * group, len(order) // group * group)
    window = size * _WINDOW
    windows = [order[start : start + window] for start in range(0, len(order), window)]
    ordered = np.concatenate([part[np.argsort(lengths[part], kind="stable")] for part in windows])
    return [[[example] for example in part.tolist()] for part in np.array_split(ordered, count)]


def _ceil(amount: int, size: int) -> int:
    return -(-amount // size)
