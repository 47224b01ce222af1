"""Both models' scores of the same examples, and what they say metric by metric."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from careergpt.compare.cases import Case
from careergpt.compare.comparison import Metric, PairedScore
from careergpt.compare.contenders import ROLES, Contender
from careergpt.compare.encoding import Reader
from careergpt.compare.findings import Paired
from careergpt.compare.metrics import BITS, LOSS, TITLE_GAIN, TITLE_GAIN_BITS
from careergpt.compare.scores import completion_nats
from careergpt.compare.statistics import FloatArray
from careergpt.compare.titles import TITLE, Swap, other_titles, title_pairs
from careergpt.data.tasks import Task, prompt_completion, text_of
from careergpt.data.tokens import Example


class Scores(NamedTuple):
    """A column for each model.

    Attributes:
        nats: (N, 2) of each completion.
        tokens: (N, 2) that were scored.
        n_bytes: (N,) of the completion's UTF-8 text.
    """

    nats: FloatArray
    tokens: FloatArray
    n_bytes: FloatArray

    def of(self, places: Sequence[int]) -> Scores:
        """Those at these places."""
        chosen = np.array(places, dtype=np.int64)
        return Scores(self.nats[chosen], self.tokens[chosen], self.n_bytes[chosen])


class SwapScores(NamedTuple):
    """Cases under their own title and under another's, each cut to the same tokens.

    Attributes:
        own: The cases.
        other: The same records, asked by another's title.
        nats_own: (N, 2).
        scores: Of `other`.
    """

    own: tuple[Case, ...]
    other: tuple[Case, ...]
    nats_own: FloatArray
    scores: Scores


def score(
    contenders: Sequence[Contender], cases: Sequence[Case], what: str, batch_tokens: int
) -> Scores:
    """Scores the cases under both models.

    Args:
        contenders: The two models.
        cases: What they are to foretell.
        what: What a progress bar calls them.
        batch_tokens: Tokens that are scored side by side; any number gives the same nats.
    """
    read = [[case.example(side) for case in cases] for side in range(len(ROLES))]
    nats = [
        completion_nats(contender.model, own, batch_tokens=batch_tokens, progress=f"{what}, {role}")
        for contender, own, role in zip(contenders, read, ROLES, strict=True)
    ]
    tokens = [[float(example.n_scored) for example in own] for own in read]
    n_bytes = [float(example.n_bytes) for example in read[0]]
    return Scores(np.stack(nats, 1), np.array(tokens).T, np.array(n_bytes))


def score_swaps(
    contenders: Sequence[Contender],
    cases: Sequence[Case],
    scores: Scores,
    task: Task,
    readers: Sequence[Reader],
    *,
    seed: int,
    batch_tokens: int,
) -> SwapScores | None:
    """Scores each case under another's title; None where all have one title.

    Args:
        contenders: The two models.
        cases: Records asked by the task.
        scores: Theirs.
        task: A task that asks by the title.
        readers: The models' tokenizers: one, or two that differ.
        seed: Draws the others' titles.
        batch_tokens: Tokens that are scored side by side.
    """
    others = other_titles([case.title for case in cases], seed=seed)
    swaps = [Swap(case.fields, other) for case, other in zip(cases, others, strict=False)]
    pairs = title_pairs(swaps, task, readers)
    fit = [place for place, pair in enumerate(pairs) if pair]
    own = [_asked(cases[n], task, cases[n].title, [p.true for p in pairs[n] or ()]) for n in fit]
    other = [_asked(cases[n], task, others[n], [p.swapped for p in pairs[n] or ()]) for n in fit]
    if not fit:
        return None
    nats_own = scores.nats[fit]
    # Where the question leaves less room, the completion is shorter than the one that was scored.
    cut = [n for n, place in enumerate(fit) if own[n].examples != cases[place].examples]
    if cut:
        again = score(contenders, [own[n] for n in cut], "scoring shortened texts", batch_tokens)
        nats_own[cut] = again.nats
    scored = score(contenders, other, "scoring under others' titles", batch_tokens)
    return SwapScores(tuple(own), tuple(other), nats_own, scored)


def _asked(case: Case, task: Task, title: str, examples: Sequence[Example]) -> Case:
    """The case as it is asked by this title."""
    fields = {**case.fields, TITLE: title}
    pair = prompt_completion(case.pair.task, task, fields)
    assert pair is not None
    return case._replace(fields=fields, pair=pair, examples=tuple((one,) for one in examples))


def paired_scores(cases: Sequence[Case], scores: Scores) -> tuple[PairedScore, ...]:
    """The cases with their scores."""
    columns = (scores.n_bytes.tolist(), scores.nats.tolist(), scores.tokens.tolist())
    return tuple(
        PairedScore(
            case.record,
            case.pair.task,
            case.title,
            text_of(case.pair.prompt),
            case.completion,
            int(n_bytes),
            (nats[0], nats[1]),
            (int(tokens[0]), int(tokens[1])),
        )
        for case, n_bytes, nats, tokens in zip(cases, *columns, strict=True)
    )


def loss_metrics(cases: Sequence[Case], scores: Scores, same_tokens: bool) -> list[Paired]:
    """The loss over all tasks, then by task where there are several."""
    tasks = np.array([case.pair.task for case in cases])
    titles = np.array([case.cluster for case in cases], dtype=object)
    names = list(dict.fromkeys(tasks.tolist()))
    metric = LOSS if same_tokens else BITS
    found = []
    for name in ["", *(names if len(names) > 1 else [])]:
        chosen = np.flatnonzero((tasks == name) | (name == ""))
        own = scores.of(chosen.tolist())
        found.append(_paired(metric, name, own.nats, own, titles[chosen].tolist()))
    return found


def title_metric(swaps: SwapScores, same_tokens: bool) -> Paired:
    """What the own title saves."""
    metric = TITLE_GAIN if same_tokens else TITLE_GAIN_BITS
    titles = [case.cluster for case in swaps.own]
    saved = swaps.scores.nats - swaps.nats_own
    return _paired(metric, swaps.own[0].pair.task, saved, swaps.scores, titles)


def _paired(
    metric: Metric, task: str, nats: FloatArray, scores: Scores, titles: Sequence[str]
) -> Paired:
    """Nats over tokens, or bits over bytes where the metric is in bits."""
    in_bits = metric in (BITS, TITLE_GAIN_BITS)
    values = nats / np.log(2) if in_bits else nats
    weights = scores.n_bytes if in_bits else scores.tokens[:, 0]
    return Paired(metric, task, values[:, 0], values[:, 1], weights, titles)
