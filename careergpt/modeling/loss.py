"""The loss on completions: a sum of nats and its count. The shift by one happens here alone."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from transformers import PreTrainedModel

from careergpt.data.batches import TokenBatch
from careergpt.modeling.attention import Layout
from careergpt.modeling.cross_entropy import chunk_of, linear_cross_entropy


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
        careergpt_layout=Layout.of(batch),
    ).last_hidden_state
    return hidden


def completion_loss(
    hidden: Float[Tensor, "B T D"],
    batch: TokenBatch,
    head: Float[Tensor, "V D"],
    compiled: bool = False,
) -> TokenLoss:
    """Nats of the scored tokens, each predicted from the position before it.

    Args:
        hidden: Hidden states of every position.
        batch: What they are the states of.
        head: The output embedding.
        compiled: Compile what lies between the head's matrix products.
    """
    states, targets = _scored(hidden, batch)
    nats = linear_cross_entropy(states, head, targets, compiled)
    # Filled there: a number sent to a GPU would wait for all its work.
    return TokenLoss(nats, torch.full((), len(targets), device=nats.device))


@torch.no_grad()
def token_scores(model: PreTrainedModel, batch: TokenBatch) -> TokenScores:
    """Nats of every scored token of the batch."""
    states, targets = _scored(hidden_states(model, batch), batch)
    head = model.get_output_embeddings().weight
    nats, correct = [], []
    chunk = chunk_of(head)
    for some, some_targets in zip(states.split(chunk), targets.split(chunk), strict=True):
        logits = F.linear(some, head).float()
        nats.append(F.cross_entropy(logits, some_targets, reduction="none"))
        correct.append(logits.argmax(-1) == some_targets)
    owners = batch.segment_ids.flatten()[batch.scored]
    return TokenScores(torch.cat(nats), torch.cat(correct), owners)


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
    hidden: Float[Tensor, "B T D"], batch: TokenBatch
) -> tuple[Float[Tensor, "N D"], Int64[Tensor, " N"]]:
    """The states that predict a scored token, and those tokens.

    By index, not by mask: a GPU would stop to count the mask.
    """
    # No row starts with a scored token, so the position before it is in the same row.
    states = hidden.flatten(0, 1).index_select(0, batch.scored - 1)
    return states, batch.labels.flatten().index_select(0, batch.scored)
