"""Laws of names: one form for titles and skills, which case, white space and punctuation spare."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.compare.overlap import SkillFinder
from careergpt.compare.unseen import other_titles
from careergpt.data.names import distinct_names, key_words, plain_key, title_key
from careergpt.recommend.candidates import Candidates

EQUAL = [
    ("Sr. Engineer", "Sr Engineer"),
    ("data-scientist!", " Data   Scientist "),
    ("Data_Scientist", "data scientist"),
    ("Node.js", "NodeJS"),
    ("ASP.NET", "asp.net"),
    ("U.S. history", "US history"),
    ("Ph.D.", "PhD"),
    ("I.T. Manager", "IT manager"),
    ("driver's license", "Drivers License"),
    ("C / C++", "c/c++"),
    ("CI/CD", "CI-CD"),
    ("R & D", "R&D"),
    ("(C#)", "c#,"),
    ("Caf\u00e9 owner", "Cafe\u0301 owner"),
    ("STRASSE", "Straße"),
]
DIFFERENT = [
    ("C", "C++", "C#", "C/C++", "F#", "F", "R", ".NET", "Node.js", "Node", "js", "A+", "A"),
    ("NET", ".NET", "ASP.NET", "C#.NET"),
    ("C", "C\u266f"),
    ("Python 3.1", "Python 31", "Python 3", "Python 3 1"),
    ("Engineer I", "Engineer II"),
    ("I/O", "IO", "IT"),
    ("Senior Nurse", "Junior Nurse", "Lead Nurse", "Nurse"),
    ("दिन", "दीन"),  # Hindi words that differ by a vowel sign alone.
    ("กา", "กี"),
]


@pytest.mark.parametrize("ending", ["", " Developer"])
@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_case_white_space_and_punctuation_make_no_other_name(
    one: str, other: str, ending: str
) -> None:
    assert title_key(one + ending) == title_key(other + ending)
    assert SkillFinder([one + ending]).find(f"({other}{ending})") == {one + ending}


@pytest.mark.parametrize("ending", ["", " Developer"])
@pytest.mark.parametrize("names", DIFFERENT)
def test_marks_and_signs_that_make_a_name_tell_it_apart(
    names: tuple[str, ...], ending: str
) -> None:
    assert len({title_key(name + ending) for name in names}) == len(names)
    assert len(Candidates.from_lines(name + ending for name in names)) == len(names)
    others = other_titles([name + ending for name in names], seed=0)
    assert all(title_key(a + ending) != title_key(b) for a, b in zip(names, others, strict=True))


def test_seniority_is_spelled_in_one_way_and_old_splits_stay() -> None:
    pairs = [("Sr. Nurse", "SENIOR nurse"), ("Nurse, Jr", "nurse junior")]
    for one, other in pairs:
        assert title_key(one) == title_key(other)
        assert plain_key(one) != plain_key(other)


@given(st.text())
def test_a_name_is_called_as_its_form(name: str) -> None:
    words = key_words(name)
    assert key_words(" ".join(words)) == words
    assert title_key(title_key(name)) == title_key(name)


def test_postings_of_one_text_are_told_apart_by_their_titles(write_table, prepare) -> None:
    languages = ["C", "C++", "C#", "C/C++", "F#", "R", ".NET", "Node.js"]
    text = "We look for someone who writes and reviews code all day in a small team."
    rows = [{"position_title": f"{name} Developer", "job_description": text} for name in languages]
    same = {"position_title": "c# developer!", "job_description": text}
    counts = prepare(write_table([*rows, same])).counts
    assert (counts["kept"], counts["dropped"]) == (8, {"exact duplicate": 1})


def test_postings_of_one_title_are_told_apart_by_the_marks_in_their_texts(
    write_table, prepare
) -> None:
    rows = [
        {"position_title": "Developer", "job_description": f"You know {name} and nothing else."}
        for name in ("C", "C++", "C#")
    ]
    assert prepare(write_table(rows)).counts["kept"] == 3


def test_skills_that_differ_by_a_mark_stay_in_one_list(write_table, prepare) -> None:
    rows = [
        {"position_title": "Developer", "skills": "C; C++; C#; c++; Sr. work; sr work; .NET; net"}
    ]
    (row,) = prepare(write_table(rows)).rows
    assert row["skills"] == ["C", "C++", "C#", "Sr. work", ".NET", "net"]


def test_of_spellings_of_one_name_the_first_stays() -> None:
    names = ["SQL", "C++", "sql.", "C", "c++", "C#", "Sr. work", "sr work"]
    assert distinct_names(names) == ("SQL", "C++", "C", "C#", "Sr. work")
