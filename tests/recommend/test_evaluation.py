"""Laws of the questions that unseen records ask, and of where the answers come."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from careergpt.data.names import title_key
from careergpt.data.tasks import DEFAULT_TASKS, Fields, Task
from careergpt.recommend.candidates import Candidates
from careergpt.recommend.evaluation import (
    Query,
    evaluate,
    joined,
    outcome_of,
    queries_of,
    ranking_fields,
    ranking_tasks,
    sequences_of,
    without,
)

TITLES = Candidates(("A", "B", "C", "D"), (4, 3, 2, 1))
FIRST = {"A": [0.4, 0.3, 0.2, 0.1], "B": [0.1, 0.6, 0.2, 0.1], "odd": [0.25, 0.1, 0.05, 0.6]}
spellings = st.sampled_from(["A", "a!", "B", " b", "C", "odd", "ODD.", "other"])
careers = st.lists(spellings, max_size=4).map(lambda titles: {"titles": tuple(titles)})


def by_last(queries: Sequence[Fields]) -> NDArray[np.float64]:
    """A ranking by the career's last title."""
    lasts = (query["titles"][-1].strip(" !.").upper() for query in queries)
    return np.log([FIRST.get(last, FIRST["odd"]) for last in lasts])


def alone(queries: Sequence[Fields]) -> dict[str, NDArray[np.float64]]:
    """One that ranks."""
    return {"m": by_last(queries)}


def two(queries: Sequence[Fields]) -> dict[str, NDArray[np.float64]]:
    """Two that never agree."""
    return {"one": by_last(queries), "other": by_last(queries)[:, ::-1]}


def move(*career: str) -> Query:
    (case,) = queries_of("path", DEFAULT_TASKS["path"], [{"titles": career}])
    return case


@given(st.lists(careers, max_size=6))
def test_a_career_asks_for_its_last_move_and_shows_all_before(
    records: list[dict[str, Any]],
) -> None:
    found = list(queries_of("path", DEFAULT_TASKS["path"], records))
    told = [record["titles"] for record in records if len(record["titles"]) > 1]
    assert [(*case.known["titles"], *case.targets) for case in found] == told
    assert [case.current for case in found] == [career[-2] for career in told]


def test_a_career_of_one_title_moves_nowhere_whatever_the_template_asks() -> None:
    task = Task("Career:", "{titles: > }")
    records = [{"titles": ("A",)}, {"titles": ()}, {}, {"titles": ("A", "B")}]
    assert list(queries_of("path", task, records)) == [Query({"titles": ("A",)}, ("B",), "A")]


def test_postings_ask_for_their_position_and_for_all_their_skills() -> None:
    posting = {"position_title": "A", "skills": ("x", "y"), "titles": ("B", "C")}
    records = [posting, {"position_title": "A"}, {"skills": ("x",)}, {**posting, "skills": ()}]
    assert list(queries_of("position", DEFAULT_TASKS["position"], records)) == [
        Query({"skills": ("x", "y")}, ("A",), None)
    ]
    assert list(queries_of("skills", DEFAULT_TASKS["skills"], records)) == [
        Query({"position_title": "A"}, ("x", "y"), None)
    ]


def test_only_tasks_that_weigh_something_are_ranked_and_no_description_is_read() -> None:
    assert list(ranking_tasks(DEFAULT_TASKS)) == ["path", "position", "skills"]
    assert set(ranking_fields(DEFAULT_TASKS)) == {"titles", "position_title", "skills"}
    idle = {**DEFAULT_TASKS, "path": Task("Career: {titles[0]}", "{titles[1:]}", weight=0)}
    assert list(ranking_tasks(idle)) == ["position", "skills"]
    asks = {"skills": Task("{position_title} at {company_name}?", "{skills}")}
    assert set(ranking_fields(asks)) == {"titles", "position_title", "skills", "company_name"}


@pytest.mark.parametrize(
    ("career", "changes"),
    [(("A", "B"), True), (("A", "a!"), False), (("B", "A", "A"), False), (("A", "B", "A"), True)],
)
def test_a_title_spelled_otherwise_is_no_change(career: tuple[str, ...], changes: bool) -> None:
    assert move(*career).changes is changes


def test_where_there_is_no_career_nothing_changes() -> None:
    assert not Query({"skills": ("x",)}, ("A",), None).changes


@given(st.lists(careers, max_size=8))
def test_each_ranker_answers_each_case(records: list[dict[str, Any]]) -> None:
    cases = list(queries_of("path", DEFAULT_TASKS["path"], records))
    found = joined([evaluate("path", TITLES, two, cases)])
    expected: dict[tuple[str, str], list[Any]] = {}
    for case in cases:
        targets = [TITLES.place(target) for target in case.targets]
        for name, logs in two([case.known]).items():
            expected.setdefault(("path", name), []).append(outcome_of(logs[0], targets))
            if case.changes:
                rest = without(logs[0], [TITLES.place(case.current or "")])
                row = ("path/changed", name)
                expected.setdefault(row, []).append(outcome_of(rest, targets))
    if any(TITLES.place(case.targets[0]) is not None for case in cases):
        assert {row: sorted(some) for row, some in found.items()} == {
            row: sorted(some) for row, some in expected.items()
        }
    else:
        # Nobody is asked, and so nobody is known but the model.
        of_one = {task: some for (task, by), some in expected.items() if by == "one"}
        assert found == {(task, "model"): some for task, some in of_one.items()}


def test_what_no_candidate_answers_is_counted_and_asked_of_nobody() -> None:
    asked: list[Fields] = []

    def noting(queries: Sequence[Fields]) -> dict[str, NDArray[np.float64]]:
        asked.extend(queries)
        return two(queries)

    cases = [move("A", "x"), move("A", "B"), move("x", "x!")]
    found = joined([evaluate("path", TITLES, noting, cases)])
    assert asked == [{"titles": ("A",)}]
    for name in ("one", "other"):
        assert [case.inside for case in found["path", name]] == [1, 0, 0]
        assert [case.outside for case in found["path", name]] == [0, 1, 1]
        assert [case.inside for case in found["path/changed", name]] == [1, 0]
    assert len(found) == 4


def test_the_current_title_is_no_candidate_among_moves_that_change_it() -> None:
    found = evaluate("path", TITLES, alone, [move("x", "A", "C"), move("B", "b")])
    assert [case.rank for case in found["path", "m"]] == [3, 1]
    (changed,) = found["path/changed", "m"]
    assert changed.rank == 2
    assert changed.nats == pytest.approx(-math.log(0.2 / 0.6))


def test_a_current_title_that_is_no_candidate_is_excluded_from_nothing() -> None:
    found = evaluate("path", TITLES, alone, [move("A", "odd", "B")])
    assert found["path/changed", "m"] == found["path", "m"]


@given(st.lists(careers, max_size=8), st.lists(careers, max_size=8))
def test_careers_that_training_has_and_others_are_all_careers(
    records: list[dict[str, Any]], training: list[dict[str, Any]]
) -> None:
    cases = list(queries_of("path", DEFAULT_TASKS["path"], records))
    found = joined([evaluate("path", TITLES, alone, cases, sequences_of(training))])
    held = [[title_key(title) for title in record["titles"]] for record in training]
    was = [[*map(title_key, (*case.known["titles"], *case.targets))] in held for case in cases]
    of_kind = {True: "path/seen", False: "path/unseen"}
    for kind, task in of_kind.items():
        rows = {by: some for (name, by), some in found.items() if name == task}
        assert all(len(some) == was.count(kind) for some in rows.values())
        assert bool(rows) == (kind in was)
    for by in {by for name, by in found if name == "path"}:
        parts = [outcome for task in of_kind.values() for outcome in found.get((task, by), [])]
        assert sorted(parts) == sorted(found["path", by])


def test_cases_without_a_career_have_no_changes() -> None:
    cases = [Query({"titles": ("A",)}, ("B", "C"), None)]
    assert list(evaluate("skills", TITLES, alone, cases)) == [("skills", "m")]


def test_many_cases_are_ranked_a_few_at_a_time_and_none_twice() -> None:
    asked: list[int] = []

    def counting(queries: Sequence[Fields]) -> dict[str, NDArray[np.float64]]:
        asked.append(len(queries))
        return alone(queries)

    cases = [move("A", "ABCD"[n % 4]) for n in range(1000)]
    found = evaluate("path", TITLES, counting, iter(cases))
    assert [case.rank for case in found["path", "m"]] == [1, 2, 3, 4] * 250
    assert len(found["path/changed", "m"]) == 750
    assert sum(asked) == 1000
    assert 1 < len(asked) < 1000


def test_without_cases_there_are_no_rows() -> None:
    assert evaluate("path", TITLES, alone, []) == {}


@given(st.lists(careers, max_size=8), st.integers(2, 4))
def test_how_cases_are_dealt_to_ranks_decides_no_row(
    records: list[dict[str, Any]], ranks: int
) -> None:
    cases = list(queries_of("path", DEFAULT_TASKS["path"], records))
    shares = [cases[rank::ranks] for rank in range(ranks)]
    one, several = (
        joined(evaluate("path", TITLES, two, share) for share in some) for some in ([cases], shares)
    )
    assert list(one) == list(several)
    assert {row: sorted(some) for row, some in one.items()} == {
        row: sorted(some) for row, some in several.items()
    }
