"""Both models' answers to the same prompts, with the same seeds and decoding."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from careergpt.compare.cases import Case
from careergpt.compare.contenders import ROLES, Contender
from careergpt.data.names import title_key
from careergpt.data.prompts import DEFAULT_PROMPTS, Prompt, Question, ready_prompts
from careergpt.data.tasks import Piece
from careergpt.generation.decoding import Generated, generate
from careergpt.generation.sampling import Decoding

# Prompts that are answered side by side.
_BATCH = 32


class Answered(NamedTuple):
    """What both models wrote.

    Attributes:
        shown: To the prompts that everyone is shown: of nobody, so there is no right answer.
        cases: The records that were asked.
        answers: To their prompts, in the same order.
    """

    shown: tuple[tuple[Generated, Generated], ...]
    cases: tuple[Case, ...]
    answers: tuple[tuple[Generated, Generated], ...]


def draw_prompts(cases: Sequence[Case], number: int, seed: int) -> list[Case]:
    """At most `number` of the cases, drawn; those first that can show relevance.

    Those are the cases whose title another one has too that is no near-duplicate.
    """
    groups = defaultdict(set)
    for case in cases:
        groups[title_key(case.title)].add(case.group)
    order = np.random.default_rng(seed).permutation(len(cases)).tolist()
    drawn = sorted(order, key=lambda place: len(groups[title_key(cases[place].title)]) < 2)
    return [cases[place] for place in drawn[:number]]


def answer(contenders: Sequence[Contender], cases: Sequence[Case], decoding: Decoding) -> Answered:
    """Lets both models answer the shown prompts and those of the cases.

    Args:
        contenders: The two models.
        cases: Records to ask.
        decoding: How to write.
    """
    asked = [Question("", (Piece(prompt, None),)) for prompt in DEFAULT_PROMPTS]
    asked += [Question(case.record, case.pair.prompt) for case in cases]
    context = min(contender.context for contender in contenders)
    tokens = [ready_prompts(asked, contender.tokenizer) for contender in contenders]
    # Prompts that are shown may be too long for a small model; those of cases were tried.
    fit = {
        one.place
        for one, other in zip(*tokens, strict=True)
        if max(len(one.token_ids), len(other.token_ids)) < context
    }
    written = [
        _write(contender, [p for p in prompts if p.place in fit], decoding, context, role)
        for contender, prompts, role in zip(contenders, tokens, ROLES, strict=True)
    ]
    pairs = list(zip(*written, strict=True))
    n_shown = sum(place < len(DEFAULT_PROMPTS) for place in fit)
    return Answered(tuple(pairs[:n_shown]), tuple(cases), tuple(pairs[n_shown:]))


def _write(
    contender: Contender, prompts: Sequence[Prompt], decoding: Decoding, context: int, role: str
) -> list[Generated]:
    # Prompts of near-equal length together; a draw belongs to the prompt's place, not to the batch.
    by_length = sorted(prompts, key=lambda prompt: -len(prompt.token_ids))
    answers: list[Generated] = []
    for at in tqdm(range(0, len(prompts), _BATCH), desc=f"answering, {role}", unit=" batches"):
        some = by_length[at : at + _BATCH]
        answers += generate(contender.model, contender.tokenizer, some, decoding, context)
    return sorted(answers, key=lambda answer: answer.place)
