"""What can be measured of written answers: repetition, skills, likeness, relevance, copying."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from careergpt.compare.answers import Answered
from careergpt.compare.cases import Case
from careergpt.compare.comparison import Answer, Bounds, PairedAnswer
from careergpt.compare.contenders import ROLES
from careergpt.compare.copying import longest_copied
from careergpt.compare.findings import Paired
from careergpt.compare.metrics import (
    ANSWERS,
    COPIED_50,
    COPIED_RUN,
    DISTINCT_1,
    DISTINCT_2,
    ENDED,
    LENGTH,
    REP_4,
    ROUGE_L,
    SKILLS_F1,
    SKILLS_PRECISION,
    SKILLS_RECALL,
)
from careergpt.compare.overlap import rouge_l, set_overlap
from careergpt.compare.relevance import DescriptionIndex, relevance, relevance_bounds
from careergpt.compare.skills import SkillFinder
from careergpt.compare.trigram import IntArray
from careergpt.data.names import title_key
from careergpt.data.tokens import encode_texts
from careergpt.generation.decoding import Generated, distinct, repetition

# A run of so many tokens that no two writers would hit on it.
_COPIED = 50
# The runs that rep-4 counts.
_REPEATED = 4


class Yardsticks(NamedTuple):
    """What answers are measured against.

    Attributes:
        tokenizer: Counts the tokens of both models' texts; None: theirs are the same.
        descriptions: All unseen ones.
        places: Where in them each record's own is.
        skills: Finds the known ones.
        training: The token ids of every training text; None: there are none.
    """

    tokenizer: PreTrainedTokenizerFast | None
    descriptions: DescriptionIndex
    places: Mapping[str, int]
    skills: SkillFinder
    training: Iterable[IntArray] | None


def measured(answered: Answered, against: Yardsticks) -> tuple[PairedAnswer, ...]:
    """The cases' answers with their measures."""
    n = len(answered.cases)
    written = [pair[side] for side in range(len(ROLES)) for pair in answered.answers]
    answers = _measure(answered.cases * len(ROLES), written, against)
    return tuple(
        PairedAnswer(case.record, case.title, one.prompt, case.completion, *both)
        for case, one, *both in zip(answered.cases, written, answers[:n], answers[n:], strict=False)
    )


def real_bounds(answered: Answered, against: Yardsticks, seed: int) -> dict[str, Bounds]:
    """What the real descriptions reach on the same questions."""
    places = [against.places[case.record] for case in answered.cases]
    return relevance_bounds(against.descriptions, places, seed=seed)


def shown(answered: Answered) -> tuple[PairedAnswer, ...]:
    """The answers to the prompts that are nobody's."""
    return tuple(
        PairedAnswer("", "", one.prompt, "", _answer(one, {}), _answer(other, {}))
        for one, other in answered.shown
    )


def answer_metrics(answers: Sequence[PairedAnswer]) -> list[Paired]:
    """Each metric over the prompts to which both answers have it."""
    found = []
    for metric in ANSWERS:
        having = [pair for pair in answers if all(metric.name in one.measures for one in pair[-2:])]
        if having:
            values = np.array([[one.measures[metric.name] for one in p[-2:]] for p in having])
            titles = [title_key(pair.title) for pair in having]
            ones = np.ones(len(having))
            found.append(Paired(metric, "", values[:, 0], values[:, 1], ones, titles))
    return found


def described(
    answered: Answered, tokenizer: PreTrainedTokenizerFast | None
) -> dict[str, tuple[float, float]]:
    """How various each model's answers are together, in the same number of tokens a prompt."""
    texts = [_tokens([pair[side] for pair in answered.answers], tokenizer) for side in (0, 1)]
    # More text repeats more: the longer answer to a prompt is cut to the shorter's length.
    cut = [[some[: min(map(len, pair))] for some in pair] for pair in zip(*texts, strict=True)]
    sides = list(zip(*cut, strict=True))
    return {
        metric.name: (distinct(sides[0], n), distinct(sides[1], n))
        for metric, n in ((DISTINCT_1, 1), (DISTINCT_2, 2))
    }


def _tokens(
    written: Sequence[Generated], tokenizer: PreTrainedTokenizerFast | None
) -> list[list[int]]:
    """The answers' tokens without the end: as written, or as one tokenizer reads all of them."""
    if tokenizer is None:
        return [[*one.token_ids[: one.n_tokens - (one.finish_reason == "end")]] for one in written]
    return encode_texts(tokenizer, [f" {one.text}" for one in written])


def _measure(
    cases: Sequence[Case], written: Sequence[Generated], against: Yardsticks
) -> list[Answer]:
    """The answers, each to the case in its place, with their measures."""
    texts = [answer.text for answer in written]
    tokens = _tokens(written, against.tokenizer)
    titles, groups = [case.title for case in cases], [[case.group] for case in cases]
    ranks = against.descriptions.ranks(texts, titles, groups)
    columns = [
        [_plain(*each) for each in zip(written, tokens, strict=True)],
        [{ROUGE_L.name: rouge_l(t, c.completion)} for t, c in _likened(texts, cases)],
        [relevance(rank) if rank else {} for rank in ranks],
        [_skills(*each, against.skills) for each in zip(cases, texts, strict=True)],
    ]
    if against.training is not None:
        columns.append([_copied(run) for run in longest_copied(tokens, against.training)])
    rows = zip(*columns, strict=True)
    return [
        _answer(one, {name: value for part in row for name, value in part.items()})
        for one, row in zip(written, rows, strict=True)
    ]


def _likened(texts: Sequence[str], cases: Sequence[Case]) -> Iterator[tuple[str, Case]]:
    pairs = list(zip(texts, cases, strict=True))
    yield from tqdm(pairs, desc="likening answers to real texts", unit=" answers")


def _answer(written: Generated, measures: dict[str, float]) -> Answer:
    return Answer(written.text, written.finish_reason, measures)


def _plain(written: Generated, tokens: Sequence[int]) -> dict[str, float]:
    measures = {
        LENGTH.name: float(len(tokens)),
        ENDED.name: float(written.finish_reason == "end"),
    }
    # A text of three tokens cannot repeat four: that is no merit.
    return measures | ({REP_4.name: repetition(tokens)} if len(tokens) >= _REPEATED else {})


def _skills(case: Case, text: str, finder: SkillFinder) -> dict[str, float]:
    """Nothing where the record names no known skill: there is nothing to find."""
    wanted = finder.find_in_record(case.fields) | finder.find(case.completion)
    if not wanted:
        return {}
    precision, recall, f1 = set_overlap(finder.find(text), wanted)
    return {SKILLS_PRECISION.name: precision, SKILLS_RECALL.name: recall, SKILLS_F1.name: f1}


def _copied(run: int) -> dict[str, float]:
    return {COPIED_RUN.name: float(run), COPIED_50.name: float(run >= _COPIED)}
