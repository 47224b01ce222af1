"""Laws of cleaning: nothing is left to clean, and hostile text takes no longer than other."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.cleaning import clean_item, clean_text, is_missing, split_list
from careergpt.data.names import clean_title, key_words
from careergpt.data.splits import signature

FRAGMENTS = st.sampled_from(
    [
        "<p>",
        "</p>",
        "<li>",
        "<b",
        ">",
        "<",
        "&amp;",
        "&lt;",
        "&",
        "lt;",
        "&#8203;",
        "&nbsp;",
        "\x00",
        "\u200b",
        "\ufeff",
        "\ud800",
        "\xa0",
        "\r\n",
        "\n",
        " ",
        "\u2028",
        "’",
        "é",
        "Ã©",
        "â€™",
        "(Remote)",
        "(m/f/d)",
        " - ",
        "$50k",
        "- 12185",
        "URGENT!!!",
        "SQL",
        "DEVELOPER",
        "(",
        ")",
        "555-010-0199",
        "ann@example.com",
        "@",
        "+",
        "#",
        "C++",
        ".NET",
        "1.",
        "and ",
        "[",
        "]",
        "|",
        "<script>",
        "</script>",
        "<!--",
        "-->",
        "2019-2020",
        "Job ID 1234",
        "Hiring now",
        "&copy;",
    ]
)
MESSY = st.lists(FRAGMENTS | st.text(max_size=8), max_size=12).map("".join)


@given(MESSY)
def test_cleaning_twice_changes_nothing(text: str) -> None:
    for clean in (clean_text, clean_title, clean_item):
        assert clean(clean(text)) == clean(text)


@given(MESSY)
def test_clean_text_can_be_written_as_utf_8_and_has_no_invisible_characters(text: str) -> None:
    cleaned = clean_text(text)
    cleaned.encode("utf-8")
    assert cleaned.replace("\n", "").isprintable() or not cleaned.isascii()
    assert "\n\n\n" not in cleaned
    assert "  " not in cleaned
    assert cleaned == cleaned.strip()


@given(MESSY)
def test_titles_and_items_are_one_line(text: str) -> None:
    assert len(clean_title(text).splitlines()) <= 1
    assert len(clean_item(text).splitlines()) <= 1


UNITS = [
    *("<", "<p ", "<!--", "<script>", "&", "(", ")", "a@", "- ", "555-", "+1 ", "\n ", "$1,"),
    *("1. ", "and ", "- 1. ", "Ã", "a.", "'"),
]
HOSTILE = [
    *(unit * (100_000 // len(unit)) for unit in UNITS),
    "&" + "amp;" * 25_000 + "lt;",
    "&#38;" + "#38;" * 25_000,
    "&" + "ampamp;" * 14_000,
    "<b" * 33_000 + ">" * 33_000,
    "<!-" * 25_000 + "-->" * 8_000,
    "&#38" * 25_000 + ";" * 25_000,
    "(555) 010-0199" * 3_000,
    "x" + "-" * 100_000 + "x",
    "x" + " ." * 50_000 + "x",
]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: f"{text[:12]}…{text[-4:]}")
def test_hostile_text_takes_linear_time(text: str) -> None:
    start = time.process_time()
    clean_text(text), clean_title(text), clean_item(text), split_list(text, None)
    clean_title(text[:300]), is_missing(text), signature(key_words(text))
    assert time.process_time() - start < 10  # A quadratic step takes minutes.
