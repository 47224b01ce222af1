"""The loss on completions: nats and tokens, summed. The shift by one happens here alone.

The head and the cross-entropy are one function that never holds the logits of a whole batch: its
gradients are made chunk by chunk in the forward pass, while a chunk's logits are at hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import PreTrainedModel

from careergpt.data.batches import TokenBatch
from careergpt.modeling.attention import Layout

# Logits held at a time. Larger chunks multiply faster; on a GPU there is room for them.
_ELEMENTS = {"cpu": 10**7, "cuda": 2**28}

# Tensor cores want sizes that are a multiple of this; GPT-2's 50,257 words are a multiple of 29.
_MULTIPLE = {"cuda": 64}

# Probabilities below 6e-8 vanish in fp16; a power of two lifts them and is taken off exactly.
_LIFT = 2.0**14


class TokenLoss(NamedTuple):
    """A sum of nats and the number of tokens that it is over; divide last."""

    nats: Float[Tensor, ""]
    tokens: Int64[Tensor, ""]


class TokenScores(NamedTuple):
    """Of each of the N scored tokens: its nats, whether it was the likeliest, its example."""

    nats: Float[Tensor, " N"]
    correct: Bool[Tensor, " N"]
    segment_ids: Int64[Tensor, " N"]


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

    `compiled` compiles what lies between the head's matrix products.
    """
    states, targets = _scored(hidden, batch)
    nats = linear_cross_entropy(states, head, targets, compiled)
    # Filled there: a number sent to a GPU would wait for all its work.
    return TokenLoss(nats, torch.full((), len(targets), device=nats.device))


@torch.no_grad()
def token_scores(model: PreTrainedModel, batch: TokenBatch) -> TokenScores:
    """The scores of every scored token of the batch."""
    states, targets = _scored(hidden_states(model, batch), batch)
    head = model.get_output_embeddings().weight
    nats, correct, chunk = [], [], chunk_of(head)
    for part, part_targets in zip(states.split(chunk), targets.split(chunk), strict=True):
        logits = F.linear(part, head).float()
        nats.append(F.cross_entropy(logits, part_targets, reduction="none"))
        correct.append(logits.argmax(-1) == part_targets)
    owners = batch.segment_ids.flatten()[batch.scored]
    return TokenScores(torch.cat(nats), torch.cat(correct), owners)


def _scored(
    hidden: Float[Tensor, "B T D"], batch: TokenBatch
) -> tuple[Float[Tensor, "N D"], Int64[Tensor, " N"]]:
    """The states that predict a scored token, and those tokens.

    By index, not by mask: a GPU would stop to count the mask.
    """
    # No row starts with a scored token, so the position before it is in the same row.
    states = hidden.flatten(0, 1).index_select(0, batch.scored - 1)
    return states, batch.labels.flatten().index_select(0, batch.scored)


def chunk_of(head: Float[Tensor, "V D"]) -> int:
    """Positions whose logits are held at a time."""
    return max(_ELEMENTS.get(head.device.type, _ELEMENTS["cuda"]) // len(head), 1)


def linear_cross_entropy(
    states: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    targets: Int64[Tensor, " N"],
    compiled: bool = False,
) -> Float[Tensor, ""]:
    """Summed nats of the targets under softmax(states @ head.T); exact, with gradients to both.

    Matrix products run in autocast's type, where it is on; sums and softmax in fp32 at least.
    """
    if not torch.is_grad_enabled():  # Within the function below, that cannot be seen.
        states, head = states.detach(), head.detach()
    softmax = _compiled_softmax() if compiled else softmax_loss
    nats: Tensor = _LinearCrossEntropy.apply(states, head, targets, softmax)  # type: ignore[no-untyped-call]
    return nats


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Float[Tensor, "N D"],
        head: Float[Tensor, "V D"],
        targets: Int64[Tensor, " N"],
        softmax: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]],
    ) -> Float[Tensor, ""]:
        wide = torch.promote_types(states.dtype, torch.float32)
        narrow = _product_type(states)
        chunk, words = chunk_of(head), len(head)
        spare = -words % _MULTIPLE.get(head.device.type, 1)
        of_states, of_head = None, None
        if ctx.needs_input_grad[0]:
            of_states = torch.empty_like(states, dtype=wide)
        if ctx.needs_input_grad[1]:
            of_head = head.new_zeros(words + spare, head.shape[1], dtype=wide)
        total = torch.zeros((), dtype=wide, device=states.device)
        with torch.autocast(states.device.type, enabled=False):
            table = F.pad(head.to(narrow), (0, 0, 0, spare)) if spare else head.to(narrow)
            for start in range(0, len(states), chunk):
                part = states[start : start + chunk].to(narrow)
                nats, error = softmax(part @ table.T, targets[start : start + chunk], words)
                total += nats
                if of_states is not None:
                    of_states[start : start + chunk] = _product(error, table)
                if of_head is not None:
                    _add_product(of_head, error.T, part)
        ctx.save_for_backward(of_states, None if of_head is None else of_head[:words])
        ctx.lift = _LIFT if narrow == torch.float16 else 1.0
        ctx.types = states.dtype, head.dtype
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        scale = gradient / ctx.lift
        # A copy of the head's gradient is large, and a CPU can be asked whether it is needed.
        as_made = scale.device.type == "cpu" and scale == 1
        gradients = (
            made if made is None else (made if as_made else made * scale).to(dtype)
            for made, dtype in zip(ctx.saved_tensors, ctx.types, strict=True)
        )
        return (*gradients, None, None)


def softmax_loss(
    logits: Float[Tensor, "n W"], targets: Int64[Tensor, " n"], words: int
) -> tuple[Float[Tensor, ""], Float[Tensor, "n W"]]:
    """Summed nats of the targets, and their gradient by the logits: softmax less one-hot.

    Columns from `words` on are no words of the vocabulary and get no probability.
    """
    if words < logits.shape[1]:
        logits[:, words:] = float("-inf")
    wide = torch.promote_types(logits.dtype, torch.float32)
    logs = F.log_softmax(logits, dim=-1, dtype=wide)
    places = targets[:, None]
    nats = -logs.gather(1, places).sum()
    error = logs.exp_()
    error.scatter_add_(1, places, error.new_full(places.shape, -1.0))
    if logits.dtype == torch.float16:
        error *= _LIFT
    return nats, error.to(logits.dtype)


@cache
def _compiled_softmax() -> Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]:
    compiled: Callable[..., tuple[Tensor, Tensor]] = torch.compile(softmax_loss, dynamic=True)
    return compiled


def _product_type(states: Tensor) -> torch.dtype:
    kind = states.device.type
    if torch.is_autocast_enabled(kind) and states.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return states.dtype


def _product(a: Float[Tensor, "n k"], b: Float[Tensor, "k m"]) -> Float[Tensor, "n m"]:
    """Their product, in fp32 where its sums could overflow (fp16) or a GPU gives it so for free."""
    if a.dtype == torch.float16 or (a.dtype == torch.bfloat16 and a.is_cuda):
        if a.is_cuda:
            return torch.mm(a, b, out_dtype=torch.float32)
        return a.float() @ b.float()
    return a @ b


def _add_product(
    total: Float[Tensor, "n m"], a: Float[Tensor, "n k"], b: Float[Tensor, "k m"]
) -> None:
    if a.dtype == total.dtype:
        total.addmm_(a, b)
    else:
        total += _product(a, b)
