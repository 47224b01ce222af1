"""The head and the cross-entropy as one function that never holds the logits of a whole batch.

The gradients are made chunk by chunk in the forward pass, while a chunk's logits are at hand, and
only scaled in the backward pass: the logits are computed once and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from torch.autograd.function import once_differentiable

# Logits held at a time. Larger chunks multiply faster; on a GPU there is room for them.
_ELEMENTS = {"cpu": 10**7, "cuda": 2**28}

# Tensor cores want sizes that are a multiple of this; GPT-2's 50,257 words are a multiple of 29.
_MULTIPLE = {"cuda": 64}

# Probabilities below 6e-8 vanish in fp16; a power of two lifts them and is taken off exactly.
_LIFT = 2.0**14


def linear_cross_entropy(
    states: Float[Tensor, "N D"],
    head: Float[Tensor, "V D"],
    targets: Int64[Tensor, " N"],
    compiled: bool = False,
) -> Float[Tensor, ""]:
    """Summed nats of the targets under softmax(states @ head.T); exact, with gradients to both.

    Matrix products run in autocast's type, where it is on; sums and softmax in fp32 at least.

    Args:
        states: What predicts each target.
        head: The output embedding.
        targets: Token ids.
        compiled: Compile what lies between the matrix products.
    """
    between = _compiled_surprise() if compiled else surprise
    if not torch.is_grad_enabled():  # Within the function below, that cannot be seen.
        states, head = states.detach(), head.detach()
    nats: Tensor = _LinearCrossEntropy.apply(states, head, targets, between)  # type: ignore[no-untyped-call]
    return nats


def chunk_of(head: Float[Tensor, "V D"]) -> int:
    """Positions whose logits are held at a time."""
    return max(_ELEMENTS.get(head.device.type, _ELEMENTS["cuda"]) // len(head), 1)


class _LinearCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        states: Float[Tensor, "N D"],
        head: Float[Tensor, "V D"],
        targets: Int64[Tensor, " N"],
        between: Surprise,
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
                some = states[start : start + chunk].to(narrow)
                nats, error = between(some @ table.T, targets[start : start + chunk], words)
                total += nats
                if of_states is not None:
                    of_states[start : start + chunk] = _product(error, table)
                if of_head is not None:
                    _add_product(of_head, error.T, some)
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
        of_states, of_head = (
            made if made is None or as_made else made * scale for made in ctx.saved_tensors
        )
        return (
            None if of_states is None else of_states.to(ctx.types[0]),
            None if of_head is None else of_head.to(ctx.types[1]),
            None,
            None,
        )


def surprise(
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


Surprise = Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]


@cache
def _compiled_surprise() -> Surprise:
    compiled: Surprise = torch.compile(surprise, dynamic=True)
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
