"""Decoding settings, and sampling that depends on the seed and the prompt's place alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
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
        seed: Other seeds, other samples; the same seed, the same.
    """

    max_new_tokens: int = 256
    greedy: bool = False
    temperature: float = 0.9
    top_k: int = 0
    top_p: float = 0.95
    repetition_penalty: float = 1.1
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a setting out of its range."""
        ranges = {
            "max_new_tokens": (self.max_new_tokens >= 1, "1 or more"),
            "temperature": (self.temperature > 0, "above 0 (greedy decoding is decoding.greedy)"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "repetition_penalty": (self.repetition_penalty > 0, "above 0"),
        }
        for name, (right, wanted) in ranges.items():
            if not right:
                found = getattr(self, name)
                raise InputError(f"model.decoding.{name} must be {wanted}, found {found}")


class RepetitionPenalty(LogitsProcessor):
    """Transformers' penalty (Keskar et al., 2019) on the tokens of each row, but not its padding.

    The padding's id is the end of text: penalized, no padded row would end as it does alone.
    """

    def __init__(self, penalty: float, padding: Sequence[int]) -> None:
        self._penalty, self._padding = penalty, torch.tensor(padding)

    def __call__(
        self, input_ids: Int64[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """The scores with those of tokens already there lowered."""
        places = torch.arange(input_ids.shape[1], device=scores.device)
        written = places >= self._padding.to(scores.device)[:, None]
        seen = torch.zeros_like(scores).scatter_add(1, input_ids, written.to(scores.dtype)) > 0
        lowered = torch.where(scores > 0, scores / self._penalty, scores * self._penalty)
        return torch.where(seen, lowered, scores)


class SeededChoice(LogitsProcessor):
    """Turns greedy search into sampling: leaves of each row's logits the one token drawn.

    The draw inverts the cumulative distribution at a uniform number that belongs to (seed, row's
    place in the input, step). So a prompt's sample is the same in any batch, beside any neighbours.
    """

    def __init__(self, seed: int, places: Sequence[int], steps: int) -> None:
        self._uniform = torch.stack(
            [
                torch.rand(steps, generator=_generator(seed, place), dtype=torch.float64)
                for place in places
            ]
        )
        self._step = 0

    def __call__(
        self, input_ids: Int64[Tensor, "B T"], scores: Float[Tensor, "B V"]
    ) -> Float[Tensor, "B V"]:
        """The scores with all but the drawn token at minus infinity."""
        drawn = self._uniform[:, self._step, None].to(scores.device)
        self._step += 1
        cumulative = scores.double().softmax(-1).cumsum(-1)
        if not torch.isfinite(cumulative[:, -1]).all():
            raise InputError("the model's logits are not finite: it diverged; lower model.lr")
        # Rounding leaves the sum a little off 1, and the last tokens may hold no probability.
        chosen = torch.searchsorted(cumulative, drawn * cumulative[:, -1:], right=True)
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen, 0.0)


def processors(
    decoding: Decoding, places: Sequence[int], padding: Sequence[int]
) -> LogitsProcessorList:
    """What happens to the logits at each step.

    Args:
        decoding: The settings.
        places: Each row's place in the input.
        padding: How many tokens of padding each row starts with.
    """
    steps = LogitsProcessorList()
    if decoding.repetition_penalty != 1:
        steps.append(RepetitionPenalty(decoding.repetition_penalty, padding))
    if decoding.greedy:
        return steps
    steps.append(TemperatureLogitsWarper(decoding.temperature))
    if decoding.top_k:
        steps.append(TopKLogitsWarper(decoding.top_k))
    if decoding.top_p < 1:
        steps.append(TopPLogitsWarper(decoding.top_p))
    steps.append(SeededChoice(decoding.seed, places, decoding.max_new_tokens))
    return steps


def _generator(seed: int, place: int) -> torch.Generator:
    # Two multiplications by odd numbers keep neighbouring seeds and places apart.
    mixed = (seed * 0x9E3779B97F4A7C15 + place * 0xD1B54A32D192ED03) % 2**63
    return torch.Generator().manual_seed(mixed)
