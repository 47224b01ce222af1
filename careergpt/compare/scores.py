"""Nats of single completions under a model: what every comparison starts from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from transformers import PreTrainedModel

from careergpt.data.batches import Scored, collate
from careergpt.data.rows import Budget, plan_batches
from careergpt.modeling.attention import dropout_off
from careergpt.modeling.loss import token_scores

# Tokens that are scored side by side; any number gives the same nats.
_BATCH_TOKENS = 8192


def completion_nats(
    model: PreTrainedModel, examples: Sequence[Scored]
) -> list[NDArray[np.float64]]:
    """For each example the nats of its scored tokens, dropout off."""
    lengths = np.array([len(example.token_ids) for example in examples])
    budget = Budget(max(_BATCH_TOKENS, int(lengths.max(initial=1))), None)
    nats: dict[int, NDArray[np.float64]] = {}
    with dropout_off(model):
        for rows in plan_batches(lengths, np.arange(len(examples)), budget, seed=0, epoch=0):
            batch = collate([[examples[index] for index in row] for row in rows])
            scores = token_scores(model, batch.to(model.device))
            owners = scores.segment_ids.cpu().numpy()
            values = scores.nats.double().cpu().numpy()
            order = [index for row in rows for index in row]
            nats |= {index: values[owners == place] for place, index in enumerate(order)}
    return [nats[index] for index in range(len(examples))]
