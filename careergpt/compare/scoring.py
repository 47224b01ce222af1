"""Both models' scores of the unseen examples, as they are and under others' titles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from careergpt.compare.cases import Asked, Case, draw_records, encode_cases
from careergpt.compare.contenders import Contender, same_tokens
from careergpt.compare.effort import Effort
from careergpt.compare.encoding import Reader
from careergpt.compare.paired import Scores, SwapScores, score, score_swaps
from careergpt.compare.titles import title_task
from careergpt.data.datamodule import CareerDataModule

# Examples on which two tokenizers are tried for being one.
_PROBES = 200


class Scored(NamedTuple):
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

    @property
    def same_tokens(self) -> bool:
        """Whether nats a token mean the same under both models."""
        return len(self.readers) == 1


def score_cases(
    contenders: tuple[Contender, Contender],
    asked: Sequence[Asked],
    data: CareerDataModule,
    effort: Effort,
) -> Scored:
    """Scores at most `effort.limit` drawn records, and each also under another's title.

    Args:
        contenders: The baseline and the fine-tuned model.
        asked: What the unseen records are asked.
        data: Where they are from.
        effort: How much is compared.

    Raises:
        InputError: None fits into the context, or a model's logits are no numbers.
    """
    drawn = draw_records(asked, effort.limit, effort.seed)
    same = same_tokens(*contenders, [one.pair for one in drawn[:_PROBES]])
    # Where the tokens are the same, one reader reads for both.
    reading = contenders[1:] if same else contenders
    readers = tuple(Reader(contender.tokenizer, data.max_length) for contender in reading)
    cases = encode_cases(drawn, readers)
    scores = score(contenders, cases, "scoring", effort.batch_tokens)
    found = title_task(data.tasks)
    if found is None:
        return Scored(readers, tuple(cases), scores, (), None, len(drawn))
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
    return Scored(readers, tuple(cases), scores, tuple(titled), swaps, len(drawn))
