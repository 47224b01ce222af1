"""What counting three tokens in a row reaches: who does no better has learned no sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from careergpt.compare.comparison import Finding
from careergpt.compare.metrics import BITS, LOSS
from careergpt.compare.scoring import ScoredCases
from careergpt.compare.trigram import Trigram
from careergpt.data.dataset import CareerDataset
from careergpt.data.splits import TRAIN

_BIT = math.log(2)
"""Nats."""


def with_floor(
    findings: Sequence[Finding], scored: ScoredCases, data: CareerDataset, vocabulary: int
) -> tuple[Finding, ...]:
    """The findings, those of the loss with what a trigram model of the training split reaches.

    Args:
        findings: All findings.
        scored: The cases, as the fine-tuned model reads them.
        data: Its training split is counted; without one there is no floor.
        vocabulary: Ids that the fine-tuned model knows.
    """
    members = data.members(TRAIN) if data.splits != "all" else np.empty(0, np.int64)
    if not len(members):
        return tuple(findings)
    rows = (data.store.token_ids(example) for example in members.tolist())
    trigram = Trigram.fit(rows, vocabulary)
    read = [case.example(1) for case in scored.cases]
    nats = np.array([trigram.nats(np.array(one.token_ids), one.n_prompt).sum() for one in read])
    tasks = np.array([case.pair.task for case in scored.cases])

    def floor(found: Finding) -> float:
        chosen = (tasks == found.task) | (found.task == "")
        units = scored.scores.tokens[:, 1] if found.metric == LOSS else scored.scores.n_bytes * _BIT
        return float(nats[chosen].sum() / units[chosen].sum())

    return tuple(
        found._replace(trigram=floor(found)) if found.metric in (LOSS, BITS) else found
        for found in findings
    )
