"""Laws of lists: items are bare, what says nothing is missing, and separators separate."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.cleaning import clean_item, is_missing, split_list


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("  \u2022 Python, ", "Python"),
        ("- C++", "C++"),
        ("C#;", "C#"),
        (".NET", ".NET"),
        ("...teamwork.", "teamwork"),
        ("1. Node.js", "Node.js"),
        ("and SQL", "SQL"),
        ("'Excel'", "Excel"),
        ("['R'", "R"),
        ("(Python)", "Python"),
        ("AWS (EC2)", "AWS (EC2)"),
        ("Azure)", "Azure"),
        ("R&amp;D\nbudgets", "R&D budgets"),
    ],
)
def test_an_item_is_bare(raw: str, clean: str) -> None:
    assert clean_item(raw) == clean


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "-",
        "--",
        "-1",
        "n/a",
        "N/A",
        "N.A.",
        "null",
        "NaN",
        "?",
        "see job description",
        "(See Job Description)",
        "please see below",
        "SEE BELOW:",
        "not specified",
        "TBD",
        "#NAME?",
        "*see below",
        "As per detailed job description.",
        "Please refer to job description",
        "see required skills below",
        "see details",
        "Not Available",
        "see attached",
    ],
)
def test_a_placeholder_is_missing(text: str) -> None:
    assert is_missing(text)


@pytest.mark.parametrize(
    "text",
    [
        "NA",
        "None",
        "na",
        "none",
        "0",
        "1",
        "R",
        "C#",
        "Description",
        "job description writing",
        "Seeing eye dog trainer",
        "below",
        "Details matter",
        "See Job Description below: Java",
    ],
)
def test_a_word_is_not_missing(text: str) -> None:
    assert not is_missing(text)


def test_long_text_is_missing_only_where_it_holds_no_word() -> None:
    assert is_missing("- _ " * 200)
    assert not is_missing("- _ " * 200 + "welder")


@pytest.mark.parametrize(
    ("text", "separator", "items"),
    [
        ("a|b, c|d", None, ["a", "b, c", "d"]),
        ("a, b; c, d", None, ["a", "b; c", "d"]),
        ("a; b", None, ["a", "b"]),
        ("a|b,c", None, ["a", "b,c"]),
        ("one thing", None, ["one thing"]),
        ("", None, []),
        ("a,, b ,", ",", ["a", "b"]),
        ("AWS (EC2, S3), SQL", ",", ["AWS (EC2, S3)", "SQL"]),
        ("AWS (EC2, S3", ",", ["AWS (EC2", "S3"]),
        ("a > b > c", " > ", ["a", "b", "c"]),
    ],
)
def test_a_list_is_split_where_its_writer_meant(
    text: str, separator: str | None, items: list[str]
) -> None:
    assert split_list(text, separator) == items


@given(st.lists(st.text("abc ", min_size=1).filter(str.strip), min_size=2), st.sampled_from("|,;"))
def test_joined_items_are_found_again(items: list[str], separator: str) -> None:
    assert split_list(separator.join(items), None) == [item.strip() for item in items]


def test_numbers_and_bullets_before_an_item_go_however_many_there_are() -> None:
    assert clean_item("1. - and 2. • " * 5_000 + "SQL" + " -." * 5_000) == "SQL"
