"""Attention to a preallocated cache: a token is read once, its keys and values never moved again.

The attention function writes and reads the cache, so the model stays the library's own class, and
any model that `check_model` lets through is one that this serves: all its memory is keys and
values. Decoding reads a token a step of each row; candidates are read as a tree, many side by side.
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
    """The keys and values of B rows, a column a token: first the prompts, then what follows them.

    Shorter prompts are padded on the right, so that no prompt's tokens see padding while they are
    read; afterwards the padding's columns are masked. Columns need no order: positions are in the
    keys. So prompts of 3 and 1 tokens and one token after each are the columns `a b c d` and
    `e - - f`, of which the first row sees all and the second the first and the last.

    Attributes:
        end: Columns so far.
        mask: What the tokens that are being read see of them; None: all that is before.
    """

    def __init__(self, lengths: Int64[Tensor, " B"], width: int, columns: int) -> None:
        """Room for so many columns, of which the first `width` are the prompts'."""
        self.end = 0
        self.mask: Bool[Tensor, "*B 1 T C"] | None = None
        self._columns = columns
        self._layers: dict[nn.Module, tuple[Tensor, Tensor]] = {}
        places = torch.arange(columns, device=lengths.device)
        no_padding = (places < lengths[:, None]) | (places >= width)
        self._no_padding: Bool[Tensor, "B 1 1 C"] = no_padding[:, None, None, :]
        self._padded = bool((lengths < width).any())

    def read(
        self,
        model: PreTrainedModel,
        ids: Int64[Tensor, "B T"],
        positions: Int64[Tensor, "B T"],
        sees: Bool[Tensor, "T T"] | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Hidden states of the next tokens, which the cache then holds.

        Args:
            model: The model, attending to the cache (`attention_to_cache`).
            ids: The prompts at first; afterwards a token of each row, or many with `sees`.
            positions: Where each token would stand in its text.
            sees: Which of each other the tokens see.
        """
        padded = self._padded and self.end > 0  # Padding on the right is in no prompt token's past.
        self.end += ids.shape[1]
        self.mask = self._no_padding[..., : self.end] if padded else None
        if sees is not None:
            before = F.pad(sees, (self.end - len(sees), 0), value=True)[None, None]
            self.mask = before if self.mask is None else before & self.mask
        hidden: Tensor = model.base_model(
            input_ids=ids, position_ids=positions, use_cache=False, careergpt_cache=self
        ).last_hidden_state
        return hidden

    def drop(self, columns: int) -> None:
        """Forgets the last so many columns: the next are written over them."""
        self.end -= columns

    def keep(self, rows: Sequence[int]) -> None:
        """Only these rows, in this order; those that stay in their place cost nothing.

        Row i must not come from before i.
        """
        moved = [(to, row) for to, row in enumerate(rows) if to != row]
        self._no_padding = self._no_padding[list(rows)]
        if not moved:
            return
        to, source = torch.tensor(moved, device=self._no_padding.device).T
        for layer in self._layers.values():
            for kept in layer:
                kept[to, :, : self.end] = kept[source, :, : self.end]

    def write(
        self, layer: nn.Module, key: Float[Tensor, "B K T d"], value: Float[Tensor, "B K T e"]
    ) -> tuple[Float[Tensor, "B K C d"], Float[Tensor, "B K C e"]]:
        """The layer's keys and values so far, with these as the last columns."""
        if layer not in self._layers:
            rooms = [(*part.shape[:2], self._columns, part.shape[3]) for part in (key, value)]
            self._layers[layer] = key.new_empty(rooms[0]), value.new_empty(rooms[1])
        start, rows = self.end - key.shape[2], len(key)
        keys, values = (kept[:rows, :, : self.end] for kept in self._layers[layer])
        keys[:, :, start:] = key
        values[:, :, start:] = value
        return keys, values


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
    """Attention to all of the cache that the mask shows; the signature is AttentionInterface's.

    A model's sliding window is never shorter: `context_of` bounds a prompt with what follows by it.
    """
    keys, values = careergpt_cache.write(module, key, value)
    mask = careergpt_cache.mask
    if query.shape[2] == 1:
        # The heads of a group are that many queries to the same keys: nothing is repeated.
        packed = query.reshape(*key.shape[:2], -1, query.shape[3])
        out = F.scaled_dot_product_attention(packed, keys, values, mask, scale=scaling)
        return out.reshape(len(query), 1, query.shape[1], -1), None
    grouped = query.shape[1] != key.shape[1]
    out = F.scaled_dot_product_attention(
        query, keys, values, mask, is_causal=mask is None, scale=scaling, enable_gqa=grouped
    )
    return out.transpose(1, 2), None


AttentionInterface.register(CACHED, cached_attention)


def attention_to_cache(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Within it the model attends to the cache that it is given."""
    return attending_by(model, CACHED)
