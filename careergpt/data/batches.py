"""Batches: rows of examples laid end to end, padded on the right, with what each token is for."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int32, Int64
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from careergpt.data.rows import Batch, Budget, check_longest, draw_examples, plan_batches
from careergpt.data.token_file import TokenStore

IGNORED = -100
"""The label of a token that is not scored, as in transformers."""


class Segment(NamedTuple):
    """Where an example lies: its row, its first token and the one after its last."""

    row: int
    start: int
    end: int


class TokenBatch(NamedTuple):
    """A batch of S examples in B rows of T tokens.

    Attributes:
        input_ids: (B, T) token ids; the padding's id means nothing.
        labels: (B, T) the same ids where they are scored, -100 elsewhere.
        position_ids: (B, T) positions, which start anew with each example.
        segment_ids: (B, T) which of the S examples a token is of.
        tasks: (S,) the task of each example.
        n_bytes: (S,) UTF-8 bytes of each completion.
        examples: The example's index in the token file, for each of the S.
        scored: (N,) places of the scored tokens, counted through all rows.
        bounds: (P + 1,) where each of P pieces starts, counted through all rows, and the end: a
            piece is an example or what pads a row.
        segments: Where each of the S lies.
        n_tokens: Tokens that are not padding.
        n_scored: Tokens that carry the loss.
    """

    input_ids: Int64[Tensor, "B T"]
    labels: Int64[Tensor, "B T"]
    position_ids: Int64[Tensor, "B T"]
    segment_ids: Int64[Tensor, "B T"]
    tasks: Int64[Tensor, " S"]
    n_bytes: Int64[Tensor, " S"]
    scored: Int64[Tensor, " N"]
    bounds: Int32[Tensor, " _"]
    examples: tuple[int, ...]
    segments: tuple[Segment, ...]
    n_tokens: int
    n_scored: int

    def to(self, device: torch.device) -> TokenBatch:
        """The batch with its tensors on the device; a GPU is not waited for."""
        non_blocking = device.type == "cuda"  # Others would read what has not come yet.
        moved: dict[str, Any] = {
            name: value.to(device, non_blocking=non_blocking)
            for name, value in self._asdict().items()
            if isinstance(value, Tensor)
        }
        return self._replace(**moved)

    def __reduce__(self) -> tuple[Any, ...]:
        """Loader processes send it by value: torch's own way needs room in /dev/shm and sockets."""
        return _sent, tuple(v.numpy() if isinstance(v, Tensor) else v for v in self)


def _sent(*values: Any) -> TokenBatch:
    tensors = (torch.from_numpy(v) if isinstance(v, np.ndarray) else v for v in values)
    return TokenBatch._make(tensors)


class Scored(NamedTuple):
    """One example ready to be laid into a row."""

    token_ids: np.ndarray
    n_prompt: int
    task: int = 0
    n_bytes: int = 0
    example: int = 0


def collate(rows: Sequence[Sequence[Scored]]) -> TokenBatch:
    """The one way from examples to tensors: one example a row is padding, several are packing."""
    width = max(sum(len(example.token_ids) for example in row) for row in rows)
    input_ids = np.zeros((len(rows), width), dtype=np.int64)
    labels = np.full_like(input_ids, IGNORED)
    position_ids, segment_ids = np.zeros_like(input_ids), np.zeros_like(input_ids)
    segments: list[Segment] = []
    flat: list[Scored] = []
    for row, examples in enumerate(rows):
        start = 0
        for example in examples:
            end = start + len(example.token_ids)
            input_ids[row, start:end] = example.token_ids
            labels[row, start + example.n_prompt : end] = example.token_ids[example.n_prompt :]
            position_ids[row, start:end] = np.arange(end - start)
            segment_ids[row, start:end] = len(segments)
            segments.append(Segment(row, start, end))
            flat.append(example)
            start = end
    scored = np.flatnonzero(labels != IGNORED)
    ends = {0, input_ids.size, *range(width, input_ids.size, width)}
    ends |= {segment.row * width + segment.end for segment in segments}
    return TokenBatch(
        torch.from_numpy(input_ids),
        torch.from_numpy(labels),
        torch.from_numpy(position_ids),
        torch.from_numpy(segment_ids),
        torch.tensor([example.task for example in flat]),
        torch.tensor([example.n_bytes for example in flat]),
        torch.from_numpy(scored),
        torch.tensor(sorted(ends), dtype=torch.int32),
        tuple(example.example for example in flat),
        tuple(segments),
        sum(segment.end - segment.start for segment in segments),
        len(scored),
    )


# Epochs that are planned ahead where a weight is a small fraction.
_LONGEST_TURN = 20


class PlannedBatch(NamedTuple):
    """Which examples a batch holds, and the epoch whose order of list items they take."""

    epoch: int
    rows: Batch


class BatchPlan(Sampler[PlannedBatch]):
    """The epoch's batches of one rank; loader processes get the epoch with each batch."""

    def __init__(
        self,
        store: TokenStore,
        members: np.ndarray,
        budget: Budget,
        *,
        weights: Sequence[float] | None,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        accumulated: int = 1,
    ) -> None:
        """Plans over the store's `members`, in an order that the seed decides.

        Without `weights` of the tasks every epoch is the same, and has every example once.
        `accumulated` batches of each of the `ranks` make one optimizer step.
        """
        self._lengths = store.length
        self._members, self._tasks = members, store.task[members]
        self._budget, self._weights, self._seed = budget, weights, seed
        self._rank, self._ranks, self._accumulated = rank, ranks, accumulated
        self._epoch = 0
        self._first = (0, 0)
        if budget.tokens is not None:
            # Of all members: a fractional weight may draw the longest in a later epoch.
            check_longest(self._lengths[members], budget.tokens)
        # Weights that are whole numbers draw the same examples, and as many batches, every epoch.
        # A fraction draws others every epoch, and the fullest epoch of a turn decides.
        parts = [weight % 1 for weight in weights or [] if weight % 1]
        turn = min(math.ceil(1 / min(parts)), _LONGEST_TURN) if parts else 1
        self._count = max(len(self._plan(epoch, None)) for epoch in range(turn))

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch."""
        self._epoch = epoch if self._weights is not None else 0

    def resume_at(self, epoch: int, batch: int) -> None:
        """Goes on within an epoch: leaves out this rank's batches before that one.

        Loader processes fetch ahead as soon as there is an iterator: earlier than `set_epoch`.
        """
        self.set_epoch(epoch)
        self._first = (self._epoch, batch)

    def __len__(self) -> int:
        return self._count // self._ranks

    def __iter__(self) -> Iterator[PlannedBatch]:
        epoch, first = self._first
        done = first if epoch == self._epoch else 0
        for batch in self._plan(self._epoch, self._count)[self._rank :: self._ranks][done:]:
            yield PlannedBatch(self._epoch, batch)

    def _plan(self, epoch: int, bins: int | None) -> list[Batch]:
        examples = self._members
        if self._weights is not None:
            examples = examples[draw_examples(self._tasks, self._weights, self._seed, epoch)]
        return plan_batches(
            self._lengths,
            examples,
            self._budget,
            seed=self._seed,
            epoch=epoch,
            group=self._ranks * self._accumulated,
            bins=bins,
        )


class PlannedBatches(Dataset[TokenBatch]):
    """Reads planned batches from the token file, list items in the epoch's own order."""

    def __init__(self, store: TokenStore, seed: int, shuffle: bool) -> None:
        self._store, self._seed, self._shuffle = store, seed, shuffle

    def __getitem__(self, planned: PlannedBatch) -> TokenBatch:
        return collate([[self._example(i, planned.epoch) for i in row] for row in planned.rows])

    def _example(self, index: int, epoch: int) -> Scored:
        store = self._store
        ids = store.token_ids(index)
        if self._shuffle and len(items := store.items(index)) > 1:
            ids = shuffle_items(ids, items, np.random.default_rng([self._seed, epoch, index]))
        return Scored(
            ids,
            int(store.n_prompt[index]),
            int(store.task[index]),
            int(store.n_bytes[index]),
            index,
        )


def shuffle_items(
    token_ids: np.ndarray, items: np.ndarray, generator: np.random.Generator
) -> np.ndarray:
    """The ids with their list items in another order, all that lies between them in place."""
    order = generator.permutation(len(items))
    parts, done = [], 0
    for (start, end), other in zip(items, order, strict=True):
        parts += [token_ids[done:start], token_ids[slice(*items[other])]]
        done = end
    return np.concatenate([*parts, token_ids[done:]])
