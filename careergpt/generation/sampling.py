"""Decoding settings, and sampling that depends on the seed and the prompt's place alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import (
    LogitsProcessorList,
    MinNewTokensLengthLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
)

from careergpt.errors import InputError


@dataclass(frozen=True)
class Decoding:
    """How answers are written; docs/decoding.md says how the defaults were chosen.

    Args:
        max_new_tokens: Tokens of an answer, at most.
        greedy: Always the likeliest token; temperature, top_k and top_p then do nothing.
        temperature: Divides the logits; below 1 likely tokens become likelier.
        top_k: Sample among the k likeliest tokens; 0: all.
        top_p: Sample among the likeliest tokens that hold this much probability.
        repetition_penalty: Divides the positive logits of tokens already there, and multiplies
            the negative ones; 1: none.
        no_repeat_ngram_size: No run of so many tokens is written that the prompt or the answer
            has; 0: any.
        min_new_tokens: Tokens of an answer, at least: before them it cannot end by itself.
        stop: Texts that end an answer, which comes without them.
        seed: Other seeds, other samples; the same seed, the same.
    """

    max_new_tokens: int = 256
    greedy: bool = False
    temperature: float = 0.9
    top_k: int = 0
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    stop: Sequence[str] = ()
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a setting out of its range."""
        ranges = {
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
            "temperature": (self.temperature > 0, "above 0 (greedy is decoding.greedy)"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0"),
            "no_repeat_ngram_size": (self.no_repeat_ngram_size >= 0, "0 or more"),
            "min_new_tokens": (self.min_new_tokens >= 0, "0 or more"),
            "stop": (all(self.stop), "texts, none of them empty"),
        }
        for name, (right, wanted) in ranges.items():
            if not right:
                found = getattr(self, name)
                raise InputError(f"decoding.{name} must be {wanted}, found {found}")


class Choice:
    """Which token each row writes next.

    A draw belongs to (seed, row's place in the input, step) alone: it inverts the cumulative
    distribution at a uniform number of theirs. So a prompt's sample is the same in any batch,
    beside any neighbours.
    """

    def __init__(
        self,
        decoding: Decoding,
        places: Sequence[int],
        steps: int,
        unknown: Sequence[int] = (),
        lengths: Sequence[int] = (),
        end: int | None = None,
    ) -> None:
        """How rows are written on.

        Args:
            decoding: How to write.
            places: Each row's place in the input.
            steps: Tokens that a row may write, at most.
            unknown: Ids that are never chosen.
            lengths: The tokens of each row's prompt, which is padded to the longest.
            end: The end of text; None: there is none.
        """
        self._greedy, self._top_p = decoding.greedy, decoding.top_p
        self._lengths, self._width = lengths, max(lengths, default=0)
        self._processors = processors(decoding, unknown, self._width, end)
        size = decoding.no_repeat_ngram_size
        self._unrepeated = NoRepeatNGramLogitsProcessor(size) if size else None
        generators = (_generator(decoding.seed, place) for place in places)
        self._uniform = torch.stack(
            [torch.rand(steps, 2, generator=one, dtype=torch.double) for one in generators]
        )

    def __call__(
        self,
        logits: Float[Tensor, "B V"],
        step: int,
        rows: Int64[Tensor, " B"],
        written: Int64[Tensor, "B T"],
    ) -> Int64[Tensor, " B"]:
        """A token for each of the rows, which have written so far; the logits stay as they are."""
        if self._unrepeated is not None:
            logits = self._without_repeats(logits, rows, written)
        scores: Tensor = self._processors(written, logits)  # type: ignore[arg-type]
        if self._greedy:
            return scores.argmax(-1)
        self._uniform = self._uniform.to(rows.device)
        uniform = self._uniform[rows, step]
        return draw_likely(scores.softmax(-1), uniform, self._top_p)

    def _without_repeats(
        self, logits: Float[Tensor, "B V"], rows: Int64[Tensor, " B"], written: Int64[Tensor, "B T"]
    ) -> Float[Tensor, "B V"]:
        """Row by row: the padding between a prompt and its answer is in no run of tokens."""
        assert self._unrepeated is not None
        found = []
        for row, ids, scores in zip(rows.tolist(), written, logits, strict=True):
            own = torch.cat([ids[: self._lengths[row]], ids[self._width :]])
            found.append(self._unrepeated(own[None], scores[None]))
        return torch.cat(found)


def processors(
    decoding: Decoding, unknown: Sequence[int] = (), width: int = 0, end: int | None = None
) -> LogitsProcessorList:
    """What happens to the logits at each step: transformers' own, in transformers' order.

    Prompts are `width` tokens wide; `end` is the end of text.
    """
    found = LogitsProcessorList()
    if unknown:
        found.append(SuppressTokensLogitsProcessor(unknown))
    if decoding.repetition_penalty != 1:
        found.append(RepetitionPenaltyLogitsProcessor(decoding.repetition_penalty))
    if decoding.min_new_tokens and end is not None:
        least = decoding.min_new_tokens
        found.append(MinNewTokensLengthLogitsProcessor(width, least, end))
    if decoding.temperature != 1 and not decoding.greedy:
        found.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k and not decoding.greedy:
        found.append(TopKLogitsWarper(decoding.top_k))
    return found


def draw_likely(
    probabilities: Float[Tensor, "B V"], uniform: Float[Tensor, "B 2"], top_p: float
) -> Int64[Tensor, " B"]:
    """A token of each row, drawn among the likeliest that hold `top_p`.

    Sorting 50,257 numbers costs more than the model's own step. But whether one token is among the
    likeliest takes one sum: so a token of all is drawn, and only where it is none of them, they are
    sorted out and another is drawn. The distribution is the same: each has its share of both draws.
    """
    tokens = draw(probabilities, uniform[:, :1])
    if top_p == 1:
        return tokens
    likelier = probabilities > probabilities.gather(1, tokens[:, None])
    outside = ((likelier * probabilities).sum(-1) >= top_p).nonzero()[:, 0]
    if len(outside):
        tokens[outside] = draw(likeliest(probabilities[outside], top_p), uniform[outside, 1:])
    return tokens


def draw(probabilities: Float[Tensor, "B V"], uniform: Float[Tensor, "B 1"]) -> Int64[Tensor, " B"]:
    """The token of each row at which the cumulative distribution passes the uniform number."""
    cumulative = probabilities.cumsum(-1, dtype=torch.float64)
    # Rounding leaves the sum a little off 1, and the last tokens may hold no probability.
    chosen = torch.searchsorted(cumulative, uniform * cumulative[:, -1:], right=True)
    # Probabilities that are no numbers choose a token that does not exist.
    return chosen[:, 0].clamp(max=probabilities.shape[1] - 1)


def likeliest(probabilities: Float[Tensor, "B V"], top_p: float) -> Float[Tensor, "B V"]:
    """The probabilities of tokens of which the likelier hold less than `top_p`; 0 elsewhere."""
    falling = probabilities.sort(-1, descending=True).values
    before = falling.cumsum(-1) - falling
    least = falling.masked_fill(before >= top_p, torch.inf).amin(-1, keepdim=True)
    return torch.where(probabilities >= least, probabilities, 0)


def _generator(seed: int, place: int) -> torch.Generator:
    # Two multiplications by odd numbers keep neighbouring seeds and places apart.
    mixed = (seed * 0x9E3779B97F4A7C15 + place * 0xD1B54A32D192ED03) % 2**63
    return torch.Generator().manual_seed(mixed)
