"""Log-probabilities of candidates after a prompt: prompts and shared beginnings are read once.

The candidates are a trie of tokens, whose nodes are read side by side: a mask says what a node
sees, and its position is where it would stand in the text ("tree attention": Miao et al., 2024,
SpecInfer). So its state is the one that it has when its candidate is read alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor
from tqdm import tqdm
from transformers import PreTrainedModel

from careergpt.errors import InputError
from careergpt.generation.cache import KeyValueCache, attention_to_cache
from careergpt.modeling.attention import dropout_off
from careergpt.modeling.folder import context_of
from careergpt.modeling.loss import chunk_of


class Trie:
    """All candidates, each followed by each terminator, as nodes in preorder.

    Node 0, the root, is the prompt's last token; every other node is a token after its parent.
    A subtree is a run of nodes, from its top up to the top's `ends`. The candidates [5] and [5, 6]
    with the terminator [0] are the nodes 5, 0, 6, 0 with the parents 0, 1, 1, 3.

    Attributes:
        tokens: (N,) the token of each node; the root's, which each prompt brings, is 0.
        parents: (N,) the node before; lower than the node itself, and the root its own.
        depths: (N,) tokens from the root to the node.
        ends: (N,) the first node that is after the node's subtree.
        leaves: (C, K) where each candidate ends with each terminator; one may lie within another
            candidate.
        inner: (I,) the nodes that a token follows, in order: those that the model must read.
    """

    tokens: Int64[np.ndarray, " N"]
    parents: Int64[np.ndarray, " N"]
    depths: Int64[np.ndarray, " N"]
    ends: Int64[np.ndarray, " N"]
    leaves: Int64[np.ndarray, "C K"]
    inner: Int64[np.ndarray, " I"]

    def __init__(
        self, candidates: Sequence[Sequence[int]], terminators: Sequence[Sequence[int]]
    ) -> None:
        """Over candidates, of which some may be equal, and the token ids that may end each.

        Raises:
            ValueError: There is none of either, one is empty, or one terminator begins another:
                the probabilities of both could not be added.
        """
        _check(candidates, terminators)
        texts = [(*ids, *end) for ids in candidates for end in terminators]
        tokens, parents, depths, leaves = [0], [0], [0], [0] * len(texts)
        path, before = [0], texts[0][:0]
        # In sorted order each text leaves the path of the one before and never comes back to it.
        for place in sorted(range(len(texts)), key=texts.__getitem__):
            text = texts[place]
            shared = _shared(before, text)
            del path[shared + 1 :]
            for token in text[shared:]:
                parents.append(path[-1])
                depths.append(len(path))
                path.append(len(tokens))
                tokens.append(token)
            leaves[place] = path[-1]
            before = text
        self.tokens, self.parents, self.depths = map(np.array, (tokens, parents, depths))
        ends = list(range(1, len(tokens) + 1))
        for node in range(len(tokens) - 1, 0, -1):
            ends[parents[node]] = max(ends[parents[node]], ends[node])
        self.ends = np.array(ends)
        self.leaves = np.array(leaves).reshape(len(candidates), len(terminators))
        self.inner = np.flatnonzero(self.ends > np.arange(len(tokens)) + 1)

    def path_to(self, node: int) -> list[int]:
        """The nodes that the node follows, from the root on."""
        path: list[int] = []
        while node:
            node = int(self.parents[node])
            path.append(node)
        return path[::-1]

    def sees(self, nodes: Int64[np.ndarray, " T"]) -> Bool[np.ndarray, "T T"]:
        """Which of the nodes each of them follows or is."""
        above, below = nodes[None, :], nodes[:, None]
        seen: np.ndarray = (above <= below) & (below < self.ends[above])
        return seen

    def sums(self, steps: Float64[np.ndarray, "B N"]) -> Float64[np.ndarray, "B N"]:
        """Of each node: its own number, the root's being 0, and those of all that it follows."""
        sums = np.zeros_like(steps)
        for depth in range(1, int(self.depths.max()) + 1):
            nodes = np.flatnonzero(self.depths == depth)
            sums[:, nodes] = sums[:, self.parents[nodes]] + steps[:, nodes]
        return sums


Chunk = tuple[np.ndarray, int, np.ndarray, np.ndarray]
"""Nodes that are read at once: nodes, how many of them are read again, children, rows."""


def plan_chunks(trie: Trie, nodes: int) -> Iterator[Chunk]:
    """The inner nodes in runs of so many: of a run, all that lies outside is the first's path.

    Each chunk has its nodes, those that the first new one follows (they are read again) before the
    new ones; how many are read again; the nodes that follow a new one, by rising parents; and the
    place of each one's parent among the new ones.
    """
    children = 1 + np.argsort(trie.parents[1:], kind="stable")
    parents = trie.parents[children]
    for start in range(0, len(trie.inner), nodes):
        new = trie.inner[start : start + nodes]
        again = trie.path_to(int(new[0]))
        edges = slice(*np.searchsorted(parents, [new[0], new[-1] + 1]))
        rows = np.searchsorted(new, parents[edges])
        yield np.array([*again, *new]), len(again), children[edges], rows


def _check(candidates: Sequence[Sequence[int]], terminators: Sequence[Sequence[int]]) -> None:
    for name, some in (("candidate", candidates), ("terminator", terminators)):
        if len(some) == 0:
            raise ValueError(f"there is no {name}")
        for place, ids in enumerate(some):
            if len(ids) == 0:
                raise ValueError(f"{name} {place} has no tokens")
    for one, other in pairwise(sorted(map(tuple, terminators))):
        if one == other[: len(one)]:
            raise ValueError(f"terminator {one} begins terminator {other}: name one of them")


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


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

    Terminators exclude each other, so their probabilities are added. Dropout is off. A prompt has
    one token at least; `nodes` are read side by side, about, and any number gives the same scores.

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
    with bar, dropout_off(model), attention_to_cache(model):
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
    # A prompt of one token has nothing before it: it is a column of padding, which none sees.
    width = max(int(lengths.max()), 1)
    padded = [[*prompt[:-1], *[0] * (width + 1 - len(prompt))] for prompt in prompts]
    ids = torch.tensor(padded, device=model.device)
    cache = KeyValueCache(lengths, width, width + max(len(chunk[0]) for chunk in chunks))
    cache.read(model, ids, torch.arange(width, device=model.device).expand_as(ids))
    head = model.get_output_embeddings().weight
    steps = np.zeros((len(prompts), len(trie.tokens)))
    for nodes, n_again, children, rows in chunks:
        sees, tokens, depths = (
            torch.from_numpy(found).to(model.device)
            for found in (trie.sees(nodes), trie.tokens[nodes], trie.depths[nodes])
        )
        ids = tokens.repeat(len(prompts), 1)
        ids[:, 0] = last  # Of each prompt, at the root.
        hidden = cache.read(model, ids, lengths[:, None] + depths, sees)[:, n_again:]
        cache.drop(len(nodes))
        nats = _log_probabilities(hidden, head, rows, trie.tokens[children])
        steps[:, children] = nats.cpu().numpy()
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
