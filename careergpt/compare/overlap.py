"""What a text has in common with a reference: words in the same order, and items of a set."""

from collections.abc import Collection
from typing import NamedTuple


class Overlap(NamedTuple):
    """Precision, recall and their harmonic mean F1, each in [0, 1]; higher is better."""

    precision: float
    recall: float
    f1: float


def rouge_l(text: str, reference: str) -> float:
    """ROUGE-L F1 in [0, 1] (Lin, 2004); higher is better; 0 where either has no word.

    Words are runs of a-z and 0-9 in lower case, unstemmed, as in Google's `rouge_score`.
    """
    # torchmetrics takes seconds to import.
    from torchmetrics.functional.text.rouge import rouge_score

    return float(rouge_score(text, reference, rouge_keys="rougeL")["rougeL_fmeasure"])


def set_overlap(found: Collection[str], wanted: Collection[str]) -> Overlap:
    """How much of `found` is wanted and of `wanted` is found; 0 of nothing found or wanted."""
    found, wanted = set(found), set(wanted)
    both = len(found & wanted)
    return Overlap(
        both / max(1, len(found)),
        both / max(1, len(wanted)),
        2 * both / max(1, len(found) + len(wanted)),
    )
