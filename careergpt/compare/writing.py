"""What both models write, measured against unseen descriptions, known skills and training texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from tqdm import tqdm
from transformers import PreTrainedTokenizerFast

from careergpt.compare.answers import answer, draw_prompts
from careergpt.compare.cases import Asked, Case, asked_tasks
from careergpt.compare.comparison import Bounds, PairedAnswer
from careergpt.compare.contenders import Contender
from careergpt.compare.effort import Effort
from careergpt.compare.measures import Yardsticks, described, measured, real_bounds, shown
from careergpt.compare.relevance import DescriptionIndex
from careergpt.compare.skills import SkillFinder
from careergpt.compare.titles import title_task
from careergpt.data.dataset import CareerDataset
from careergpt.data.splits import TRAIN
from careergpt.data.tasks import text_of
from careergpt.data.text_files import read_lines


class WrittenAnswers(NamedTuple):
    """What both models wrote: to the prompts that everyone is shown, and to records' own."""

    shown: tuple[PairedAnswer, ...]
    answers: tuple[PairedAnswer, ...]
    described: dict[str, tuple[float, float]]
    bounds: dict[str, Bounds]


def yardsticks(
    asked: Sequence[Asked],
    data: CareerDataset,
    effort: Effort,
    tokenizer: PreTrainedTokenizerFast | None,
    same_table: bool,
) -> Yardsticks | None:
    """What answers to the title's task are measured against; None where none are asked for.

    Args:
        asked: What all unseen records are asked.
        data: Where they are from.
        effort: How much is compared.
        tokenizer: Counts the tokens of texts; None: both models' tokens are the same.
        same_table: Whether the data's training split is what the model was trained on.
    """
    listed = [line for _, line in read_lines(effort.skills)] if effort.skills else None
    name, _ = title_task(asked_tasks(asked, data)) or ("", None)
    described_by = [one for one in asked if one.pair.task == name and effort.answers]
    if not described_by:
        return None
    descriptions = DescriptionIndex(
        [text_of(one.pair.completion) for one in described_by],
        [one.title for one in described_by],
        [one.group for one in described_by],
        effort.embedder,
    )
    return Yardsticks(
        tokenizer,
        descriptions,
        {one.record: place for place, one in enumerate(described_by)},
        SkillFinder(listed or data.known_skills()),
        _training(data) if same_table else None,
    )


def write_answers(
    contenders: tuple[Contender, Contender],
    titled: Sequence[Case],
    against: Yardsticks | None,
    effort: Effort,
) -> WrittenAnswers:
    """Lets both models write, and measures what they wrote.

    Args:
        contenders: The two models.
        titled: Records that are asked by their title.
        against: What the answers are measured against; None: only what is shown is written.
        effort: How much is compared.
    """
    prompts = draw_prompts(titled, effort.answers, effort.seed) if against else []
    answered = answer(contenders, prompts, effort.decoding)
    if against is None or not prompts:
        return WrittenAnswers(shown(answered), (), {}, {})
    return WrittenAnswers(
        shown(answered),
        measured(answered, against),
        described(answered, against.tokenizer),
        real_bounds(answered, against, effort.seed),
    )


def _training(data: CareerDataset) -> Iterator[np.ndarray]:
    """The tokens of every training text, as far as they are read."""
    members = data.members(TRAIN).tolist()
    for example in tqdm(members, desc="looking for copies", unit=" texts"):
        yield data.store.token_ids(example)
