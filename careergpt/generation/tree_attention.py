"""Reading a trie's nodes side by side, each of which sees the prompt and what it follows.

A mask says what a node sees, and its position is where it would stand in the text ("tree
attention": Miao et al., 2024, SpecInfer). So its state is the one that it has when its candidate is
read alone. The prompts are read before, once, into the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from careergpt.generation.cache import KeyValueCache
from careergpt.generation.trie import Trie
from careergpt.modeling.attention import attending_by

TREE = "careergpt_tree"
"""The name under which transformers finds `tree_attention`."""


def read_prompts(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    lengths: Int64[Tensor, " B"],
    room: int,
) -> KeyValueCache:
    """All but the last token of each prompt, with room for so many nodes after them."""
    # A prompt of one token has nothing before it: it is a column of padding, which none sees.
    width = max(*(len(prompt) - 1 for prompt in prompts), 1)
    padded = [[*prompt[:-1], *[0] * (width + 1 - len(prompt))] for prompt in prompts]
    ids = torch.tensor(padded, device=model.device)
    cache = KeyValueCache(lengths, width, width + room)
    _read(model, ids, torch.arange(width, device=model.device).expand_as(ids), cache, None)
    return cache


def read_nodes(
    model: PreTrainedModel,
    trie: Trie,
    nodes: Int64[np.ndarray, " T"],
    last: Int64[Tensor, " B"],
    lengths: Int64[Tensor, " B"],
    cache: KeyValueCache,
) -> Float[Tensor, "B T D"]:
    """Hidden states of the nodes, of which the first is the root, after each prompt."""
    sees, tokens, depths = (
        torch.from_numpy(found).to(model.device)
        for found in (trie.sees(nodes), trie.tokens[nodes], trie.depths[nodes])
    )
    ids = tokens.repeat(len(last), 1)
    ids[:, 0] = last
    hidden = _read(model, ids, lengths[:, None] + depths, cache, sees)
    cache.advance(-len(nodes))  # The next are written over them.
    return hidden


def _read(
    model: PreTrainedModel,
    ids: Int64[Tensor, "B T"],
    positions: Int64[Tensor, "B T"],
    cache: KeyValueCache,
    sees: Bool[Tensor, "T T"] | None,
) -> Float[Tensor, "B T D"]:
    """Hidden states of the next tokens; `sees` says which of each other each sees, None: causal."""
    cache.advance(ids.shape[1])
    seen = None
    if sees is not None:
        seen = F.pad(sees, (cache.end - len(sees), 0), value=True)
        seen = seen if cache.mask is None else seen & cache.mask
    hidden: Tensor = model.base_model(
        input_ids=ids,
        position_ids=positions,
        use_cache=False,
        careergpt_cache=cache,
        careergpt_seen=seen,
    ).last_hidden_state
    return hidden


def tree_attention(
    module: nn.Module,
    query: Float[Tensor, "B H T d"],
    key: Float[Tensor, "B K T d"],
    value: Float[Tensor, "B K T e"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    *,
    careergpt_cache: KeyValueCache,
    careergpt_seen: Bool[Tensor, "*B T C"] | None,
    **_: Any,
) -> tuple[Float[Tensor, "B T H e"], None]:
    """Attention to what is seen of the cache, or causal; the signature is AttentionInterface's.

    A model's sliding window is never shorter: `context_of` bounds a prompt with a candidate by it.
    """
    keys, values = careergpt_cache.write(module, key, value)
    grouped = query.shape[1] != key.shape[1]
    out = F.scaled_dot_product_attention(
        query,
        keys,
        values,
        careergpt_seen,
        is_causal=careergpt_seen is None,
        scale=scaling,
        enable_gqa=grouped,
    )
    return out.transpose(1, 2), None


AttentionInterface.register(TREE, tree_attention)


def attention_to_tree(model: PreTrainedModel) -> AbstractContextManager[None]:
    """Within it the model attends to the prompt and to a node's own path."""
    return attending_by(model, TREE)
