"""Laws of headers: the usual ones are guessed right or not at all, and a shell takes the guess."""

import re
import shlex
from collections.abc import Callable

import pytest

from careergpt.cli import main
from careergpt.data.columns import HEADERS, check_columns, like_field
from careergpt.data.objects import Table
from careergpt.data.tasks import Task
from careergpt.errors import InputError

MEANS = {
    "position_title": [
        *("jobTitle", "Job Title", "title", "Designation", "Role", "Position", "jobtitle"),
        *("job_role", "Position Title", "JOB-TITLE", "Occupation"),
    ],
    "job_description": [
        *("description", "JD", "job_desc", "Job Description", "jobDescription", "Description"),
        *("jobdescription", "job_description_text", "Full Description", "jobSummary"),
    ],
    "company_name": ["Company Name", "company", "Employer", "hiringOrganization", "companyName"],
    "skills": ["Key Skills", "Required Skills", "skill_set", "Skills", "skillList"],
    "titles": ["Career Path", "history", "Job Titles"],
}  # fmt: skip
MEAN_NOTHING = [
    *("id", "Job Id", "Job Location", "Salary", "name", "text", "url", "Company Description"),
    *("title_id", "Job Description Language", "Max Exp (in months)", "Industry", "skill_count", ""),
]


@pytest.mark.parametrize(
    ("header", "field"), [(header, field) for field, some in MEANS.items() for header in some]
)
def test_a_usual_header_means_one_field(header: str, field: str) -> None:
    assert [name for name in HEADERS if like_field(name, [header])] == [field]
    assert like_field(field, ["id", header, "salary"]) == header


@pytest.mark.parametrize("header", MEAN_NOTHING)
def test_an_unsure_header_means_nothing(header: str) -> None:
    assert [name for name in HEADERS if like_field(name, [header])] == []


def test_the_surest_of_several_headers_wins_whatever_their_order() -> None:
    for columns in (["Role", "title", "Job Title"], ["Job Title", "Role"]):
        assert like_field("position_title", columns) == "Job Title"
    assert like_field("instruction", ["Input", "Instruction"]) == "Instruction"


@pytest.mark.parametrize(
    ("columns", "hint"),
    [
        (
            ["Job Title", "Job Description"],
            "'--data.columns.position_title=Job Title' "
            "'--data.columns.job_description=Job Description'",
        ),
        (
            ["JD", "jobTitle"],
            "--data.columns.position_title=jobTitle --data.columns.job_description=JD",
        ),
        (
            ["Title: short", "JD"],
            "--data.columns.position_title=COLUMN --data.columns.job_description=JD",
        ),
    ],
)
def test_a_hint_is_right_and_quoted_or_none(rules, columns: list[str], hint: str) -> None:
    table = Table("t.csv", tuple(columns), lambda: iter(()), "utf-8")
    with pytest.raises(InputError) as caught:
        check_columns([table], rules({"describe": Task("{position_title}", "{job_description}")}))
    assert str(caught.value).endswith(f"Map it: {hint}")


def test_the_nearest_table_and_task_are_those_that_a_hint_can_serve(rules) -> None:
    tables = [
        Table(name, columns, lambda: iter(()))
        for name, columns in [
            ("relations.csv", ("occupationUri", "skillUri")),
            ("skills.csv", ("Job_Id", "Designation", "Required Skills")),
        ]
    ]
    with pytest.raises(InputError) as caught:
        check_columns(tables, rules())
    assert str(caught.value).startswith("skills.csv has no column 'skills' and no 'position_title'")
    assert str(caught.value).endswith(
        "Map it: '--data.columns.skills=Required Skills' --data.columns.position_title=Designation"
    )


def test_a_message_of_many_columns_and_of_texts_taken_for_them_stays_a_line(rules) -> None:
    table = Table("t.csv", ("We cook. " * 99, *map(str, range(5000))), lambda: iter(()))
    with pytest.raises(InputError, match=r"We coo…, 0, 1, .*, 38 and 4,961 more\)") as caught:
        check_columns([table], rules())
    assert len(str(caught.value)) < 600


def mistake(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        main(words)
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (["Job Title", "Job Description"], "Map it: (.*)"),
        (["JD (full)", "Role"], None),
        (["text"], ", or ask by its own columns: (.*)"),
        (["instruction", "input", "output"], ", or ask by its own columns: (.*)"),
    ],
)
def test_what_the_message_says_works_when_it_is_pasted_into_a_shell(
    header: list[str], said: str | None, write_table: Callable, tmp_path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    texts = [f"We look for worker {n} who does this and that all day long." for n in range(5)]
    rows = [
        dict.fromkeys(header, f"Worker {n}") | {header[-1]: text} for n, text in enumerate(texts)
    ]
    words = ["audit", f"--data.source={write_table(rows)}", f"--data.cache={tmp_path}"]
    words += ["--data.processes=1"]
    line = mistake(words, capsys)
    assert line.count("\n") == 1
    if said is None:
        assert line.count("=COLUMN") == 1
        return
    found = re.search(said, line)
    assert found is not None
    main([*words, *shlex.split(found[1])])
    printed = capsys.readouterr().out
    assert "records kept         5" in printed
    assert "warning" not in printed


def test_swapped_columns_are_warned_about(write_table, tmp_path, capsys) -> None:
    rows = [
        {"Job Title": f"Worker {n}", "Job Description": f"We look for worker {n} of this and that."}
        for n in range(5)
    ]
    path = write_table(rows)
    words = ["audit", f"--data.source={path}", f"--data.cache={tmp_path}", "--data.processes=1"]
    swapped = ["position_title=Job Description", "job_description=Job Title"]
    main([*words, *(f"--data.columns.{mapped}" for mapped in swapped)])
    assert f"warning: {path}: 5 of 5 titles read like descriptions" in capsys.readouterr().out


def test_titles_without_descriptions_are_warned_about_where_they_are_as_long(
    write_table, tmp_path, capsys
) -> None:
    long = "We look for someone who writes and reviews code all day in a small team. " * 2
    paths = [
        write_table(
            [{"position_title": f"{title} {n}", "skills": "SQL; R"} for n in range(3)], name
        )
        for title, name in ((long, "long.csv"), ("Nurse of ward", "short.csv"))
    ]
    source = f"--data.source=[{','.join(paths)}]"
    main(["audit", source, f"--data.cache={tmp_path}", "--data.processes=1"])
    printed = capsys.readouterr().out
    assert f"warning: {paths[0]}: 3 of 3 titles" in printed
    assert f"warning: {paths[1]}" not in printed
