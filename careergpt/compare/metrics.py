"""The metrics of a comparison, a row each.

A metric of answers is one row of `ANSWERS`: name, label, which way is better, a sentence, and the
function that computes it of an answer. Findings, report, card and files take it from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from careergpt.compare.comparison import Metric
from careergpt.compare.overlap import f1, precision, recall, rouge_l
from careergpt.compare.relevance import relevance
from careergpt.compare.statistics import FloatArray
from careergpt.generation.decoding import distinct, repetition

# Metrics of scores: of a model's rows (`rows_of`) the numerators and the denominators.

LOSS = Metric(
    "loss", "Loss, nats a token", "lower",
    "Surprise by the real text, a token.",
    lambda rows: (rows["nats"], rows["tokens"]),
)  # fmt: skip
BITS = Metric(
    "bits_per_byte", "Bits a byte", "lower",
    "Surprise by the real text, a byte of it: the same for every tokenizer.",
    lambda rows: (rows["nats"] / np.log(2), rows["n_bytes"]),
)  # fmt: skip
TITLE_GAIN = Metric(
    "title_gain", "Worth of the title, nats a token", "higher",
    "How much dearer a description is under another record's title than under its own.",
    lambda rows: (rows["nats"] - rows["nats_own_title"], rows["tokens"]),
)  # fmt: skip
TITLE_GAIN_BITS = Metric(
    "title_gain_bits", "Worth of the title, bits a byte", "higher",
    "How much dearer a description is under another record's title than under its own.",
    lambda rows: ((rows["nats"] - rows["nats_own_title"]) / np.log(2), rows["n_bytes"]),
)  # fmt: skip


class Response(NamedTuple):
    """An answer to a record's prompt, and what it may be measured against.

    Attributes:
        text: The answer.
        tokens: Its token ids without the end of text.
        ended: Whether the model ended it.
        reference: The record's own text.
        skills: Known skills that the answer names.
        wanted: Known skills that the record names.
        rank: At which the answer, as a search, finds a description of its title; None: no other
            record has the title.
        copied: Tokens of its longest run that stands so in a training text; None: those texts
            are not known.
    """

    text: str
    tokens: Sequence[int]
    ended: bool
    reference: str
    skills: AbstractSet[str]
    wanted: AbstractSet[str]
    rank: int | None
    copied: int | None


# Metrics of answers: of a `Response` its value; None where it does not apply.

REP_4 = Metric(
    "rep_4", "rep-4", "lower",
    "Share of an answer's four-token runs that it had written before.",
    # A text of three tokens cannot repeat four: that is no merit.
    lambda answer: repetition(answer.tokens) if len(answer.tokens) >= 4 else None,
)  # fmt: skip
LENGTH = Metric(
    "tokens", "Length, tokens", "neither",
    "Tokens of an answer, as the fine-tuned model counts.",
    lambda answer: len(answer.tokens),
)  # fmt: skip
ENDED = Metric(
    "ended", "Ended by itself", "higher",
    "Share of answers that came to an end.",
    lambda answer: answer.ended,
)  # fmt: skip
# Where the record names no known skill, there is nothing to find.
SKILLS_PRECISION = Metric(
    "skills_precision", "Skills, precision", "higher",
    "Of the known skills that an answer names, the share that the real text names.",
    lambda answer: precision(answer.skills, answer.wanted) if answer.wanted else None,
)  # fmt: skip
SKILLS_RECALL = Metric(
    "skills_recall", "Skills, recall", "higher",
    "Of the known skills that the real text names, the share that the answer names.",
    lambda answer: recall(answer.skills, answer.wanted) if answer.wanted else None,
)  # fmt: skip
SKILLS_F1 = Metric(
    "skills_f1", "Skills, F1", "higher",
    "Harmonic mean of the two.",
    lambda answer: f1(answer.skills, answer.wanted) if answer.wanted else None,
)  # fmt: skip
ROUGE_L = Metric(
    "rouge_l", "ROUGE-L, F1", "higher",
    "Longest common subsequence of words with the real text.",
    lambda answer: rouge_l(answer.text, answer.reference),
)  # fmt: skip
MRR = Metric(
    "mrr", "Relevance, MRR", "higher",
    "1 / rank at which the answer, as a search, finds a description of its own title.",
    lambda answer: relevance(answer.rank)["mrr"] if answer.rank else None,
)  # fmt: skip
RECALL_5 = Metric(
    "recall@5", "Relevance, recall@5", "higher",
    "Share of answers that find a description of their own title among the first five.",
    lambda answer: relevance(answer.rank)["recall@5"] if answer.rank else None,
)  # fmt: skip
COPIED_RUN = Metric(
    "copied_run", "Longest copied run, tokens", "neither",
    "Longest run of tokens that stands so in a training text; who writes well hits on longer ones.",
    lambda answer: answer.copied,
)  # fmt: skip
# No two writers would hit on a run of 50 tokens.
COPIED_50 = Metric(
    "copied_50", "Copied 50 tokens", "lower",
    "Share of answers with a copied run of 50 tokens.",
    lambda answer: None if answer.copied is None else answer.copied >= 50,
)  # fmt: skip

ANSWERS = (
    REP_4, LENGTH, ENDED, SKILLS_PRECISION, SKILLS_RECALL, SKILLS_F1, ROUGE_L, MRR, RECALL_5,
    COPIED_RUN, COPIED_50,
)  # fmt: skip
"""Metrics that are means over answers; an answer lacks those that do not apply to it."""

METRICS = (LOSS, BITS, TITLE_GAIN, TITLE_GAIN_BITS, *ANSWERS)

# Metrics of all answers together: of the token ids of each, a value.

DIVERSITY = (
    Metric(
        "distinct_1", "distinct-1", "higher",
        "Distinct tokens over all tokens, of answers cut alike.",
        lambda texts: distinct(texts, 1),
    ),
    Metric(
        "distinct_2", "distinct-2", "higher",
        "Distinct pairs over all pairs, of answers cut alike.",
        lambda texts: distinct(texts, 2),
    ),
)  # fmt: skip
"""They have no value for one answer, and so no interval."""


def instance_losses(rows: Mapping[str, NDArray[Any]], same_tokenizer: bool) -> FloatArray:
    """Of each of a model's rows the loss in nats a token, or bits a byte; NaN of an empty text."""
    nats, units = (LOSS if same_tokenizer else BITS).measure(rows)
    losses: FloatArray = np.full(len(nats), np.nan)
    np.divide(nats, units, out=losses, where=units > 0)
    return losses
