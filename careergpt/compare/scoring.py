"""Both models' scores of the unseen examples, as they are and under others' titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from careergpt.compare.cases import Asked, Case, asked_tasks, encode_cases
from careergpt.compare.contenders import Contender
from careergpt.compare.effort import Effort
from careergpt.compare.encoding import Reader
from careergpt.compare.paired import Scores, SwapScores, score, score_swaps
from careergpt.compare.titles import title_task
from careergpt.data.dataset import CareerDataset


class ScoredCases(NamedTuple):
    """What both models make of the texts as they are.

    Attributes:
        readers: The tokenizers: one, or two that differ.
        cases: Unseen examples.
        scores: Theirs.
        titled: Places of the cases that are asked by their title.
        swaps: Those under another's title; None: no other has one.
        n_asked: Examples of the drawn records, with those that do not fit.
    """

    readers: tuple[Reader, ...]
    cases: tuple[Case, ...]
    scores: Scores
    titled: tuple[int, ...]
    swaps: SwapScores | None
    n_asked: int


def score_cases(
    contenders: tuple[Contender, Contender],
    asked: Sequence[Asked],
    data: CareerDataset,
    effort: Effort,
    same_tokens: bool,
) -> ScoredCases:
    """Scores what records are asked, and descriptions also under another's title.

    Args:
        contenders: The baseline and the fine-tuned model.
        asked: What the drawn records are asked.
        data: Where they are from.
        effort: How much is compared.
        same_tokens: Whether both models read the same tokens.

    Raises:
        InputError: None fits into the context, or a model's logits are no numbers.
    """
    # Where the tokens are the same, one reader reads for both.
    reading = contenders[1:] if same_tokens else contenders
    readers = tuple(Reader(contender.tokenizer, data.max_length) for contender in reading)
    cases = encode_cases(asked, readers)
    scores = score(contenders, cases, "scoring", effort.batch_tokens)
    found = title_task(asked_tasks(asked, data))
    if found is None:
        return ScoredCases(readers, tuple(cases), scores, (), None, len(asked))
    name, task = found
    titled = [place for place, case in enumerate(cases) if case.pair.task == name]
    swaps = score_swaps(
        contenders,
        [cases[place] for place in titled],
        scores.of(titled),
        task,
        readers,
        seed=effort.seed,
        batch_tokens=effort.batch_tokens,
    )
    return ScoredCases(readers, tuple(cases), scores, tuple(titled), swaps, len(asked))
