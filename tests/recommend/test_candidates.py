"""Laws of the candidates."""

import json
import random
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.names import title_key
from careergpt.errors import InputError
from careergpt.recommend import candidates
from careergpt.recommend.candidates import LONGEST, Candidates

HOSTILE = ["", "   ", "🚀", "🚀 🚀", "---", "\u200b", "\x00", "C++", "日本 語", "_", "a" * 10_000]
names = st.sampled_from(["Nurse", "nurse", "NURSE.", "Welder", "welder!", "C#", "C++", "", "🚀"])
records = st.lists(st.lists(names, max_size=4), max_size=20)


def test_names_without_words_are_told_apart_by_their_characters() -> None:
    assert len({title_key(name) for name in ("🚀", "---", "+++", "護!", "")}) == 5
    assert title_key("🚀 🚀") == title_key(" 🚀🚀")


def by_hand(records: list[list[str]], min_count: int) -> dict[str, int]:
    """How many records have each key that enough of them have."""
    keys = {title_key(name) for record in records for name in record} - {""}
    having = {key: sum(key in map(title_key, record) for record in records) for key in keys}
    return {key: count for key, count in having.items() if count >= min_count}


@given(records, st.integers(1, 4))
def test_candidates_are_what_enough_records_name(records: list[list[str]], n: int) -> None:
    found = Candidates.of(records, n)
    counted = dict(zip(map(title_key, found.names), found.counts, strict=True))
    assert counted == by_hand(records, n)
    assert list(found.counts) == sorted(found.counts, reverse=True)


@given(records, st.randoms())
def test_candidates_do_not_hang_on_the_order_of_records(
    records: list[list[str]], chance: random.Random
) -> None:
    shuffled = chance.sample(records, len(records))
    assert Candidates.of(shuffled, 2) == Candidates.of(records, 2)


def test_one_career_makes_no_candidate_however_often_it_names_a_title() -> None:
    assert Candidates.of([["Chief Dragon"] * 9, ["Nurse"]], 2).names == ()


def test_the_most_common_spelling_stands_for_all() -> None:
    spelled = [["SQL"], ["sql"], ["SQL"], ["Sql."]]
    assert Candidates.of(spelled, 4) == Candidates(("SQL",), (4,))
    nurses = [["Sr. Nurse"], ["Senior nurse"], ["SR NURSE"], ["Senior nurse"], ["Junior nurse"]]
    assert Candidates.of(nurses, 1) == Candidates(("Senior nurse", "Junior nurse"), (4, 1))


def test_every_candidate_is_found_by_any_spelling() -> None:
    found = Candidates.of([["Registered nurse", "C#"], ["C#"]], 1)
    assert [found.place(name) for name in ("c#", "registered NURSE", "nurse")] == [0, 1, None]


@pytest.mark.parametrize("name", HOSTILE)
def test_no_name_breaks_the_search(name: str) -> None:
    assert Candidates(("Nurse",), (1,)).place(name) is None
    alone = Candidates.of([[name]], 1)
    assert alone.place(name) == (0 if name.strip() and len(name) < 1000 else None)


def test_a_description_in_the_place_of_a_name_is_no_candidate() -> None:
    found = Candidates.of([["n" * length] for length in (LONGEST, LONGEST + 1)], 1)
    assert found.names == ("n" * LONGEST,)


@given(records)
def test_candidates_survive_json(records: list[list[str]]) -> None:
    found = Candidates.of(records, 1)
    assert Candidates.from_json(json.loads(json.dumps(asdict(found)))) == found


def test_in_a_users_list_the_first_spelling_wins() -> None:
    listed = Candidates.from_lines([" Nurse \n", "", "welder", "NURSE", "Welder"])
    assert listed == Candidates(("Nurse", "welder"), (0, 0))


@pytest.mark.parametrize("lines", [[], ["", " \t\n"]])
def test_an_empty_list_is_refused(lines: list[str]) -> None:
    with pytest.raises(InputError, match="write one a line"):
        Candidates.from_lines(lines)


NO_NAMES = ["", "---\n", "\x1b[31mred", "a\nerror: forged", "a" * (LONGEST + 1), "\ud800", 5, None]


@pytest.mark.parametrize("name", NO_NAMES)
def test_an_edited_file_with_what_is_no_name_is_refused(name: object) -> None:
    with pytest.raises((InputError, TypeError)):
        Candidates.from_json({"names": ["Nurse", name], "counts": [5, 5]})


@pytest.mark.parametrize("count", [-1, 0.5, float("nan"), 10**400, "5", None])
def test_an_edited_file_with_what_is_no_count_is_refused(count: object) -> None:
    with pytest.raises(InputError, match="whole numbers"):
        Candidates.from_json({"names": ["Nurse"], "counts": [count]})


def test_more_candidates_than_can_be_ranked_are_refused_and_never_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(candidates, "MOST", 3)
    with pytest.raises(InputError, match="4 candidates: at most 3"):
        Candidates.from_json({"names": list("abcd"), "counts": [1] * 4})
    assert Candidates.of([list("abcd"), list("bd"), list("d")], 1).names == ("d", "b", "a")


def test_an_edited_file_with_two_equal_names_is_refused() -> None:
    with pytest.raises(InputError, match="keep one of them"):
        Candidates.from_json({"names": ["C#", "c#"], "counts": [5, 5]})
    # Of before seniority was spelled in one way: the first stands for both.
    old = Candidates.from_json({"names": ["Sr. Nurse", "Senior Nurse"], "counts": [5, 5]})
    assert (old.place("senior nurse"), len(old)) == (0, 2)
    with pytest.raises(InputError, match="2 candidates have 1 counts"):
        Candidates.from_json({"names": ["C#", "C"], "counts": [5]})
