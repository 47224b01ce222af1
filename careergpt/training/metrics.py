"""Metrics of completions: loss in nats a token, perplexity, accuracy, bits a byte, by task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchmetrics import Metric

from careergpt.data.batches import TokenBatch
from careergpt.modeling.loss import TokenScores, perplexity

_LOGGED = ("loss", "perplexity", "accuracy", "bits_per_byte")
"""What is logged of a `Quality`."""


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

    def update(self, scores: TokenScores, batch: TokenBatch) -> None:
        """Adds a batch and the scores of its tokens."""
        one = torch.ones_like(scores.nats)
        columns = torch.stack([scores.nats.double(), one.double(), scores.correct.double()], 1)
        sums = columns.new_zeros(len(batch.tasks), 3).index_add(0, scores.segment_ids, columns)
        by_example = torch.stack([*sums.T, batch.n_bytes.double(), torch.ones_like(sums[:, 0])], 1)
        # Lightning's true half precisions convert every tensor of the module; the zeros survive it.
        self.totals = self.totals.double().index_add(0, batch.tasks, by_example)

    def compute(self) -> dict[str, Quality]:
        """By task, for those that had examples, and "" for all together."""
        rows = {"": self.totals.sum(0), **dict(zip(self.tasks, self.totals, strict=True))}
        return {name: _quality(*row.tolist()) for name, row in rows.items() if row[1] > 0}


def _quality(
    nats: float, tokens: float, correct: float, n_bytes: float, examples: float
) -> Quality:
    loss = nats / tokens
    bits = nats / math.log(2) / n_bytes if n_bytes else math.nan
    return Quality(loss, perplexity(loss), correct / tokens, bits, int(examples), int(tokens))


def named_numbers(stage: str, quality: Mapping[str, Quality]) -> Iterable[tuple[str, float]]:
    """`val/loss`, `val/describe/loss`, …: what W&B and metrics.jsonl call them."""
    for task, numbers in quality.items():
        for name in _LOGGED:
            yield _named(stage, task, name), getattr(numbers, name)


def metric_names(validated: Iterable[str] | None) -> list[str]:
    """What callbacks can monitor: training's metrics, and those of a validation of these tasks."""
    tasks = () if validated is None else ("", *validated)
    return ["train/loss", "train/lr", *(_named("val", t, name) for t in tasks for name in _LOGGED)]


def _named(stage: str, task: str, name: str) -> str:
    return "/".join(filter(None, (stage, task, name)))


def quality_table(quality: Mapping[str, Quality]) -> str:
    """How well completions are foretold: all together, then by task."""
    lines = [
        f"{'task':10}{'examples':>10}{'tokens':>12}{'loss':>9}{'perplexity':>12}"
        f"{'accuracy':>10}{'bits/byte':>11}"
    ]
    lines += [
        f"{task or 'all':10}{q.examples:>10,}{q.tokens:>12,}{q.loss:>9.4f}{q.perplexity:>12.2f}"
        f"{q.accuracy:>10.3f}{q.bits_per_byte:>11.3f}"
        for task, q in quality.items()
    ]
    return "\n".join(lines)
