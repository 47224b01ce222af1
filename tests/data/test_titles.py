"""Laws of titles: one line, dashes between words, no bracket that opens or closes nothing."""

import pytest

from careergpt.data.names import clean_title


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("Systems Administrator (", "Systems Administrator"),
        ("Systems Engineer)", "Systems Engineer"),
        ("Engineer \u2013 Data", "Engineer - Data"),
        ("Engineer- Data", "Engineer - Data"),
    ],
)
def test_a_title_is_one_tidy_line(raw: str, clean: str) -> None:
    assert clean_title(raw) == clean


def test_a_description_in_the_column_of_titles_is_not_mauled() -> None:
    text = "We look for a nurse (remote) who cares - day and night. " * 6
    assert clean_title(text) == text.strip()
