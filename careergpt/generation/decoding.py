"""Answers to prompts, in batches, each with its finish reason and log-probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.prompts import Prompt
from careergpt.errors import InputError
from careergpt.generation.cache import KeyValueCache, attention_to_cache
from careergpt.generation.sampling import Choice, Decoding
from careergpt.modeling.attention import dropout_off


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


class Written(NamedTuple):
    """The new tokens of a prompt, up to and with the end of text, and their nats."""

    token_ids: list[int]
    nats: float


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

    Raises:
        InputError: The model's logits are no numbers.
    """
    end = int(tokenizer.eos_token_id)
    # Models are padded to round numbers, by ids that spell nothing.
    unknown = set(range(model.config.vocab_size)) - set(tokenizer.get_vocab().values())
    with dropout_off(model), attention_to_cache(model):
        rooms = [min(decoding.max_new_tokens, context - len(p.token_ids)) for p in prompts]
        written = write(model, prompts, decoding, rooms, end, sorted(unknown))
    answers = [
        Generated(
            prompt.place,
            prompt.id,
            prompt.text,
            str(tokenizer.decode(ids, skip_special_tokens=True)).strip(),
            "end" if ids[-1] == end else "length",
            -nats,
            len(ids),
            tuple(ids),
        )
        for prompt, (ids, nats) in zip(prompts, written, strict=True)
    ]
    return sorted(answers, key=lambda answer: answer.place)


@torch.no_grad()
def write(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    rooms: Sequence[int],
    end: int | None,
    unknown: Sequence[int] = (),
) -> list[Written]:
    """What follows each prompt: a token a step, for those that have not ended.

    Rows that have ended are dropped at once; one that outlives them may take an ended one's place.

    Args:
        model: The model, attending to the cache that it is given.
        prompts: The prompts.
        decoding: How to write.
        rooms: How many tokens each may write.
        end: The end of text; None: every row fills its room.
        unknown: Ids that are never written.

    Raises:
        InputError: The model's logits are no numbers.
    """
    width, most = max(len(prompt.token_ids) for prompt in prompts), max(rooms)
    lengths = torch.tensor([len(prompt.token_ids) for prompt in prompts], device=model.device)
    ids = _padded(prompts, width + most).to(model.device)
    choice = Choice(decoding, [prompt.place for prompt in prompts], most, unknown)
    cache = KeyValueCache(lengths, width, width + most)
    head = model.get_output_embeddings().weight
    tokens: list[list[int]] = [[] for _ in prompts]
    nats = torch.zeros(len(prompts), dtype=torch.float64, device=model.device)
    alive = list(range(len(prompts)))
    rows = torch.tensor(alive, device=model.device)
    positions = torch.arange(width, device=model.device).expand(len(prompts), -1)
    hidden = _read(model, ids[:, :width], positions, cache)[rows, lengths - 1]
    for step in range(most):
        logits = F.linear(hidden, head).float()
        chosen = choice(logits, step, rows, ids[rows, : width + step])
        nats.index_add_(0, rows, F.cross_entropy(logits, chosen, reduction="none").double())
        ids[rows, width + step] = chosen
        for row, token in zip(alive, chosen.tolist(), strict=True):
            tokens[row].append(token)
        kept = _kept([tokens[row][-1] != end and step + 1 < rooms[row] for row in alive])
        if not kept:
            break
        if len(kept) < len(alive):
            cache.keep(kept)
            alive = [alive[slot] for slot in kept]
            rows, chosen = rows[kept], chosen[kept]
        hidden = _read(model, chosen[:, None], (lengths[rows] + step)[:, None], cache)[:, -1]
    if not nats.isfinite().all():
        raise InputError("the model's logits are not finite: it diverged; lower model.lr")
    return [Written(*answer) for answer in zip(tokens, nats.tolist(), strict=True)]


def _padded(prompts: Sequence[Prompt], columns: int) -> Int64[Tensor, "B C"]:
    """The prompts' ids, each filled up with its last: a token that its row has anyway.

    So the repetition penalty, which looks at all columns, lowers no token that a prompt has not.
    """
    rows = [p.token_ids + p.token_ids[-1:] * (columns - len(p.token_ids)) for p in prompts]
    return torch.tensor(rows)


def _read(
    model: PreTrainedModel,
    ids: Int64[Tensor, "B T"],
    positions: Int64[Tensor, "B T"],
    cache: KeyValueCache,
) -> Float[Tensor, "B T D"]:
    """Hidden states of the next tokens, which the cache then holds."""
    cache.advance(ids.shape[1])
    hidden: Tensor = model.base_model(
        input_ids=ids, position_ids=positions, use_cache=False, careergpt_cache=cache
    ).last_hidden_state
    return hidden


def _kept(alive: Sequence[bool]) -> list[int]:
    """Slots that go on, closed up: the last ones fill the places of those that have ended."""
    survivors = sum(alive)
    last = (slot for slot in range(survivors, len(alive)) if alive[slot])
    return [slot if alive[slot] else next(last) for slot in range(survivors)]
