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
        ranker: model, blend, baseline, or a peer's name; "" is nobody: no target is a candidate.
    """

    task: str
    ranker: str


NOBODY = ""

Ranked = dict[Row, list[RankedCase]]


def rank_cases(
    name: str,
    candidates: Candidates,
    rank: Callable[[Sequence[Fields]], Mapping[str, Logs]],
    cases: Iterable[RankingCase],
) -> Ranked:
    """Where the targets come, by ranker, in all cases and in those that change the title.

    What was asked of nobody is in rows of its own, for `joined` to deal out.
    """
    found: Ranked = {}
    every = iter(cases)
    while some := list(islice(every, _AT_ONCE)):
        placed = [(case, places_of(candidates, case)) for case in some]
        # No ranking can find what is no candidate: nobody is asked.
        for case, targets in placed:
            if not places_inside(targets):
                for task in (name, _changed(name)) if case.changes else (name,):
                    _add(found, Row(task, NOBODY), not_found(targets))
        asked = [one for one in placed if places_inside(one[1])]
        ranked = rank([case.known for case, _ in asked]) if asked else {}
        for ranker, logs in ranked.items():
            for (case, targets), own in zip(asked, logs, strict=True):
                _add(found, Row(name, ranker), ranked_case(own, targets))
                if case.changes:
                    rest = without(own, [candidates.place(str(case.current))])
                    _add(found, Row(_changed(name), ranker), ranked_case(rest, targets))
    return found


def joined(shares: Iterable[Ranked]) -> Ranked:
    """All cases, by task; those that were asked of nobody are in the rows of all that rank.

    Only all shares together tell who ranks: there may be one of which nothing was to be asked.
    """
    found: Ranked = {}
    for share in shares:
        for row, cases in share.items():
            found.setdefault(row, []).extend(cases)
    unanswerable = {row: found.pop(row) for row in list(found) if row.ranker == NOBODY}
    known = list(found)
    for row, cases in unanswerable.items():
        rankers = dict.fromkeys(r.ranker for r in known if _ranking(r) == _ranking(row))
        for ranker in rankers or ["model"]:
            found.setdefault(Row(row.task, ranker), []).extend(cases)
    return {row: found[row] for row in sorted(found, key=lambda row: row.task)}


def places_of(candidates: Candidates, case: RankingCase) -> Targets:
    """The places of the case's targets."""
    return [candidates.place(target) for target in case.targets]


def _add(found: Ranked, row: Row, case: RankedCase) -> None:
    found.setdefault(row, []).append(case)


def _ranking(row: Row) -> str:
    return row.task.partition("/")[0]


def _changed(name: str) -> str:
    return f"{name}/changed"
