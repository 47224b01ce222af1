"""Rankings measured: every ranker on the same cases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import NamedTuple

from careergpt.recommend.candidates import Candidates
from careergpt.recommend.cases import RankingCase
from careergpt.recommend.peers import Ranker
from careergpt.recommend.rankings import RankedCase, ranked_case, without

# Queries that are ranked at once: their (queries, candidates) tables stay in memory.
_AT_ONCE = 256

CHANGED = "changed"


class Row(NamedTuple):
    """Which cases, ranked by whom.

    Attributes:
        task: path, position or skills; "path/changed": moves that change the title, the current
            one being no candidate.
        ranker: model, blend, baseline, or a peer's name.
    """

    task: str
    ranker: str


Ranked = dict[Row, list[RankedCase]]


def rank_cases(
    name: str,
    candidates: Candidates,
    rankers: Mapping[str, Ranker],
    cases: Iterable[RankingCase],
) -> Ranked:
    """Where the targets come, by ranker, in all cases and in those that change the title."""
    found: Ranked = {}
    every = iter(cases)
    while some := list(islice(every, _AT_ONCE)):
        known = [case.known for case in some]
        for ranker, rank in rankers.items():
            for case, logs in zip(some, rank(known), strict=True):
                targets = [candidates.place(target) for target in case.targets]
                found.setdefault(Row(name, ranker), []).append(ranked_case(logs, targets))
                if case.current is not None and case.changes:
                    rest = without(logs, [candidates.place(case.current)])
                    row = Row(f"{name}/{CHANGED}", ranker)
                    found.setdefault(row, []).append(ranked_case(rest, targets))
    return found
