"""Log-probabilities of candidates after a prompt: prompts and shared beginnings are read once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64, Int64
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from careergpt.errors import InputError
from careergpt.generation.tree_attention import attention_to_tree, read_nodes, read_prompts
from careergpt.generation.trie import Chunk, Trie, plan_chunks
from careergpt.modeling.attention import dropout_off
from careergpt.modeling.cross_entropy import chunk_of
from careergpt.modeling.folder import context_of

# Nodes that are read side by side: fewer leave a small model idle between passes, more spend their
# time in attention to what they do not see. Their mask takes some MB.
_NODES = 1024


@torch.no_grad()
def score_candidates(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    trie: Trie,
    *,
    nodes: int = _NODES,
) -> Float64[np.ndarray, "P C"]:
    """Nats of each candidate after each prompt: log P(it, then one terminator | prompt); at most 0.

    Terminators exclude each other, so their probabilities are added. Dropout is off.

    Args:
        model: The model.
        prompts: Token ids of each prompt: each has one at least.
        trie: The candidates.
        nodes: Nodes that are read side by side, about; any number gives the same scores.

    Raises:
        InputError: A prompt and the deepest candidate are longer than the model's context, or its
            logits are no numbers.
    """
    _check_lengths(prompts, int(trie.depths.max()), context_of(model.config))
    scores = np.empty((len(prompts), len(trie.leaves)))
    chunks = list(plan_chunks(trie, nodes))
    # A small trie is read for several prompts side by side, those of a length together.
    longest = max((len(prompt) for prompt in prompts), default=1)
    rows = max(nodes // max(longest, len(trie.inner)), 1)
    order = sorted(range(len(prompts)), key=lambda place: len(prompts[place]))
    starts = range(0, len(order), rows)
    # A bar where it takes long, for someone who watches.
    bar = tqdm(total=len(starts) * len(chunks), desc="ranking", delay=3, leave=False, disable=None)
    with bar, dropout_off(model), attention_to_tree(model):
        for start in starts:
            some = order[start : start + rows]
            steps = _steps(model, [prompts[place] for place in some], trie, chunks, bar.update)
            scores[some] = np.logaddexp.reduce(trie.sums(steps)[:, trie.leaves], axis=-1)
    return scores


def _steps(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    trie: Trie,
    chunks: Sequence[Chunk],
    done: Callable[[], object],
) -> Float64[np.ndarray, "B N"]:
    """Nats of each node's token after what is before it, in each prompt; the root's are 0."""
    lengths = torch.tensor([len(prompt) - 1 for prompt in prompts], device=model.device)
    last = torch.tensor([prompt[-1] for prompt in prompts], device=model.device)
    cache = read_prompts(model, prompts, lengths, max(len(chunk.nodes) for chunk in chunks))
    head = model.get_output_embeddings().weight
    steps = np.zeros((len(prompts), len(trie.tokens)))
    for chunk in chunks:
        hidden = read_nodes(model, trie, chunk.nodes, last, lengths, cache)[:, chunk.n_again :]
        tokens = trie.tokens[chunk.children]
        found = _log_probabilities(hidden, head, chunk.rows, tokens)
        steps[:, chunk.children] = found.cpu().numpy()
        done()
    if not np.isfinite(steps).all():
        raise InputError("the model's logits are not finite: it diverged; lower model.lr")
    return steps


def _log_probabilities(
    hidden: Float[Tensor, "B T D"],
    head: Float[Tensor, "V D"],
    rows: Int64[np.ndarray, " E"],
    tokens: Int64[np.ndarray, " E"],
) -> Float[Tensor, "B E"]:
    """Nats of each token after its row's state, rows rising; few states' logits at a time."""
    found, size = [], max(chunk_of(head) // len(hidden), 1)
    for start in range(0, hidden.shape[1], size):
        logits = F.linear(hidden[:, start : start + size], head)
        wide = torch.promote_types(logits.dtype, torch.float32)
        some = slice(*np.searchsorted(rows, [start, start + size]))
        found.append(logits.log_softmax(-1, dtype=wide)[:, rows[some] - start, tokens[some]])
    return torch.cat(found, dim=1)


def _check_lengths(prompts: Sequence[Sequence[int]], depth: int, context: int) -> None:
    for place, prompt in enumerate(prompts):
        if len(prompt) + depth > context:
            raise InputError(
                f"prompt {place} has {len(prompt)} tokens and the longest candidate {depth} with "
                f"what ends it: more than the {context} that the model reads; shorten the prompt"
            )
