"""Keys and values of what was read, preallocated: a token is read once and never moved again.

The attention function writes and reads it, so the model stays the library's own class, and any
model that `check_model` lets through is one that this serves: all its memory is keys and values.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from careergpt.modeling.attention import attending_by

CACHED = "careergpt_cached"
"""The name under which transformers finds `cached_attention`."""


class KeyValueCache:
    """The keys and values of B rows, a column a token: first the prompts, then what is written.

    Shorter prompts are padded on the right, so that no prompt's tokens see padding while they are
    read; afterwards the padding's columns are masked. Columns need no order: positions are in the
    keys.
    """

    def __init__(self, lengths: Int64[Tensor, " B"], width: int, columns: int) -> None:
        """Room for so many columns, of which the first `width` are the prompts'."""
        self._width, self._columns, self.end = width, columns, 0
        self._layers: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        places = torch.arange(columns, device=lengths.device)
        seen = (places < lengths[:, None]) | (places >= width)
        self._seen: Bool[Tensor, "B 1 1 C"] = seen[:, None, None, :]
        self._padded = bool((lengths < width).any())

    @property
    def mask(self) -> Bool[Tensor, "B 1 1 C"] | None:
        """Which columns so far are no padding; None where all are."""
        return self._seen[..., : self.end] if self._padded else None

    def advance(self, columns: int) -> None:
        """Every layer writes its next so many columns."""
        self.end += columns

    def write(
        self, layer: nn.Module, key: Float[Tensor, "B K T d"], value: Float[Tensor, "B K T e"]
    ) -> tuple[Float[Tensor, "B K C d"], Float[Tensor, "B K C e"]]:
        """The layer's keys and values so far, with these as the last columns."""
        if layer not in self._layers:
            self._layers[layer] = self._room_for(key), self._room_for(value)
        start, rows = self.end - key.shape[2], len(key)
        keys, values = (kept[:rows, :, : self.end] for kept in self._layers[layer])
        keys[:, :, start:] = key
        values[:, :, start:] = value
        return keys, values

    def _room_for(self, states: Tensor) -> Tensor:
        rows, heads, _, size = states.shape
        return states.new_empty(rows, heads, self._columns, size)

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in this order; those that stay in their place cost nothing.

        Row i must not come from before i.
        """
        moved = [(to, row) for to, row in enumerate(rows) if to != row]
        self._seen = self._seen[list(rows)]
        if not moved:
            return
        to, source = (
            torch.tensor(ends, device=self._seen.device) for ends in zip(*moved, strict=True)
        )
        for layer in self._layers.values():
            for kept in layer:
                kept[to, :, : self.end] = kept[source, :, : self.end]


def cached_attention(
    module: nn.Module,
    query: Float[Tensor, "B H T d"],
    key: Float[Tensor, "B K T d"],
    value: Float[Tensor, "B K T e"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    careergpt_cache: KeyValueCache,
    **_: Any,
) -> tuple[Float[Tensor, "B T H e"], None]:
    """Attention to all that was read; the signature is AttentionInterface's.

    A model's sliding window is never shorter: `context_of` bounds a prompt with its answer by it.
    """
    keys, values = careergpt_cache.write(module, key, value)
    if (
        key.shape[2] == careergpt_cache.end
    ):  # The prompts: padding on the right is in no token's past.
        grouped = query.shape[1] != key.shape[1]
        out = F.scaled_dot_product_attention(
            query, key, value, is_causal=True, scale=scaling, enable_gqa=grouped
        )
        return out.transpose(1, 2), None
    # The heads of a group are that many queries to the same keys: nothing is repeated.
    packed = query.reshape(*key.shape[:2], -1, query.shape[3])
    out = F.scaled_dot_product_attention(packed, keys, values, careergpt_cache.mask, scale=scaling)
    return out.reshape(len(query), 1, query.shape[1], -1), None


AttentionInterface.register(CACHED, cached_attention)


def attention_to_cache(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Within it the model attends to the cache that it is given."""
    return attending_by(model, CACHED)
