"""The metrics of a comparison, by name."""

from __future__ import annotations

from careergpt.compare.comparison import Metric

LOSS = Metric("loss", "Loss, nats a token", "lower", "Surprise by the real text, a token.")
BITS = Metric(
    "bits_per_byte",
    "Bits a byte",
    "lower",
    "Surprise by the real text, a byte of it: the same for every tokenizer.",
)
TITLE_GAIN = Metric(
    "title_gain",
    "Worth of the title, nats a token",
    "higher",
    "How much dearer a description is under another record's title than under its own.",
)
TITLE_GAIN_BITS = Metric(
    "title_gain_bits",
    "Worth of the title, bits a byte",
    "higher",
    "How much dearer a description is under another record's title than under its own.",
)
REP_4 = Metric(
    "rep_4", "rep-4", "lower", "Share of an answer's four-token runs that it had written before."
)
LENGTH = Metric(
    "tokens", "Length, tokens", "neither", "Tokens of an answer, as the fine-tuned model counts."
)
ENDED = Metric("ended", "Ended by itself", "higher", "Share of answers that came to an end.")
SKILLS_PRECISION = Metric(
    "skills_precision",
    "Skills, precision",
    "higher",
    "Of the known skills that an answer names, the share that the real text names.",
)
SKILLS_RECALL = Metric(
    "skills_recall",
    "Skills, recall",
    "higher",
    "Of the known skills that the real text names, the share that the answer names.",
)
SKILLS_F1 = Metric("skills_f1", "Skills, F1", "higher", "Harmonic mean of the two.")
ROUGE_L = Metric(
    "rouge_l", "ROUGE-L, F1", "higher", "Longest common subsequence of words with the real text."
)
MRR = Metric(
    "mrr",
    "Relevance, MRR",
    "higher",
    "1 / rank at which the answer, as a search, finds a description of its own title.",
)
RECALL_5 = Metric(
    "recall@5",
    "Relevance, recall@5",
    "higher",
    "Share of answers that find a description of their own title among the first five.",
)
COPIED_RUN = Metric(
    "copied_run",
    "Longest copied run, tokens",
    "neither",
    "Longest run of tokens that stands so in a training text; who writes well hits on longer ones.",
)
COPIED_50 = Metric(
    "copied_50", "Copied 50 tokens", "lower", "Share of answers with a copied run of 50 tokens."
)
DISTINCT_1 = Metric(
    "distinct_1", "distinct-1", "higher", "Distinct tokens over all tokens, of answers cut alike."
)
DISTINCT_2 = Metric(
    "distinct_2", "distinct-2", "higher", "Distinct pairs over all pairs, of answers cut alike."
)

ANSWERS = (
    REP_4, LENGTH, ENDED, SKILLS_PRECISION, SKILLS_RECALL, SKILLS_F1, ROUGE_L, MRR, RECALL_5,
    COPIED_RUN, COPIED_50,
)  # fmt: skip
"""Metrics that are means over answers; an answer lacks those that do not apply to it."""

DESCRIBED = (DISTINCT_1, DISTINCT_2)
"""Measures of all answers together: they have no value for one, and so no interval."""
