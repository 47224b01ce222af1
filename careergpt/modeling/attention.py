"""Attention within each example of a row: packing that does not leak, and compiled blocks.

Registered in transformers' AttentionInterface, so the model stays the library's own class and its
folder loads anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int32
from torch import Tensor, nn
from torch.nn.attention.varlen import varlen_attn
from transformers import AttentionInterface, PreTrainedModel

from careergpt.data.batches import Segment, TokenBatch

SEGMENTS = "careergpt_segments"
"""The name under which transformers finds `segment_attention`."""


class Layout:
    """Where the examples of a batch lie.

    A plain object, not a tuple: torch.compile guards on the numbers of a tuple that passes through
    a model, and would compile anew for each batch.

    Attributes:
        segments: Row, start and end of each example.
        bounds: As in TokenBatch; on the model's device.
        one_a_row: Whether no row has two examples.
    """

    def __init__(
        self, segments: Sequence[Segment], bounds: Int32[Tensor, " _"], one_a_row: bool
    ) -> None:
        self.segments, self.bounds, self.one_a_row = segments, bounds, one_a_row

    @classmethod
    def of(cls, batch: TokenBatch) -> Layout:
        """The batch's layout."""
        return cls(batch.segments, batch.bounds, len(batch.segments) == len(batch.input_ids))


def segment_attention(
    module: nn.Module,
    query: Float[Tensor, "B H T d"],
    key: Float[Tensor, "B K T d"],
    value: Float[Tensor, "B K T d"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    careergpt_layout: Layout,
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "B T H d"], None]:
    """Causal attention of each segment to itself; the signature is AttentionInterface's.

    `careergpt_layout` travels through the library's model: a plain `layout` could one day be the
    library's own keyword, as `cache` became in transformers 5.24.

    Raises:
        NotImplementedError: The model attends to a window shorter than a segment.
    """
    layout = careergpt_layout
    if sliding_window is not None:
        longest = max(segment.end - segment.start for segment in layout.segments)
        if longest > sliding_window:
            raise NotImplementedError(
                f"sliding window {sliding_window} under a segment of {longest}"
            )
    if layout.one_a_row:
        # Padding on the right is in no token's past.
        return _causal(query, key, value, scaling, dropout).transpose(1, 2), None
    if _fits_varlen(query, key, dropout):
        return _all_at_once(module, query, key, value, scaling, layout.bounds), None
    return _one_by_one(query, key, value, scaling, dropout, layout), None


def _causal(
    query: Tensor, key: Tensor, value: Tensor, scaling: float | None, dropout: float
) -> Float[Tensor, "B H T d"]:
    grouped = query.shape[1] != key.shape[1]
    return F.scaled_dot_product_attention(
        query, key, value, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
    )


def _fits_varlen(query: Tensor, key: Tensor, dropout: float) -> bool:
    """Whether the kernel for unequal lengths takes this: one row, a recent GPU, half precision."""
    return (
        query.is_cuda
        and len(query) == 1
        and query.dtype in (torch.float16, torch.bfloat16)
        and torch.cuda.get_device_capability(query.device) >= (8, 0)
        and query.shape[1] == key.shape[1]
        and query.shape[3] % 8 == 0
        and query.shape[3] <= 256
        and dropout == 0
    )


def _all_at_once(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    bounds: Int32[Tensor, " _"],
) -> Float[Tensor, "B T H d"]:
    """One kernel for all segments of the row (Dao, 2023)."""
    rows, heads, width, size = query.shape
    q, k, v = (part.transpose(1, 2).reshape(-1, heads, size) for part in (query, key, value))
    # A bound on the lengths that is the same for every batch: the longest itself would have
    # torch.compile start anew, and the host wait to learn it.
    config = getattr(module, "config", None)
    longest = min(width, getattr(config, "max_position_embeddings", width))
    causal = (-1, 0)
    out = varlen_attn(q, k, v, bounds, bounds, longest, longest, scale=scaling, window_size=causal)
    assert isinstance(out, Tensor)
    return out.view(rows, width, heads, size)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _one_by_one(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scaling: float | None,
    dropout: float,
    layout: Layout,
) -> Float[Tensor, "B T H d"]:
    """A call for each segment; what pads a row is one more."""
    width = query.shape[2]
    rows = []
    # Split, not sliced: the gradient of each slice would be as large as the whole.
    for row, parts in enumerate(zip(query.split(1), key.split(1), value.split(1), strict=True)):
        lengths = [s.end - s.start for s in layout.segments if s.row == row]
        lengths += [width - sum(lengths)] if sum(lengths) < width else []
        pieces = zip(*(part.split(lengths, dim=2) for part in parts), strict=True)
        attended = [_causal(q, k, v, scaling, dropout).transpose(1, 2) for q, k, v in pieces]
        rows.append(torch.cat(attended, dim=1))
    return torch.cat(rows)


AttentionInterface.register(SEGMENTS, segment_attention)


def compile_blocks(model: PreTrainedModel) -> None:
    """Compiles each block in place at its first call; the names of the weights stay.

    Blocks are alike: what is compiled for the first serves the others. Sizes are symbols, so that
    batches of other lengths need nothing new.
    """
    (blocks,) = (part for part in model.base_model.children() if isinstance(part, nn.ModuleList))
    for block in blocks:
        block.compile(dynamic=True)


def checkpoint_blocks(model: PreTrainedModel) -> None:
    """In training, blocks are computed anew in the backward pass: less memory, a third slower."""
    # Until transformers 5.24 it had another name.
    enable = getattr(model, "activation_checkpointing_enable", None)
    (enable or model.gradient_checkpointing_enable)()


@contextmanager
def dropout_off(model: PreTrainedModel) -> Iterator[None]:
    """Within it the model scores and writes; after it, it is in the mode that it was in."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


@contextmanager
def attending_by(model: PreTrainedModel, attention: str) -> Iterator[None]:
    """Within it the model attends by the function of this name; after it, as before."""
    before = model.config._attn_implementation
    model.set_attn_implementation(attention)
    try:
        # Blocks compiled for training would be compiled anew for each size that is read.
        with torch.compiler.set_stance("force_eager"):
            yield
    finally:
        model.set_attn_implementation(before)


def library_attention(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Within it the model attends by the library's own function, with masks and a cache."""
    return attending_by(model, "sdpa")
