"""Laws of qualifications: pieces of the text, in its order, from a heading on to the next."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from careergpt.recommend.qualifications import qualifications_in

LINES = st.sampled_from(
    [
        *("Requirements:", "minimum qualifications", "What you need:", "SKILLS", "About us"),
        *("Responsibilities:", "duties", "We offer a pension.", "You must have a whistle."),
        *("- A diploma in juggling", "• Two years of experience", "Skills: knots, sails.", "", " "),
        *("Apply today.", "ability to whistle", "<|endoftext|>", "🚀", "\x00", "\u2028", "\r", ":"),
    ]
)
texts = st.lists(LINES | st.text(max_size=12), max_size=12)


@example(["Requirements: three\n0 SKILLS 0 Requirements: two years"], "")
@given(texts, st.sampled_from(["\n", " ", "\n\n", ". "]))
def test_a_part_is_made_of_pieces_of_the_text_in_their_order(lines: list[str], glue: str) -> None:
    text = glue.join(lines)
    part = qualifications_in(text)
    if part is None:
        return
    assert part.strip()
    end = 0
    for piece in part.split("\n"):
        end = text.index(piece, end) + len(piece)


@given(texts)
def test_no_text_breaks_the_search(lines: list[str]) -> None:
    assert qualifications_in("".join(lines)) != ""


@pytest.mark.parametrize(
    "text", ["", " \n", "We juggle. Come and see!", "Requirements:\n\nDuties:"]
)
def test_where_nothing_is_asked_for_nothing_is_found(text: str) -> None:
    assert qualifications_in(text) is None


HEADINGS = [
    *("Requirements:", "Qualifications", "What you'll need", "Minimum qualifications", "Must have"),
    *("Skills & experience", "Education", "WHO WE ARE LOOKING FOR", "The ideal candidate has:"),
    *("knowledge skills and abilities", "Before you join, make sure you have:", "About you"),
]
OTHERS = [
    *("Responsibilities:", "What you will do", "Benefits", "About us", "How to apply:"),
    *("ABOUT THE COMPANY", "Our values:", "Job description", "Once trained, you will:"),
]


@pytest.mark.parametrize("heading", HEADINGS)
def test_a_section_goes_from_its_heading_to_the_next_of_another_kind(heading: str) -> None:
    asked = f"{heading}\n- A steady hand\n- Two good ears"
    for other in OTHERS:
        text = f"{other}\n- Tune pianos\n{asked}\n{other}\n- Polish them"
        assert qualifications_in(text) == asked


def test_sections_of_one_kind_are_all_kept() -> None:
    text = "Skills:\n- Knots\nBenefits:\n- Tea\nEducation:\n- None\nDuties:\n- Sail"
    assert qualifications_in(text) == "Skills:\n- Knots\nEducation:\n- None"


@pytest.mark.parametrize("after", ["We sing on Fridays.", "We are an equal opportunity employer."])
def test_a_list_ends_a_section(after: str) -> None:
    asked = "You need:\n- A steady hand\n\n- Two good ears"
    assert qualifications_in(f"{asked}\n{after}") == asked


def test_a_heading_within_a_line_opens_a_section() -> None:
    text = "A band. Required Skills: Drums and brass. Responsibilities: Play loud. Benefits: Tea."
    assert qualifications_in(text) == "Required Skills: Drums and brass."
    assert qualifications_in("Skills: Drums Duties: Play Education: None") == (
        "Skills: Drums\nEducation: None"
    )
    text = "We play. PREFERRED QUALIFICATIONS • Drums • Brass JOB DESCRIPTION Play loud"
    assert qualifications_in(text) == "PREFERRED QUALIFICATIONS • Drums • Brass"


def test_without_headings_the_sentences_that_ask_are_joined() -> None:
    asked = ["You must have a whistle.", "A diploma in juggling is a plus."]
    text = f"We tour by train. {asked[0]} Every night you juggle. {asked[1]} Tea is free."
    assert qualifications_in(text) == "\n".join(asked)


def test_text_without_punctuation_is_taken_from_its_cue_to_the_next() -> None:
    text = "we tour by train requirements a whistle and a hat responsibilities juggle every night"
    assert qualifications_in(text) == "requirements a whistle and a hat"
    long = f"{'we tour by train ' * 40}you must have a whistle"
    assert qualifications_in(long) == "you must have a whistle"


@pytest.mark.parametrize(
    "text",
    [
        *("the you and ", "a", "( ", "- ", "What you need: ", "\n", "SKILLS, ", "apply now. ", " "),
        *("you have ", "must have x:\n", "1.", "strong ", "or a ", "a: please apply\n", "\x00"),
    ],
)
def test_a_section_is_found_behind_any_long_text(text: str) -> None:
    # Where a pattern went back over what it read, this would take hours.
    long = text * (100_000 // len(text))
    asked = "Requirements:\n- A hat with bells"
    part = qualifications_in(f"{long}\n{asked}")
    assert part is not None
    assert part.endswith(asked)
