"""Answers to prompts, in batches, each with its finish reason and log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby
from typing import Literal, NamedTuple

import numpy as np
import torch
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.batches import Scored, collate
from careergpt.data.prompts import Prompt
from careergpt.generation.sampling import Decoding, processors
from careergpt.modeling.attention import dropout_off, library_attention
from careergpt.modeling.loss import segment_scores


class Generated(NamedTuple):
    """An answer.

    Attributes:
        place: The prompt's place in the input.
        id: The prompt's name: a record's id, or a line.
        prompt: The prompt as text.
        text: The answer, without the space before it and the end of text after it.
        finish_reason: "end": the model ended it; "length": it was cut.
        log_probability: Nats, of all the answer's tokens (with the end of text, if it came), under
            the model as it is: temperature 1, nothing left out.
        n_tokens: How many tokens that is.
        token_ids: Those tokens.
    """

    place: int
    id: str
    prompt: str
    text: str
    finish_reason: Literal["end", "length"]
    log_probability: float
    n_tokens: int
    token_ids: tuple[int, ...]


@torch.no_grad()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    context: int,
) -> list[Generated]:
    """One answer to each prompt, in their order; dropout is off.

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        prompts: The prompts, each shorter than the context.
        decoding: How to write.
        context: The model's longest input: no answer goes beyond it.
    """

    def room(prompt: Prompt) -> int:
        return min(decoding.max_new_tokens, context - len(prompt.token_ids))

    end = int(tokenizer.eos_token_id)
    answers = []
    with dropout_off(model):
        # Prompts that may grow equally far go together: none is cut short by a longer neighbour.
        for most, group in groupby(sorted(prompts, key=room), key=room):
            together = list(group)
            ids = _continue(model, together, replace(decoding, max_new_tokens=most), end)
            answers += _score(model, tokenizer, together, ids)
    return sorted(answers, key=lambda answer: answer.place)


def _continue(
    model: PreTrainedModel, prompts: Sequence[Prompt], decoding: Decoding, end: int
) -> list[list[int]]:
    """The new tokens of each prompt, up to and with the end of text."""
    width = max(len(prompt.token_ids) for prompt in prompts)
    # Padding goes to the left: the next token follows the prompt's last one.
    padding = [width - len(prompt.token_ids) for prompt in prompts]
    padded = [[end] * n + list(p.token_ids) for n, p in zip(padding, prompts, strict=True)]
    mask = [[0] * n + [1] * (width - n) for n in padding]
    # All of it is said here: what is left out would be taken from the model folder's own defaults.
    settings = GenerationConfig(
        max_new_tokens=decoding.max_new_tokens,
        do_sample=False,
        temperature=1.0,
        top_k=50,
        top_p=1.0,
        repetition_penalty=1.0,
        eos_token_id=end,
        pad_token_id=end,
    )
    with library_attention(model):
        written: torch.Tensor = model.generate(  # type: ignore[operator]
            torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            generation_config=settings,
            logits_processor=processors(decoding, [prompt.place for prompt in prompts], padding),
        )
    return [_until(end, row) for row in written[:, width:].tolist()]


def _until(end: int, ids: list[int]) -> list[int]:
    return ids[: ids.index(end) + 1] if end in ids else ids


def _score(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Prompt],
    answers: Sequence[list[int]],
) -> list[Generated]:
    rows = [
        [Scored(np.array([*prompt.token_ids, *ids]), len(prompt.token_ids))]
        for prompt, ids in zip(prompts, answers, strict=True)
    ]
    nats = segment_scores(model, collate(rows).to(model.device)).nats.tolist()
    return [
        Generated(
            prompt.place,
            prompt.id,
            prompt.text,
            str(tokenizer.decode(ids, skip_special_tokens=True)).strip(),
            "end" if ids[-1] == tokenizer.eos_token_id else "length",
            -cost,
            len(ids),
            tuple(ids),
        )
        for prompt, ids, cost in zip(prompts, answers, nats, strict=True)
    ]
