"""Completions word by word: what each word cost either model."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from careergpt.compare.cases import Case
from careergpt.compare.comparison import PairedScore, ShownRecord, Word
from careergpt.compare.contenders import Contender
from careergpt.compare.scores import token_nats
from careergpt.compare.statistics import FloatArray
from careergpt.data.tasks import text_of
from careergpt.data.tokens import Example

END = "\u220e"
"""Stands for the end of text: the sign at the end of a proof."""

_WORD = re.compile(r"\s*\S+|\s+$")


def show_records(
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    scores: Sequence[PairedScore],
    each: int = 3,
) -> tuple[ShownRecord, ...]:
    """The examples on which fine-tuning gained most, those in the middle, and where it lost most.

    Args:
        contenders: The two models.
        cases: Those to choose from.
        scores: Their scores, in the same order.
        each: Examples of each kind.
    """
    gains = [(one.nats[1] - one.nats[0]) / one.n_bytes if one.n_bytes else 0.0 for one in scores]
    order = np.argsort(gains, kind="stable").tolist()
    n = len(order)
    each = min(each, max(n // 3, 1))
    middle = (n - each) // 2
    # Of two examples none is in the middle; of one, it is.
    worst, best = (order[n - each :] if n > 1 else []), (order[:each] if n > 1 else [])
    median = order[middle : middle + each] if n != 2 else []
    chosen = {"best": best, "median": median, "worst": worst}
    return tuple(
        ShownRecord(place, scores[index], *_both(contenders, cases[index]))  # type: ignore[arg-type]
        for place, places in chosen.items()
        for index in places
    )


def _both(contenders: Sequence[Contender], case: Case) -> list[tuple[Word, ...]]:
    return [words(contender, case, case.example(side)) for side, contender in enumerate(contenders)]


def words(contender: Contender, case: Case, example: Example) -> tuple[Word, ...]:
    """The words that the example's completion spells, each with the nats of its tokens."""
    [(_, nats)] = token_nats(contender.model, [example])
    text = text_of(case.pair.completion)
    starts = _starts(contender, case)[: len(nats)]
    spans = [match.span() for match in _WORD.finditer(text)]
    owners = np.searchsorted([start for start, _ in spans], starts, side="right") - 1
    costs = np.bincount(owners, weights=nats[: len(starts)], minlength=len(spans))
    n_words = int(owners.max(initial=-1)) + 1
    found = [Word(text[slice(*span)], float(costs[n])) for n, span in enumerate(spans[:n_words])]
    if len(nats) > len(starts):
        found.append(Word(END, float(nats[-1])))
    return tuple(found)


def _starts(contender: Contender, case: Case) -> FloatArray:
    """Where in the completion each of its tokens starts, in characters."""
    starts: list[int] = []
    before = 0
    pieces = case.pair.completion
    encoded = contender.tokenizer.backend_tokenizer.encode_batch(
        [piece.text for piece in pieces], add_special_tokens=False
    )
    for piece, encoding in zip(pieces, encoded, strict=True):
        starts += [before + start for start, _ in encoding.offsets]
        before += len(piece.text)
    return np.array(starts, dtype=np.float64)
