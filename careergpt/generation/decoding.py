"""Answers to prompts, in batches, each with its log-probability; how often texts repeat."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast, StopStringCriteria

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
        finish_reason: "end": the model ended it; "stop": one of decoding's texts did; "length": it
            was cut.
        log_probability: Nats, of all the answer's tokens (with the end of text, if it came), under
            the model as it is: temperature 1, nothing left out.
        n_tokens: How many tokens that is.
        token_ids: Those tokens.
    """

    place: int
    id: str
    prompt: str
    text: str
    finish_reason: Literal["end", "stop", "length"]
    log_probability: float
    n_tokens: int
    token_ids: tuple[int, ...]


class Pieces:
    """An `on_token` for one answer: its text, piece by piece, each letter whole."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast, on_text: Callable[[str], None]) -> None:
        self._tokenizer, self._on_text = tokenizer, on_text
        self._ids: list[int] = []
        self._given = 0

    def __call__(self, _: int, token: int) -> None:
        """Hands on what the token adds."""
        self._ids.append(token)
        text = self._text()
        # A letter may be of several tokens: what ends in half of one is waited for.
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            self._hand_on(text)

    def end(self) -> None:
        """Hands on what is left, half a letter included."""
        self._hand_on(self._text())

    def _text(self) -> str:
        return str(self._tokenizer.decode(self._ids, skip_special_tokens=True))

    def _hand_on(self, text: str) -> None:
        if len(text) > self._given:
            self._on_text(text[self._given :])
            self._given = len(text)


def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    context: int,
    on_token: Callable[[int, int], None] | None = None,
) -> list[Generated]:
    """One answer to each prompt, in their order; dropout is off.

    Prompts are shorter than the context, the model's longest input, and no answer goes beyond it.
    Each token is handed to `on_token` with its row's number as soon as it is chosen.

    Raises:
        InputError: The model's logits are no numbers.
    """
    end = int(tokenizer.eos_token_id)
    # Models are padded to round numbers, by ids that spell nothing.
    unknown = set(range(model.config.vocab_size)) - set(tokenizer.get_vocab().values())
    with dropout_off(model), attention_to_cache(model):
        rooms = [min(decoding.max_new_tokens, context - len(p.token_ids)) for p in prompts]
        stops = StopStringCriteria(tokenizer, list(decoding.stop)) if decoding.stop else None
        written = write(model, prompts, decoding, rooms, end, sorted(unknown), on_token, stops)
    answers = []
    for prompt, (ids, nats) in zip(prompts, written, strict=True):
        text = str(tokenizer.decode(ids, skip_special_tokens=True))
        at = min((place for stop in decoding.stop if (place := text.find(stop)) >= 0), default=None)
        reason: Literal["end", "stop", "length"] = "length" if at is None else "stop"
        if ids[-1] == end:
            reason = "end"
        of_prompt = prompt.place, prompt.id, prompt.text
        answers.append(
            Generated(*of_prompt, text[:at].strip(), reason, -nats, len(ids), tuple(ids))
        )
    return sorted(answers, key=lambda answer: answer.place)


@torch.no_grad()
def write(
    model: PreTrainedModel,
    prompts: Sequence[Prompt],
    decoding: Decoding,
    rooms: Sequence[int],
    end: int | None,
    unknown: Sequence[int] = (),
    on_token: Callable[[int, int], None] | None = None,
    stops: StopStringCriteria | None = None,
) -> list[tuple[list[int], float]]:
    """What follows each prompt: a token a step, for those that have not ended.

    Rows that have ended are dropped at once; one that outlives them may take an ended one's place.
    Each row's new tokens, up to and with the end of text, come with their nats.

    Args:
        model: The model, within `attention_to_cache`.
        prompts: The prompts.
        decoding: How to write.
        rooms: How many tokens each may write.
        end: The end of text; None: every row fills its room.
        unknown: Ids that are never written.
        on_token: Is told each row and token.
        stops: Which answers end by one of decoding's texts; None: none does.

    Raises:
        InputError: The model's logits are no numbers.
    """
    width, most = max(len(prompt.token_ids) for prompt in prompts), max(rooms)
    lengths = torch.tensor([len(prompt.token_ids) for prompt in prompts], device=model.device)
    ids = _padded(prompts, width + most).to(model.device)
    places, counts = zip(
        *((prompt.place, len(prompt.token_ids)) for prompt in prompts), strict=True
    )
    choice = Choice(decoding, places, most, unknown, counts, end)
    cache = KeyValueCache(lengths, width, width + most)
    head = model.get_output_embeddings().weight
    tokens: list[list[int]] = [[] for _ in prompts]
    nats = torch.zeros(len(prompts), dtype=torch.float64, device=model.device)
    alive = list(range(len(prompts)))
    rows = torch.tensor(alive, device=model.device)
    positions = torch.arange(width, device=model.device).expand(len(prompts), -1)
    hidden = cache.read(model, ids[:, :width], positions)[rows, lengths - 1]
    for step in range(most):
        logits = F.linear(hidden, head).float()
        chosen = choice(logits, step, rows, ids[rows, : width + step])
        nats.index_add_(0, rows, F.cross_entropy(logits, chosen, reduction="none").double())
        ids[rows, width + step] = chosen
        for row, token in zip(alive, chosen.tolist(), strict=True):
            tokens[row].append(token)
            if on_token:
                on_token(row, token)
        # The prompt's own tokens stop nothing.
        new = ids[rows, width : width + step + 1]
        stopped = [False] * len(alive) if stops is None else stops(new, None).tolist()
        kept = _kept(
            [
                not stop and tokens[row][-1] != end and step + 1 < rooms[row]
                for row, stop in zip(alive, stopped, strict=True)
            ]
        )
        if not kept:
            break
        if len(kept) < len(alive):
            cache.keep(kept)
            alive = [alive[slot] for slot in kept]
            rows, chosen = rows[kept], chosen[kept]
        hidden = cache.read(model, chosen[:, None], (lengths[rows] + step)[:, None])[:, -1]
    if not nats.isfinite().all():
        raise InputError("the model's logits are not finite: it diverged; lower model.lr")
    return list(zip(tokens, nats.tolist(), strict=True))


def _padded(prompts: Sequence[Prompt], columns: int) -> Int64[Tensor, "B C"]:
    """The prompts' ids, each filled up with its last: a token that its row has anyway.

    So the repetition penalty, which looks at all columns, lowers no token that a prompt has not.
    """
    rows = [p.token_ids + p.token_ids[-1:] * (columns - len(p.token_ids)) for p in prompts]
    return torch.tensor(rows)


def _kept(alive: Sequence[bool]) -> list[int]:
    """Slots that go on, closed up: the last ones fill the places of those that have ended."""
    survivors = sum(alive)
    last = (slot for slot in range(survivors, len(alive)) if alive[slot])
    return [slot if alive[slot] else next(last) for slot in range(survivors)]


def repetition(tokens: Sequence[int], n: int = 4) -> float:
    """Rep-n of one text: 1 - distinct n-grams / n-grams (Welleck et al., 2020); lower is better.

    From 0, no n-gram occurs twice, towards 1; 0 for texts shorter than `n`.
    """
    grams = list(ngrams(tokens, n))
    return 1 - len(set(grams)) / len(grams) if grams else 0.0


def distinct(texts: Sequence[Sequence[int]], n: int) -> float:
    """Distinct-n: distinct n-grams / n-grams of all texts (Li et al., 2016); higher is better.

    It falls as texts grow in number or length: compare it only between samples of one size.
    0 where no text is as long as `n`.
    """
    grams = [gram for text in texts for gram in ngrams(text, n)]
    return len(set(grams)) / len(grams) if grams else 0.0


def ngrams(tokens: Sequence[int], n: int) -> Iterator[tuple[int, ...]]:
    """Each run of `n` tokens, in order."""
    if n < 1:
        raise ValueError(f"n is {n}: an n-gram has at least one token")
    return (tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1))
