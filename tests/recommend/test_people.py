"""Laws of the people who ask: what they tell is cleaned, and every mistake is one line."""

import io
import json
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from careergpt.data.cleaning import clean_item, is_missing
from careergpt.data.names import clean_title, title_key
from careergpt.errors import InputError
from careergpt.recommend.people import MAX_ITEM_CHARS, Person, person_of, read_people

ODD = [
    *(
        "",
        "   ",
        "🚀",
        "---",
        "\u200b",
        "\x00",
        "a\x00b",
        "<|endoftext|>",
        "C++",
        "日本 語",
        "NULL",
    ),
    *(
        "مهندس",
        "\u202eabc\u202c",
        "👩\u200d💻 coder",
        "\ufeff",
        "<b>SQL</b>",
        "e\u0301",
        "\x1b[31m",
    ),
    *("ann@example.com", "555-010-0199", "(", "[phone]", "&amp;", "&#0;", "\u2028", "-1", "> > >"),
]
odd = st.sampled_from(ODD) | st.text(max_size=30).filter(lambda text: text.isprintable())
several = st.none() | odd | st.lists(odd, max_size=5)
told = st.fixed_dictionaries({}, optional={"position": st.none() | odd, "skills": several})


def of(**values: object) -> Person:
    return person_of(values, "here")


def mistake(values: dict[str, object]) -> str:
    """What is said of values that tell of nobody."""
    with pytest.raises(InputError) as caught:
        person_of(values, "people.jsonl:3")
    message = str(caught.value)
    assert message.startswith("people.jsonl:3: ")
    assert len(message.splitlines()) == 1
    message.encode("utf-8")
    return message


def test_a_person_is_read_from_lists_and_from_texts() -> None:
    person = Person("Nurse", ("triage", "first aid"), ("Aide", "Nurse"))
    as_texts = {"position": "Nurse", "skills": "triage, first aid", "history": "Aide; Nurse"}
    as_lists = {"skills": ["triage", "first aid"], "history": ["Aide", "Nurse"]}
    assert of(**as_texts) == of(position=" Nurse ", **as_lists) == person


@pytest.mark.parametrize("key", Person._fields)
def test_what_is_not_told_is_empty(key: str) -> None:
    person = of(**dict.fromkeys(Person._fields) | {key: "Welding"})
    told_only = {"position": "Welding", "skills": ("Welding",), "history": ("Welding",)}
    assert person._asdict() == {"position": "", "skills": (), "history": ()} | {key: told_only[key]}


@pytest.mark.parametrize(
    "text", ["sql, excel; c++", "sql|excel|c++", "sql\nexcel\r\nc++", "\n- sql,\n- excel,\n\n- c++"]
)
def test_skills_in_one_text_end_at_every_separator(text: str) -> None:
    assert of(skills=text).skills == ("sql", "excel", "c++")


def test_a_comma_in_brackets_separates_nothing() -> None:
    assert of(skills="AWS (EC2, S3), sql").skills == ("AWS (EC2, S3)", "sql")


@pytest.mark.parametrize(
    "text", ["Aide > Nurse, night", "Aide;Nurse, night;", "Aide\nNurse, night"]
)
def test_titles_in_one_text_are_not_split_at_commas(text: str) -> None:
    assert of(history=text).history == ("Aide", "Nurse, night")


def test_items_of_a_list_are_taken_whole() -> None:
    person = of(skills=["plan, do; check", None], history=["Clerk; filing > archive"])
    assert person == Person("", ("plan, do; check",), ("Clerk; filing > archive",))


def test_skills_equal_in_their_words_are_kept_once_as_first_spelled() -> None:
    assert of(skills="SQL, c++, sql., C, S Q L, C++").skills == ("SQL", "c++", "C", "S Q L")


def test_holding_a_title_twice_is_a_move_too() -> None:
    assert of(history=["Nurse", "Aide", "nurse"]).history == ("Nurse", "Aide", "nurse")


@given(told)
def test_everyone_is_clean_text_or_one_line_of_error(values: dict[str, object]) -> None:
    try:
        person = person_of(values, "people.jsonl:3")
    except InputError:
        mistake(values)
        return
    assert any(person)
    assert person.position == clean_title(person.position)
    assert person.skills == tuple(map(clean_item, person.skills))
    assert not any(map(is_missing, person.skills))
    assert len(set(map(title_key, person.skills))) == len(person.skills)
    json.dumps(person, ensure_ascii=False).encode("utf-8")


@given(told)
def test_reading_a_person_again_changes_nothing(values: dict[str, object]) -> None:
    try:
        person = person_of(values, "here")
    except InputError:
        return
    assert person_of(person._asdict(), "here") == person


@pytest.mark.parametrize("name", ODD)
def test_odd_items_leave_the_others_as_they_are(name: str) -> None:
    person = of(position="Nurse", skills=["triage", name, "filing"], history=["Aide", name])
    assert person.position == "Nurse"
    assert person.history[0] == "Aide"
    assert (person.skills[0], person.skills[-1]) == ("triage", "filing")


def test_what_a_tokenizer_marks_with_stays_text() -> None:
    assert of(position="<|endoftext|>").position == "<|endoftext|>"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"positon": "Nurse"}, "'positon' is none of position, skills, history"),
        ({"x" * 99: "Nurse"}, f"'{'x' * 40}'… is none of"),
        ({"a\nb\ud800": 1}, "is none of"),
        ({"position": ["Nurse"]}, "position holds a value of type list. Give one text"),
        ({"position": 3}, "type int"),
        ({"skills": 3}, "skills holds a value of type int. Give a text or a list of texts"),
        ({"skills": {"sql": 1}}, "type dict"),
        ({"skills": ["sql", 3]}, "type int"),
        ({"skills": ["sql", ["c"]]}, "type list"),
        ({"history": True}, "type bool"),
        ({"skills": "half \ud800"}, "half a character"),
    ],
)
def test_a_value_of_another_kind_is_named(values: dict[str, object], message: str) -> None:
    assert message in mistake(values)


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"position": None, "skills": None},
        {"position": "  ", "skills": [], "history": ";;"},
        {"position": "N/A", "skills": ["-", "🚀"]},
        {"skills": [None]},
    ],
)
def test_a_person_who_tells_nothing_is_refused(values: dict[str, object]) -> None:
    assert "Give a position, skills or a history" in mistake(values)


@pytest.mark.parametrize("key", Person._fields)
def test_an_item_too_long_is_named_by_its_start(key: str) -> None:
    longest = "b" * MAX_ITEM_CHARS
    assert of(**{key: f" {longest} "})
    message = mistake({key: longest + "b"})
    assert f"'{'b' * 40}'… in {key} has 201 characters, and 200 are the most" in message


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_people_are_lines_in_their_order(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "people.jsonl"
    path.write_text('{"position": "Chauffør"}\n\n  {"skills": "a b\u2028c"}\r\n', encoding)
    assert read_people(str(path)) == [Person("Chauffør", (), ()), Person("", ("a b", "c"), ())]


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_standard_input_is_read_as_a_file_is(monkeypatch, mark: str) -> None:
    send(monkeypatch, f'{mark}{{"position": "Chauffør"}}\r\n\n{{"skills": ["a"]}}'.encode())
    assert read_people("-") == [Person("Chauffør", (), ()), Person("", ("a",), ())]


def send(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), encoding="ascii"))


BAD_LINES = [
    (b"no json", "not JSON"),
    (b"[1]", "not a JSON object: '[1]'"),
    (b'{"skills": ' + b"[" * 100_000, "not JSON"),
    (b'{"skills": ' + b"9" * 5000 + b"}", "not JSON"),
    (rb'{"position": "\ud800"}', "half a character"),
    (b'{"position": 1}', "position holds a value of type int"),
    (b"{}", "nothing is told"),
    (b"\x00\x01", "not JSON"),
]


@pytest.mark.parametrize(("line", "message"), [*BAD_LINES, (b"\x81", "a byte that is not cp1252")])
def test_a_line_that_tells_of_nobody_is_named(tmp_path: Path, line: bytes, message: str) -> None:
    path = tmp_path / "people.jsonl"
    path.write_bytes(b'{"position": "Nurse"}\n\n' + line)
    with pytest.raises(InputError) as caught:
        read_people(str(path))
    assert str(caught.value).startswith(f"{path}:3: ")
    assert message in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [*BAD_LINES, (b"\xed\xa0\x80", "0xed is not UTF-8"), (b"\x81", "0x81 is not UTF-8")],
)
def test_a_bad_line_of_standard_input_is_named(monkeypatch, line: bytes, message: str) -> None:
    send(monkeypatch, b'{"position": "Nurse"}\n\n' + line)
    with pytest.raises(InputError, match=r"^standard input:3: ") as caught:
        read_people("-")
    assert message in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n \r\n"])
def test_where_nobody_stands_that_is_said(monkeypatch, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "people.jsonl").write_bytes(content)
    send(monkeypatch, content)
    for path in (str(tmp_path / "people.jsonl"), "-"):
        with pytest.raises(InputError, match="is empty: write one"):
            read_people(path)


def test_what_cannot_be_read_is_said(monkeypatch, tmp_path: Path) -> None:
    for path, said in ((tmp_path, "a folder"), (tmp_path / "none.jsonl", "cannot be read")):
        with pytest.raises(InputError, match=said):
            read_people(str(path))
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is empty"):
        read_people("-")


@pytest.mark.parametrize("listed", [True, False])
def test_a_very_long_line_is_read_whole(tmp_path: Path, listed: bool) -> None:
    skills = [f"made-up skill no {n:05}" for n in range(20_000)]
    path = tmp_path / "people.jsonl"
    path.write_text(json.dumps({"skills": skills if listed else "; ".join(skills)}))
    (person,) = read_people(str(path))
    assert person.skills == tuple(skills)
