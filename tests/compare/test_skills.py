"""Laws of finding skills: whole names only, whatever the case, the space and the punctuation."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare.overlap import SkillFinder

KNOWN = [
    "Java", "JavaScript", "R", "C", "C++", "C#", "net", ".NET", "js", "Node.js", "SQL",
    "Lesson planning", "project management", "Management", "R&D",
]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("We look for JavaScript.", {"JavaScript"}),
        ("java or JAVASCRIPT", {"Java", "JavaScript"}),
        ("working for her", set()),
        ("R, for statistics", {"R"}),
        ("C++/C#, on Linux", {"C++", "C#"}),
        ("C, C++.", {"C", "C++"}),
        ("the .NET framework (.net)", {".NET"}),
        ("a net salary", {"net"}),
        ("ASP.NET, vue.js", set()),
        ("Node.js.", {"Node.js"}),
        ("They know SQL.", {"SQL"}),
        ("...SQL...net", {"SQL", "net"}),
        ("lesson-planning", {"Lesson planning"}),
        ("LESSON\n  planning", {"Lesson planning"}),
        ("lesson and planning", set()),
        ("project management", {"project management", "Management"}),
        ("management", {"Management"}),
        ("a project", set()),
        ("R & D", {"R", "R&D"}),
        ("", set()),
    ],
)
def test_a_text_names_whole_skills(text: str, names: set[str]) -> None:
    assert SkillFinder(KNOWN).find(text) == names


def test_a_skill_is_called_as_it_was_first_spelled() -> None:
    finder = SkillFinder(["SQL", "sql.", "Sql"])
    assert len(finder) == 1
    assert finder.find("sql") == {"SQL"}


def test_what_has_no_word_is_never_found() -> None:
    finder = SkillFinder(["+++", "", "…"])
    assert len(finder) == 0
    assert finder.find("+++ and …") == frozenset()


def by_hand(known: list[str], text: str) -> set[str]:
    """One search through the whole text for each skill."""
    spaced = re.compile(r"[ ,\n]+")
    found = f" {spaced.sub(' ', text.casefold())} "
    return {name for name in known if f" {spaced.sub(' ', name.casefold()).strip()} " in found}


words = st.lists(st.sampled_from(["a", "b", "B", "c++", "C", ".net", "x.y", "é"]), min_size=1)
texts = st.tuples(words, st.sampled_from([" ", ", ", "\n"])).map(
    lambda drawn: drawn[1].join(drawn[0])
)


@given(st.lists(texts, unique_by=str.casefold), texts)
def test_finding_is_searching_for_each_skill_by_itself(known: list[str], text: str) -> None:
    found = SkillFinder(known).find(text)
    alike = {" ".join(re.split(r"[ ,\n]+", name.casefold())) for name in found}
    expected = {" ".join(re.split(r"[ ,\n]+", n.casefold())) for n in by_hand(known, text)}
    assert alike == expected


@given(st.lists(st.text()), st.text())
def test_any_text_can_be_searched(known: list[str], text: str) -> None:
    finder = SkillFinder(known)
    assert finder.find(text) <= set(known)
    for name in known:
        assert len(SkillFinder([name]).find(name)) == len(SkillFinder([name]))


def test_each_of_many_skills_is_found_among_all() -> None:
    known = [f"skill {n // 100} of {n}" for n in range(10_000)]
    text = " ".join(f"skill {n // 100} of {n}" for n in range(0, 10_000, 40))
    assert len(text.split()) == 1000
    assert SkillFinder(known).find(text) == {known[n] for n in range(0, 10_000, 40)}


def test_a_record_names_the_skills_of_its_list_and_of_its_description() -> None:
    finder = SkillFinder(["SQL", "Charts", "SQL charts"])
    assert finder.find_in_record({"skills": ("sql", "Excel")}) == {"SQL"}
    assert finder.find_in_record({"job_description": "Draws charts."}) == {"Charts"}
    # An item's end is a skill's end.
    assert finder.find_in_record({"skills": ("SQL", "charts")}) == {"SQL", "Charts"}
    assert finder.find_in_record({"position_title": "SQL"}) == frozenset()
