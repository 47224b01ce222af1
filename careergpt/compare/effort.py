"""How much is compared, and how: the options of compare."""

from __future__ import annotations

from dataclasses import dataclass

from careergpt.errors import InputError
from careergpt.generation.sampling import Decoding


@dataclass(frozen=True)
class Effort:
    """How much is compared, and how.

    Args:
        limit: Unseen records that are scored, drawn by the seed; null: all.
        answers: Unseen records whose prompt both models answer; 0: none.
        decoding: How both write.
        skills: A file of known skills, one a line. Null: those seen in training at least
            data.min_count times.
        embedder: A sentence-transformers model that judges relevance; null: TF-IDF.
        batch_tokens: Tokens that are scored side by side; any number gives the same scores.
        seed: Draws records, prompts, others' titles and resamples.
    """

    limit: int | None = None
    answers: int = 64
    decoding: Decoding = Decoding()
    skills: str | None = None
    embedder: str | None = None
    batch_tokens: int = 8192
    seed: int = 0

    def __post_init__(self) -> None:
        """Raises InputError for a number out of its range."""
        least = {"limit": 1, "answers": 0, "batch_tokens": 1, "seed": 0}
        for name, bound in least.items():
            found = getattr(self, name)
            if found is not None and found < bound:
                raise InputError(f"--{name} must be {bound} or more, found {found}")
