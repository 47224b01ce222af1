"""Attention within each example of a row: packing that does not leak.

Registered in transformers' AttentionInterface, so the model stays the library's own class and its
folder loads anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from careergpt.data.batches import Segment

SEGMENTS = "careergpt_segments"
"""The name under which transformers finds `segment_attention`."""


def segment_attention(
    module: nn.Module,
    query: Float[Tensor, "B H T d"],
    key: Float[Tensor, "B K T d"],
    value: Float[Tensor, "B K T d"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    segments: Sequence[Segment],
    sliding_window: int | None = None,
    **_: Any,
) -> tuple[Float[Tensor, "B T H d"], None]:
    """Causal attention of each segment to itself; the signature is AttentionInterface's.

    Raises:
        NotImplementedError: The model attends to a window shorter than a segment.
    """
    longest = max(segment.end - segment.start for segment in segments)
    if sliding_window is not None and longest > sliding_window:
        raise NotImplementedError(f"sliding window {sliding_window} under a segment of {longest}")

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=grouped
        )

    grouped = query.shape[1] != key.shape[1]
    if len(segments) == len(query):
        # One example a row, and padding on the right is in no token's past.
        return attend(query, key, value).transpose(1, 2).contiguous(), None
    rows = [
        [
            attend(*(tensor[row : row + 1, :, start:end] for tensor in (query, key, value)))
            for of_row, start, end in segments
            if of_row == row
        ]
        for row in range(len(query))
    ]
    width = query.shape[2]
    joined = [torch.cat(parts, dim=2) for parts in rows]
    padded = [F.pad(row, (0, 0, 0, width - row.shape[2])) for row in joined]
    return torch.cat(padded).transpose(1, 2).contiguous(), None


AttentionInterface.register(SEGMENTS, segment_attention)


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
def library_attention(model: PreTrainedModel) -> Iterator[None]:
    """Within it the model attends by the library's own function, with masks and a cache."""
    model.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        model.set_attn_implementation(SEGMENTS)
