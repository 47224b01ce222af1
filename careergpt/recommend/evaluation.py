"""Rankings measured: every ranker on the same cases."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import NamedTuple

from careergpt.data.tasks import Fields
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.cases import RankingCase
from careergpt.recommend.ranking import Logs
from careergpt.recommend.ranks import (
    RankedCase,
    Targets,
    not_found,
    places_inside,
    ranked_case,
    without,
)

# Queries that are ranked at once: their (queries, candidates) tables stay in memory.
_AT_ONCE = 256


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
    rank: Callable[[Sequence[Fields]], Mapping[str, Logs]],
    cases: Iterable[RankingCase],
) -> Ranked:
    """Where the targets come, by ranker, in all cases and in those that change the title."""
    found: Ranked = {}
    unanswerable: list[tuple[RankingCase, Targets]] = []
    every = iter(cases)
    while some := list(islice(every, _AT_ONCE)):
        placed = [(case, places_of(candidates, case)) for case in some]
        # No ranking can find what is no candidate: nobody is asked.
        unanswerable += [one for one in placed if not places_inside(one[1])]
        asked = [one for one in placed if places_inside(one[1])]
        ranked = rank([case.known for case, _ in asked]) if asked else {}
        for ranker, logs in ranked.items():
            for (case, targets), own in zip(asked, logs, strict=True):
                _add(found, Row(name, ranker), ranked_case(own, targets))
                if case.changes:
                    rest = without(own, [candidates.place(str(case.current))])
                    _add(found, Row(_changed(name), ranker), ranked_case(rest, targets))
    for ranker in dict.fromkeys(row.ranker for row in found) or ["model"]:
        for case, targets in unanswerable:
            for task in (name, _changed(name)) if case.changes else (name,):
                _add(found, Row(task, ranker), not_found(targets))
    return found


def places_of(candidates: Candidates, case: RankingCase) -> Targets:
    """The places of the case's targets."""
    return [candidates.place(target) for target in case.targets]


def _add(found: Ranked, row: Row, case: RankedCase) -> None:
    found.setdefault(row, []).append(case)


def _changed(name: str) -> str:
    return f"{name}/changed"
