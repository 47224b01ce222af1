"""What every contender trains on: one random model, one pool of examples, a sample of batches.

Prompt ids, completion ids and the padding id lie in ranges of their own, so that one count of a
batch's ids says what it holds, whoever made it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from tokenizers import AddedToken, Tokenizer, models
from torch import Tensor
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils import logging

from careergpt.data.token_file import TOKEN_SCHEMA, TokenStore
from careergpt.data.whole_files import write_arrow

PADDING = 0
FIRST_COMPLETION = 100
"""Ids from 1 to 99 are of prompts, those from 100 on of completions; the last ends a text."""

N_PROMPT = 12
RATE = 1e-5
POOL = 200
"""Batches in the pool: grouping by length needs many to choose from."""


class Sizes(NamedTuple):
    """A GPT-2 and the lengths of its examples, in tokens."""

    layers: int
    heads: int
    width: int
    vocabulary: int
    context: int
    median: int


GPT2 = Sizes(layers=12, heads=12, width=768, vocabulary=50257, context=1024, median=450)
TINY = Sizes(layers=2, heads=2, width=32, vocabulary=1000, context=64, median=28)


class Turns(NamedTuple):
    """How steps are measured: rounds of turns, each of some untimed and some timed steps."""

    rounds: int
    untimed: int
    timed: int


class Workload(NamedTuple):
    """What a contender is told."""

    folder: str
    device: str
    precision: str
    threads: int
    sizes: Sizes
    sequences: int
    turns: Turns

    @property
    def half(self) -> bool:
        """Whether matrix products are in bf16, by autocast over weights in fp32."""
        return self.precision == "bf16"

    @property
    def model(self) -> str:
        """The folder of the weights that all start from, and of a tokenizer that fits them."""
        return str(Path(self.folder, "model"))

    def pool(self) -> TokenStore:
        """The examples."""
        return TokenStore(Path(self.folder, "pool.arrow"))


def draw_lengths(sizes: Sizes, count: int, seed: int = 0) -> np.ndarray:
    """Tokens of each example: the prompt, and a log-normal completion cut at the context."""
    completions = np.random.default_rng(seed).lognormal(math.log(sizes.median), 0.9, count)
    return np.clip(N_PROMPT + completions.astype(np.int64), N_PROMPT + 1, sizes.context)


def useful_flops(sizes: Sizes, lengths: np.ndarray) -> float:
    """Floating-point operations, forward and backward, that examples of these lengths need.

    6 for each weight of a block and token (2 forward, 4 backward); as many for each weight of the
    head and scored token; 6 L D len² for causal attention: half of the 12 that two products of
    len x len by D take. No padding, no prompt in the head.
    """
    lengths = lengths.astype(np.float64)
    layers, width = sizes.layers, sizes.width
    blocks = 6 * (12 * layers * width**2) * lengths.sum()
    head = 6 * sizes.vocabulary * width * useful_tokens(lengths)
    return float(blocks + head + 6 * layers * width * (lengths**2).sum())


def useful_tokens(lengths: np.ndarray) -> int:
    """Tokens that are scored: the completions'."""
    return int((lengths - N_PROMPT).sum())


def plan_steps(sizes: Sequence[int], turns: Turns) -> list[int]:
    """Which of a contender's batches it works on, in order; their sizes are in tokens.

    First the smallest, which makes the optimizer's state, and the largest, so that nothing is
    later touched for the first time. The timed ones are spread evenly over all sizes: an epoch's
    first batches alone would flatter or harm whoever sorts by length. The last is never run: a
    loop asks for it when the last timed one is done.
    """
    by_size = sorted(range(len(sizes)), key=sizes.__getitem__)
    count = turns.rounds * turns.timed
    timed = [by_size[int((place + 0.5) * len(sizes) / count)] for place in range(count)]
    timed = np.random.default_rng(0).permutation(timed).tolist()
    steps = [by_size[0], by_size[-1]]
    for start in range(0, count, turns.timed):
        steps += [by_size[-1]] * turns.untimed + timed[start : start + turns.timed]
    return steps + [by_size[0]]


WARM_UPS = 2


def sampled(
    order: Sequence[int], size: int, lengths: Sequence[int], turns: Turns
) -> list[Sequence[int]]:
    """The batches of `size` examples that are run, of those that a sampler's order makes."""
    batches = [order[at : at + size] for at in range(0, len(order) - size + 1, size)]
    sizes = [tokens_held(lengths, [[place] for place in batch]) for batch in batches]
    return [batches[place] for place in plan_steps(sizes, turns)]


def row_tokens(lengths: np.ndarray, count: int) -> int:
    """Tokens of a packed row that holds so many examples on average, with 1 % to even them out."""
    return int(lengths.mean() * count * 1.01) + 1


def tokens_held(lengths: Sequence[int], rows: Sequence[Sequence[int]]) -> int:
    """Tokens that rows of these examples hold, padding among them."""
    return max(sum(int(lengths[place]) for place in row) for row in rows) * len(rows)


def count_tokens(input_ids: Tensor) -> Tensor:
    """Useful, processed and padding tokens of a batch; useful ones are a completion's."""
    useful = (input_ids >= FIRST_COMPLETION).sum()
    return torch.stack([useful, torch.full_like(useful, input_ids.numel()), (input_ids == 0).sum()])


def write_workload(workload: Workload) -> np.ndarray:
    """Writes the model, the tokenizer and the pool into the folder; gives the pool's lengths."""
    sizes = workload.sizes
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=sizes.vocabulary,
        n_layer=sizes.layers,
        n_head=sizes.heads,
        n_embd=sizes.width,
        n_positions=sizes.context,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=sizes.vocabulary - 1,
        eos_token_id=sizes.vocabulary - 1,
        use_cache=False,  # Nobody trains with one; transformers would build it all the same.
    )
    logging.disable_progress_bar()
    GPT2LMHeadModel(config).save_pretrained(workload.model)
    _tokenizer(sizes.vocabulary).save_pretrained(workload.model)
    lengths = draw_lengths(sizes, POOL * workload.sequences)
    write_arrow(Path(workload.folder, "pool.arrow"), TOKEN_SCHEMA, [_examples(sizes, lengths)])
    return lengths


def _examples(sizes: Sizes, lengths: np.ndarray) -> dict[str, list]:
    draw = np.random.default_rng(1)
    count = len(lengths)
    prompts = draw.integers(1, FIRST_COMPLETION, (count, N_PROMPT))
    end = sizes.vocabulary - 1
    token_ids = [
        [*prompt, *draw.integers(FIRST_COMPLETION, end, length - N_PROMPT - 1), end]
        for prompt, length in zip(prompts.tolist(), lengths.tolist(), strict=True)
    ]
    return {
        "record": list(range(count)),
        "task": [0] * count,
        "n_prompt": [N_PROMPT] * count,
        "length": lengths.tolist(),
        "n_bytes": lengths.tolist(),
        "n_cut": [0] * count,
        "token_ids": token_ids,
        "items": [[]] * count,
    }


def _tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One of the right size that nothing is ever tokenized with: libraries insist on having one."""
    names = ["<pad>", *(f"<{place}>" for place in range(1, vocabulary - 1)), "<|endoftext|>"]
    vocab = {name: place for place, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.add_special_tokens([AddedToken(names[0]), AddedToken(names[-1])])
    end = names[-1]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=names[0], bos_token=end, eos_token=end
    )
