"""Numbers to log: loss in nats a completion token, perplexity, accuracy, bits a byte."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from careergpt.modeling.loss import SegmentScores, perplexity


class Quality(NamedTuple):
    """How well completions are foretold.

    Attributes:
        loss: Nats a completion token, end of text included; lower is better.
        perplexity: exp(loss).
        accuracy: Share of tokens that were the likeliest.
        bits_per_byte: Bits a UTF-8 byte of text; comparable between tokenizers.
        examples: How many.
        tokens: How many were scored.
    """

    loss: float
    perplexity: float
    accuracy: float
    bits_per_byte: float
    examples: int
    tokens: int


class CompletionMetrics(Metric):
    """Sums by task that are exact for any batch size, packing and number of ranks."""

    full_state_update = False
    totals: Tensor

    def __init__(self, tasks: Sequence[str]) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        # Columns: nats, scored tokens, right ones, bytes, examples. In float64, since sums of
        # millions of float32 terms would depend on their order.
        zeros = torch.zeros(len(self.tasks), 5, dtype=torch.float64)
        self.add_state("totals", zeros, dist_reduce_fx="sum")

    def update(self, scores: SegmentScores) -> None:
        """Adds a batch."""
        one = torch.ones_like(scores.nats)
        columns = (scores.nats, scores.tokens, scores.correct, scores.n_bytes, one)
        added = torch.stack([column.double() for column in columns], 1)
        # Lightning's true half precisions convert every tensor of the module; the zeros survive it.
        self.totals = self.totals.double().index_add(0, scores.tasks, added)

    def compute(self) -> dict[str, Quality]:
        """By task, for those that had examples, and "" for all together."""
        rows = {"": self.totals.sum(0), **dict(zip(self.tasks, self.totals, strict=True))}
        return {name: _quality(*row.tolist()) for name, row in rows.items() if row[1] > 0}


def _quality(
    nats: float, tokens: float, correct: float, n_bytes: float, examples: float
) -> Quality:
    loss = nats / tokens
    return Quality(
        loss,
        perplexity(loss),
        correct / tokens,
        nats / math.log(2) / n_bytes if n_bytes else math.nan,
        int(examples),
        int(tokens),
    )
