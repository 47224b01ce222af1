"""Laws of tasks: templates are plain and fill in text as text; an answer carries its space."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from careergpt.data.tasks import (
    DEFAULT_TASKS,
    Piece,
    Task,
    check_tasks,
    fields_of,
    missing_from,
    parse_template,
    prompt_completion,
    render_prompt,
    required_fields,
    text_of,
)
from careergpt.errors import InputError

FIELDS = {
    "position_title": "Nurse",
    "job_description": "Care for patients.",
    "skills": ("triage", "charting", "empathy"),
    "titles": ("Aide", "Nurse", "Head nurse"),
}


def says(template: str, fields: dict | None = None) -> str:
    """What the template makes of the fields."""
    pieces = render_prompt(Task(template, "{position_title}"), FIELDS if fields is None else fields)
    assert pieces is not None
    return text_of(pieces)


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("A {position_title}.", "A Nurse."),
        ("{skills}", "triage, charting, empathy"),
        ("{skills:; }", "triage; charting; empathy"),
        ("{titles: > }!", "Aide > Nurse > Head nurse!"),
        ("{titles[0]}", "Aide"),
        ("{titles[-1]}", "Head nurse"),
        ("{titles[1:]: > }", "Nurse > Head nurse"),
        ("{titles[:-1]: > } >", "Aide > Nurse >"),
        ("{titles[:]}", "Aide, Nurse, Head nurse"),
        ("{position_title[0]}", "Nurse"),
        ("{{not a field}} {position_title}", "{not a field} Nurse"),
        ("line\n{position_title}", "line\nNurse"),
    ],
)
def test_a_template_is_filled_with_text_items_and_slices(template: str, text: str) -> None:
    assert says(template) == text


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1))
@settings(max_examples=50, deadline=None)
def test_values_are_text_whatever_they_hold(title: str, skills: list[str]) -> None:
    fields = {"position_title": title, "skills": tuple(skills)}
    assert says("{position_title}: {skills}", fields) == f"{title}: {', '.join(skills)}"


def test_braces_in_a_value_are_never_filled_in() -> None:
    fields = {"position_title": "{skills} {0} {", "skills": ("{position_title}",)}
    assert says("{position_title}|{skills}", fields) == "{skills} {0} {|{position_title}"


@pytest.mark.parametrize(
    "template",
    [
        *("{", "}", "{}", "{0!r}", "{a!r}", "{a.b}", "{a b}", "{a\nb}", "{a[0]", "{a[b]}"),
        *("{a[1:2:3]}", "{a[-]}", "{a[-:]}", "{a[:-]}", "{a[]}"),
    ],
)
def test_a_bad_template_is_one_clear_line(template: str) -> None:
    with pytest.raises(InputError) as caught:
        check_tasks({"mine": Task("Hello", template)})
    assert "\n" not in str(caught.value)
    assert repr(template)[1:-1] in str(caught.value)


@pytest.mark.parametrize(
    ("tasks", "message"),
    [
        ({"mine": Task("{a}", "nothing")}, "has no {field}"),
        ({"mine": Task("{a}", "{b}", -1)}, "weight must be 0 or more, found -1"),
        ({"mine": Task("{a}", "{b}", float("nan"))}, "weight must be 0 or more"),
        ({"mine": Task("{a}", "{b}", float("inf"))}, "weight must be 0 or more"),
        ({"mine": Task("{a}", "{b}", 0)}, "no task of a weight above 0"),
        ({}, "no task of a weight above 0"),
    ],
)
def test_tasks_that_teach_nothing_are_refused(tasks: dict[str, Task], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_tasks(tasks)


def test_the_default_tasks_pass_their_own_check() -> None:
    check_tasks(DEFAULT_TASKS)


def test_fields_are_named_once_in_order_of_appearance() -> None:
    assert fields_of(Task("{b} {a} {b[0]}", "{c} {a}")) == ("b", "a", "c")
    assert fields_of(Task("{{b}}", "{a}")) == ("a",)


@pytest.mark.parametrize(
    ("fields", "missing"),
    [
        ({}, ("titles[0]", "titles[1:]")),
        ({"titles": ()}, ("titles[0]", "titles[1:]")),
        ({"titles": ("Aide",)}, ("titles[1:]",)),
        ({"titles": ("Aide", "Nurse")}, ()),
    ],
)
def test_what_a_record_lacks_is_named_as_the_template_writes_it(
    fields: dict, missing: tuple[str, ...]
) -> None:
    task = DEFAULT_TASKS["path"]
    assert missing_from(task, fields) == missing
    assert (prompt_completion("path", task, fields) is None) == bool(missing)


def test_a_prompt_needs_only_its_own_fields() -> None:
    assert render_prompt(DEFAULT_TASKS["path"], {"titles": ("Aide",)}) is not None
    assert render_prompt(DEFAULT_TASKS["path"], {"skills": ("triage",)}) is None


@pytest.mark.parametrize(
    ("prompt", "completion", "text"),
    [
        ("Job:", "{position_title}", " Nurse"),
        ("Job:\n", "{position_title}", "Nurse"),
        ("Job: ", "{position_title}", " Nurse"),
        ("Job:", " {position_title}", " Nurse"),
        ("Job:", "\n{position_title}", "\nNurse"),
        ("", "{position_title}", " Nurse"),
        ("Skills:", "{skills}", " triage, charting, empathy"),
    ],
)
def test_the_one_space_between_belongs_to_the_completion(
    prompt: str, completion: str, text: str
) -> None:
    pair = prompt_completion("mine", Task(prompt, completion), FIELDS)
    assert pair is not None
    assert text_of(pair.prompt) == prompt.rstrip(" ")
    assert text_of(pair.completion) == text


def test_a_career_teaches_all_its_moves_in_one_example() -> None:
    pair = prompt_completion("path", DEFAULT_TASKS["path"], FIELDS)
    assert pair is not None
    assert text_of(pair.prompt) == "Career path: Aide"
    assert text_of(pair.completion) == " > Nurse > Head nurse"


def test_each_list_item_is_a_piece_with_its_space() -> None:
    pair = prompt_completion("skills", DEFAULT_TASKS["skills"], FIELDS)
    assert pair is not None
    assert pair.completion == (
        Piece(" triage", "skills"),
        Piece(",", None),
        Piece(" charting", "skills"),
        Piece(",", None),
        Piece(" empathy", "skills"),
    )
    asked = render_prompt(DEFAULT_TASKS["position"], FIELDS)
    assert asked is not None
    assert asked[0] == Piece("Which position suits someone skilled in", None)
    assert asked[1] == Piece(" triage", "skills")
    assert asked[-1] == Piece("?", None)


def test_the_prompt_is_the_same_with_and_without_its_answer() -> None:
    for name, task in DEFAULT_TASKS.items():
        pair = prompt_completion(name, task, FIELDS)
        assert pair is not None
        assert pair.prompt == render_prompt(task, FIELDS)


def test_a_template_without_fields_is_one_literal() -> None:
    (slot,) = parse_template("only words")
    assert (slot.literal, slot.field) == ("only words", None)


@pytest.mark.parametrize(
    ("completion", "text"),
    [
        ("{skills}", " triage, charting, empathy"),
        ("{skills:,}", " triage,charting,empathy"),
        ("{skills:\n}", " triage\ncharting\nempathy"),
        ("({skills})", " (triage, charting, empathy)"),
        ("\n{skills}", "\ntriage, charting, empathy"),
        ("a {skills}", " a triage, charting, empathy"),
    ],
)
def test_all_items_of_a_list_start_alike_and_the_text_is_whole(completion: str, text: str) -> None:
    pair = prompt_completion("mine", Task("Skills?", completion), FIELDS)
    assert pair is not None
    assert text_of(pair.completion) == text
    assert len({piece.text.startswith(" ") for piece in pair.completion if piece.item_of}) == 1


ALPACA = Task("{instruction}[[\n\nInput: {input}]]\n", "{output}")


@pytest.mark.parametrize(
    ("fields", "prompt", "completion"),
    [
        ({"input": "Short."}, "Describe.\n\nInput: Short.\n", "We look."),
        ({}, "Describe.\n", "We look."),
        ({"input": ""}, "Describe.\n", "We look."),
    ],
)
def test_an_optional_part_is_left_out_where_its_field_is_missing(
    fields: dict, prompt: str, completion: str
) -> None:
    pair = prompt_completion(
        "sft", ALPACA, {"instruction": "Describe.", "output": "We look."} | fields
    )
    assert pair is not None
    assert (text_of(pair.prompt), text_of(pair.completion)) == (prompt, completion)
    assert pair.prompt == render_prompt(ALPACA, {"instruction": "Describe.", **fields})


@pytest.mark.parametrize(
    ("prompt", "completion", "asked", "answer"),
    [
        ("A [[{nothing}]]", "{position_title}", "A", " Nurse"),
        ("A [[b ]] [[{nothing} ]] ", "{position_title}", "A [[b ]]", " Nurse"),
        ("A [[{skills[0]} ]]", "{position_title}", "A triage", " Nurse"),
        ("A", "[[\n{nothing}]]{position_title}", "A", " Nurse"),
        ("A", "[[\n{skills[0]}\n]]{position_title}", "A", "\ntriage\nNurse"),
        (
            "[[{skills}: ]]A",
            "{position_title}[[ ({skills:;}; {nothing})]]",
            "triage, charting, empathy: A",
            " Nurse",
        ),
        ("[[{titles[5]}|]][[{titles[0]}|]]A", "{position_title}", "Aide|A", " Nurse"),
        ("[[{{x}}]] A", "{position_title}", "[[{x}]] A", " Nurse"),
    ],
)
def test_the_text_around_an_optional_part_is_whole(
    prompt: str, completion: str, asked: str, answer: str
) -> None:
    pair = prompt_completion("mine", Task(prompt, completion), FIELDS)
    assert pair is not None
    assert (text_of(pair.prompt), text_of(pair.completion)) == (asked, answer)


def test_an_optional_field_is_named_and_not_required() -> None:
    assert fields_of(ALPACA) == ("instruction", "input", "output")
    assert required_fields(ALPACA) == ("instruction", "output")
    assert missing_from(ALPACA, {"output": "We look."}) == ("instruction",)


def test_an_answer_of_optional_parts_alone_is_refused() -> None:
    with pytest.raises(InputError, match="that every answer holds"):
        check_tasks({"mine": Task("{a}", "[[{b}]]")})


def test_a_template_as_long_as_a_book_is_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"has 1,000,000 characters, and 10,000 are read"):
        parse_template("[[{" * 333_333 + "}")
