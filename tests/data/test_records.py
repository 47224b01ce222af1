"""Laws of records: a row is clean text or a counted loss, and columns are found or named."""

import json

import pytest

from careergpt.data.columns import check_columns
from careergpt.data.objects import RawRow, Table
from careergpt.data.records import Dropped, Record, digest, record_from
from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.errors import InputError

POSTING = {
    "company_name": "Acme",
    "position_title": "NURSE - Remote",
    "job_description": "Care &amp; <b>kindness</b> matter here.",
    "skills": "triage; charting; Triage; empathy",
}


def record(rules, cells, **asked) -> Record:
    found = record_from(RawRow("t.csv:2", cells), rules(**asked))
    assert isinstance(found, Record)
    return found


def reason(rules, cells, **asked) -> str:
    found = record_from(RawRow("t.csv:2", cells), rules(**asked))
    assert isinstance(found, Dropped)
    return found.reason


NONE = dict.fromkeys(POSTING)


def table(*columns: str, name: str = "t.csv") -> Table:
    return Table(name, columns, lambda: iter(()), "utf-8")


def test_a_row_becomes_clean_text_and_lists(rules) -> None:
    assert record(rules, POSTING).fields == {
        "company_name": "Acme",
        "position_title": "Nurse",
        "job_description": "Care & kindness matter here.",
        "skills": ("triage", "charting", "empathy"),
    }


@pytest.mark.parametrize("cell", [None, "", " ", "-1", "n/a", "N/A", "See job description", "<p>"])
def test_a_cell_that_says_nothing_gives_no_field(rules, cell) -> None:
    fields = record(rules, {**POSTING, "skills": cell}).fields
    assert "skills" not in fields
    assert "position_title" in fields


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ({**NONE, "position_title": "Nurse"}, "no job_description"),
        ({**NONE, "job_description": "Care for patients."}, "no position_title"),
        ({"titles": ["Nurse"]}, "no titles[1:]"),
        ({"titles": ["n/a", "Nurse"]}, "no titles[1:]"),
        ({**NONE, "titles": ["Nurse"]}, "no titles[1:]"),
        ({"unknown": "text"}, "no field of any task"),
    ],
)
def test_a_row_that_serves_no_task_is_dropped_for_what_it_lacks(rules, cells, why) -> None:
    assert reason(rules, cells) == why


def test_a_row_that_cannot_be_read_is_dropped_for_its_fault(rules) -> None:
    found = record_from(RawRow("t.csv:3", {}, "a quote that is never closed"), rules())
    assert found == Dropped("a quote that is never closed", "t.csv:3")


@pytest.mark.parametrize(
    ("cell", "skills"),
    [
        ("['Triage', 'Communication, written']", ("Triage", "Communication, written")),
        ("['Triage', \"Driver's licence\"]", ("Triage", "Driver's licence")),
        ("['Triage' 'Data\\xa0entry'\n 'SQL']", ("Triage", "Data entry", "SQL")),
        ('["Triage", "Communication, written"]', ("Triage", "Communication, written")),
        ('[{"name": "Triage", "level": 3}, {"name": "C++"}]', ("Triage", "C++")),
        ("[{'id': 7, 'Skill': 'Triage'}, {'id': 8, 'Skill': 'C++'}]", ("Triage", "C++")),
        ('[{"competence": "Triage", "level": 3}]', ("Triage",)),
        ('{Triage,"Communication, written"}', ("Triage", "Communication, written")),
        ("('Triage', 'Communication, written')", ("Triage", "Communication, written")),
        ("'Triage', 'Communication, written'", ("Triage", "Communication, written")),
        ('Triage; "Reports; minutes"', ("Triage", "Reports; minutes")),
        ('6" pipes, 4" pipes, carers\' rights', ('6" pipes', '4" pipes', "carers' rights")),
        ("[Triage, Excel]", ("Triage", "Excel")),
    ],
)
def test_a_list_in_a_cell_has_the_items_that_were_written(rules, cell, skills) -> None:
    assert record(rules, {**POSTING, "skills": cell}).fields["skills"] == skills


def test_an_object_is_its_text_or_is_refused_and_never_its_json(rules) -> None:
    text = POSTING["job_description"]
    for told in (json.dumps({"text": text, "lang": "en"}), str([text])):
        found = record(rules, {**POSTING, "job_description": told})
        assert found.fields == record(rules, POSTING).fields
    nameless = ['{"html": "a", "lang": "en"}', "{'level': 3}", '[{"level": 3}]']
    for told in (*nameless, '[{"role": "user", "content": [{"text": "Hi"}, {"text": "there"}]}]'):
        assert reason(rules, {**POSTING, "job_description": told}) == (
            "job_description is an object without a key such as name, title or skill"
        )
    for told in ('[{"name": "Triage", "level": 3}, {"na', "[{'name': 'Triage', 'level': nan}]"):
        assert reason(rules, {**POSTING, "skills": told}) == (
            "skills is an object that is cut off or broken"
        )
    for told in ("[Remote] Care matters.", "{care} matters [here]", "[" * 40_000 + "]" * 40_000):
        assert reason(rules, {**NONE, "job_description": told}) == "no position_title"


def test_objects_without_a_name_are_refused_by_their_paths(rules) -> None:
    columns = "position_title", "job_description", "skills.level", "skills.id"
    with pytest.raises(InputError, match=r"'skills' holds objects \(of skills\.level, skills\.id"):
        check_columns([table(*columns)], rules())
    check_columns([table(*columns)], rules(columns={"skills": "skills.id"}))
    check_columns([table(*columns, "skills")], rules())


def test_the_first_column_with_text_wins(rules) -> None:
    columns = {"position_title": ["title", "position"]}
    other = {"job_description": POSTING["job_description"]}
    for cells, title in [
        ({"title": "Nurse", "position": "Welder"}, "Nurse"),
        ({"title": "n/a", "position": "Welder"}, "Welder"),
        ({"title": None, "position": "Welder"}, "Welder"),
        ({"position": "Welder"}, "Welder"),
    ]:
        found = record(rules, {**other, **cells}, columns=columns)
        assert found.fields["position_title"] == title
    ignored = {**other, "title": "", "position_title": "Nurse"}
    assert reason(rules, ignored, columns=columns) == "no position_title"


def test_titles_keep_their_order_and_repetitions(rules) -> None:
    cells = {"titles": ["Nurse", "Aide", "Nurse", "null", "NURSE"]}
    assert record(rules, cells).fields["titles"] == ("Nurse", "Aide", "Nurse", "Nurse")


def test_the_first_spelling_of_a_skill_stays(rules) -> None:
    cells = {**POSTING, "skills": ["SQL", "Excel", "sql", "excel", "R"]}
    assert record(rules, cells).fields["skills"] == ("SQL", "Excel", "R")


def test_contacts_are_masked_unless_asked_not_to(rules) -> None:
    cells = {**POSTING, "job_description": "Write to jane@example.org for more about this."}
    assert "jane@example.org" not in record(rules, cells).fields["job_description"]
    unmasked = record(rules, cells, mask_contacts=False)
    assert "jane@example.org" in unmasked.fields["job_description"]


def test_equal_rows_have_equal_ids_and_others_do_not(rules) -> None:
    own = record(rules, POSTING).id
    assert own == record(rules, dict(reversed(POSTING.items()))).id
    for field in POSTING:
        assert own != record(rules, {**POSTING, field: "Something else entirely"}).id


def test_a_digest_knows_where_its_parts_end() -> None:
    assert digest("ab", "c") != digest("a", "bc")
    assert len(digest("x")) == 16
    assert digest("\ud800")  # A lone surrogate is text too.


def test_tables_with_several_headers_serve_together(rules) -> None:
    columns = {"position_title": ["title", "position_title"], "job_description": ["text", "jd"]}
    tables = [table("title", "text"), table("position_title", "jd"), table("titles")]
    check_columns(tables, rules(columns=columns), list(columns))


def test_a_missing_column_names_those_there_and_the_option(rules) -> None:
    tasks = {"describe": Task("{position_title}", "{job_description}")}
    with pytest.raises(InputError) as caught:
        check_columns([table("title", "job_description")], rules(tasks))
    assert str(caught.value) == (
        "t.csv has no column 'position_title' (it has: title, job_description). "
        "Map it: --data.columns.position_title=title"
    )


def test_a_mapped_column_that_no_table_has_is_refused(rules) -> None:
    columns = {"position_title": ["titel", "name"]}
    with pytest.raises(
        InputError, match=r"--data\.columns\.position_title: .*titel or name.*titles"
    ):
        check_columns([table("titles")], rules(columns=columns), ["position_title"])


def test_a_header_twice_matters_only_where_it_is_mapped(rules) -> None:
    twice = table("titles", "note", "note")
    check_columns([twice], rules())
    with pytest.raises(InputError, match="'note' 2 times; rename one, or map"):
        check_columns([twice], rules(columns={"skills": "note"}))


def test_a_configuration_for_other_tables_reads_those_that_serve_some_task(rules) -> None:
    tasks = {"path": DEFAULT_TASKS["path"], "own": Task("{question}", "{answer}")}
    made = rules(tasks, columns={"position_title": "Job Title", "question": "Q"})
    for taught in (False, True):
        with pytest.raises(InputError, match=r"--data\.columns\.position_title: no table has"):
            check_columns([table("titles")], made, ["position_title"], taught)
    check_columns([table("titles")], made, taught=False)
    with pytest.raises(InputError, match="no column 'titles'"):
        check_columns([table("career")], made, taught=False)


def test_a_model_is_taught_what_the_tables_serve_and_no_task_by_half(rules) -> None:
    made = rules(columns={"position_title": "Job Title", "skills": "Key Skils"})
    check_columns([table("titles")], made)
    for served in (["Job Title", "job_description"], ["titles", "Job Title"]):
        with pytest.raises(InputError, match=r"--data\.columns\.skills: no table has .* Key Skils"):
            check_columns([table(*served)], made)
    check_columns([table("Job Title", "job_description", "Key Skils")], made)


def test_a_table_without_an_optional_column_serves_the_task(rules, write_table, prepare) -> None:
    sft = {"sft": Task("{instruction}[[\n{input}]]", "{output}")}
    rows = [
        {"instruction": f"Do {n}.", "input": "" if n % 4 else "Now.", "output": f"Done with {n}."}
        for n in range(8)
    ]
    assert prepare(write_table(rows, "a.jsonl"), tasks=sft).counts["kept"] == 8
    del rows[0]["input"], rows[1]["input"]
    assert prepare(write_table(rows, "b.jsonl"), tasks=sft).counts["kept"] == 8
    check_columns([table("instruction", "output")], rules(sft), taught=False)
    with pytest.raises(InputError, match=r"asks for \{input\}, and no table has such a column"):
        check_columns([table("instruction", "output")], rules(sft))


@pytest.mark.parametrize(
    ("key", "said"), [("messages", "content"), ("conversations", "value"), ("turns", None)]
)
def test_the_turns_of_a_chat_are_taken_by_their_place(key, said, write_table, prepare) -> None:
    texts = ["1. Describe a baker:\n\n- in short", "We look for a baker."]
    turns = [{"role": "user", said: text} if said else text for text in texts]
    task = {"chat": Task(f"{{{key}[0]}}\n", f"{{{key}[1]}}")}
    rows = [{key: turns}, {key: turns[:1]}, {key: [turns[0], turns[1] and ""]}]
    prepared = prepare(write_table(rows, "chat.jsonl"), tasks=task)
    assert [row[key] for row in prepared.rows] == [texts]  # Whole, as no item of a list is.
    assert prepared.counts["dropped"] == {f"no {key}[1]": 2}


def test_read_rows_are_kept_or_dropped_for_a_reason(write_table, prepare) -> None:
    plain = {"position_title": "Nurse", "job_description": "Care for people on ward one."}
    rows = [
        plain,
        {**plain, "job_description": "Quite another text about night shifts."},
        plain,
        {**plain, "position_title": ""},
        {**plain, "job_description": "n/a"},
    ]
    path = write_table(rows)
    with open(path, "a", encoding="utf-8") as file:
        file.write("Nurse,one,two\n")
    counts = prepare(path).counts
    assert (counts["read"], counts["kept"]) == (6, 2)
    assert counts["dropped"] == {
        "exact duplicate": 1,
        "no position_title": 1,
        "no job_description": 1,
        "more or fewer cells than the header": 1,
    }
    assert counts["first_dropped"] == {
        "exact duplicate": "postings.csv:4",
        "no position_title": "postings.csv:5",
        "no job_description": "postings.csv:6",
        "more or fewer cells than the header": "postings.csv:7",
    }
    assert counts["read"] == counts["kept"] + sum(counts["dropped"].values())
