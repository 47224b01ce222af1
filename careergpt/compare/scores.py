"""Nats of single completions under a model: what every comparison starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm
from transformers import PreTrainedModel

from careergpt.data.batches import Scored, collate
from careergpt.data.rows import Budget, plan_batches
from careergpt.data.tokens import Example
from careergpt.errors import InputError
from careergpt.modeling.attention import dropout_off
from careergpt.modeling.loss import token_scores

# Tokens that are scored side by side; any number gives the same nats.
_BATCH_TOKENS = 8192


def completion_nats(
    model: PreTrainedModel,
    examples: Sequence[Example],
    *,
    batch_tokens: int = _BATCH_TOKENS,
    progress: str | None = None,
) -> NDArray[np.float64]:
    """The nats of each example's completion, dropout off.

    Args:
        model: The model.
        examples: What it is to foretell.
        batch_tokens: Tokens that are scored side by side; any number gives the same nats.
        progress: What a progress bar says; None: no bar.

    Raises:
        InputError: The model's logits are no numbers.
    """
    nats = np.zeros(len(examples))
    bar = tqdm(total=len(examples), desc=progress, disable=progress is None, unit=" examples")
    for place, some in token_nats(model, examples, batch_tokens=batch_tokens):
        nats[place] = some.sum()
        if not np.isfinite(nats[place]):
            raise InputError(
                f"the scores of {model.name_or_path or 'the model'} are not finite: it diverged "
                "in training; compare another checkpoint"
            )
        bar.update()
    bar.close()
    return nats


def token_nats(
    model: PreTrainedModel, examples: Sequence[Example], *, batch_tokens: int = _BATCH_TOKENS
) -> Iterator[tuple[int, NDArray[np.float64]]]:
    """For each example its place and the nats of its scored tokens; in no order, dropout off."""
    lengths = np.array([len(example.token_ids) for example in examples])
    budget = Budget(max(batch_tokens, int(lengths.max(initial=1))), None)
    with dropout_off(model):
        for rows in plan_batches(lengths, np.arange(len(examples)), budget, seed=0, epoch=0):
            batch = collate([[_scored(examples[index]) for index in row] for row in rows])
            scores = token_scores(model, batch.to(model.device))
            owners = scores.segment_ids.cpu().numpy()
            values = scores.nats.double().cpu().numpy()
            for segment, index in enumerate(index for row in rows for index in row):
                yield index, values[owners == segment]


def _scored(example: Example) -> Scored:
    return Scored(np.array(example.token_ids), example.n_prompt)
