"""The loss on completions: a sum of nats and its count. The shift by one happens here alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from transformers import PreTrainedModel

from careergpt.data.batches import IGNORED, TokenBatch


class TokenLoss(NamedTuple):
    """A sum of nats and the number of tokens that it is over; divide last."""

    nats: Float[Tensor, ""]
    tokens: Int64[Tensor, ""]


class TokenScores(NamedTuple):
    """Of each of the N scored tokens: its nats, whether it was the likeliest, its example."""

    nats: Float[Tensor, " N"]
    correct: Bool[Tensor, " N"]
    segment_ids: Int64[Tensor, " N"]


class SegmentScores(NamedTuple):
    """Of each of the S examples: its nats, scored tokens, tokens guessed right, task, bytes."""

    nats: Float[Tensor, " S"]
    tokens: Int64[Tensor, " S"]
    correct: Int64[Tensor, " S"]
    tasks: Int64[Tensor, " S"]
    n_bytes: Int64[Tensor, " S"]


def perplexity(loss: float) -> float:
    """exp(nats a token); a model that diverged beyond what a float holds has the largest float."""
    return math.exp(min(loss, 709.0))


def hidden_states(model: PreTrainedModel, batch: TokenBatch) -> Float[Tensor, "B T D"]:
    """The last hidden states, each example alone in its context.

    No cache and no mask: with either, transformers' GPT-2 lets packed examples see each other.
    """
    hidden: Tensor = model.base_model(
        input_ids=batch.input_ids,
        position_ids=batch.position_ids,
        use_cache=False,
        segments=batch.segments,
    ).last_hidden_state
    return hidden


def completion_loss(
    hidden: Float[Tensor, "B T D"], labels: Int64[Tensor, "B T"], head: Float[Tensor, "V D"]
) -> TokenLoss:
    """Nats of the labelled tokens, each predicted from the position before it.

    Args:
        hidden: Hidden states of every position.
        labels: Token ids, -100 where not scored; an example's first token never is.
        head: The output embedding.
    """
    states, targets, _ = _scored(hidden, labels)
    logits = F.linear(states, head).float()
    nats = F.cross_entropy(logits, targets, reduction="sum")
    return TokenLoss(nats, torch.tensor(targets.numel(), device=nats.device))


@torch.no_grad()
def token_scores(model: PreTrainedModel, batch: TokenBatch) -> TokenScores:
    """Nats of every scored token of the batch."""
    states, targets, where = _scored(hidden_states(model, batch), batch.labels)
    head = model.get_output_embeddings().weight
    nats, correct = [], []
    # In pieces, since the logits of a whole batch would be its largest tensor by far.
    for some, some_targets in zip(states.split(1024), targets.split(1024), strict=True):
        logits = F.linear(some, head).float()
        nats.append(F.cross_entropy(logits, some_targets, reduction="none"))
        correct.append(logits.argmax(-1) == some_targets)
    return TokenScores(torch.cat(nats), torch.cat(correct), batch.segment_ids[:, 1:][where])


def segment_scores(model: PreTrainedModel, batch: TokenBatch) -> SegmentScores:
    """The batch's scores summed over each example."""
    scores = token_scores(model, batch)

    def sums(values: Tensor) -> Tensor:
        zeros = torch.zeros(len(batch.tasks), dtype=values.dtype, device=values.device)
        return zeros.index_add(0, scores.segment_ids, values)

    return SegmentScores(
        sums(scores.nats),
        sums(torch.ones_like(scores.segment_ids)),
        sums(scores.correct.long()),
        batch.tasks,
        batch.n_bytes,
    )


def _scored(
    hidden: Float[Tensor, "B T D"], labels: Int64[Tensor, "B T"]
) -> tuple[Float[Tensor, "N D"], Int64[Tensor, " N"], Bool[Tensor, "B S"]]:
    """States that predict a scored token, those tokens, and where they lie among labels[:, 1:]."""
    where = labels[:, 1:] != IGNORED
    return hidden[:, :-1][where], labels[:, 1:][where], where
