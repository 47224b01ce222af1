"""Laws of the report: it adds up, it tells what a count by hand tells, and audit writes it."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from careergpt.data.datamodule import audit
from careergpt.data.report import DataReport, data_report, leaks
from careergpt.data.splits import SPLITS
from careergpt.data.tasks import Task
from careergpt.errors import InputError

COUNTS = {
    "tables": [
        {"name": "a.csv", "encoding": "utf-8", "read": 10, "kept": 6, "titles_like_descriptions": 3}
    ],
    "read": 10,
    "kept": 6,
    "dropped": {"no skills": 1, "exact duplicate": 3},
    "first_dropped": {"no skills": "a.csv:9", "exact duplicate": "a.csv:4"},
    "passed_over": [],
    "near_duplicates": {"groups": 1, "records": 2},
}
SPLIT = np.array([0, 0, 0, 0, 1, 2], dtype=np.int8)


def report_of(store=None, min_count: int = 2) -> DataReport:
    table = pa.table(
        {
            "group": [0, 0, 2, 3, 4, 5],
            "key": list("abcdef"),
            "company_name": ["Acme", "Acme", None, "Bram", "", None],
            "position_title": ["Nurse", "nurse!", "Welder", None, "NURSE", "Cook"],
            "skills": [["SQL", "sql."], ["SQL"], ["C"], None, ["C++"], ["R"]],
            "titles": pa.nulls(6, pa.list_(pa.string())),
            "field": ["Health", "Health", "Trades", None, "Law", "Food"],
            "own_split": pa.array([-1] * 6, pa.int8()),
        }
    )
    return data_report(COUNTS, table, SPLIT, store, ["describe", "path"], min_count)


def test_rows_read_are_those_kept_and_those_dropped() -> None:
    report = report_of()
    assert report.read == report.kept + sum(report.dropped.values())
    assert list(report.dropped) == ["exact duplicate", "no skills"]
    assert sum(report.splits.values()) == report.kept
    assert report.splits == {"train": 4, "val": 1, "test": 1}


def test_the_balance_of_fields_is_that_of_training() -> None:
    assert report_of().fields == {"Health": 2, "Trades": 1, "no field": 1}
    assert " 50.0% of training: Health\n" in str(report_of())
    assert "no field" not in str(replace(report_of(), fields={}))


def test_the_report_names_a_row_for_each_reason_and_what_was_passed_over() -> None:
    said = str(report_of())
    assert "exact duplicate (first: a.csv:4)" in said
    assert "passed over" not in said
    beside = [f"notes{n}.docx" for n in range(10)]
    said = str(replace(report_of(), passed_over=beside))
    assert "no table, passed over: notes0.docx, " in said
    assert "notes7.docx and 2 more\n" in said


def test_the_report_steers_no_terminal() -> None:
    evil = "a\x1b[2J\nsplits: none\u202e.csv"
    tables = [{"name": evil, "encoding": "", "read": 1, "kept": 1}] * 2
    said = str(replace(report_of(), tables=tables, passed_over=[evil]))
    assert all(line.isprintable() for line in said.split("\n"))
    assert said.count("a\\x1b[2J\\nsplits: none\\u202e.csv") == 3
    assert sum(line.startswith("splits:") for line in said.split("\n")) == 1


def test_values_are_counted_without_case_and_punctuation() -> None:
    report = report_of()
    assert report.companies == 2
    assert tuple(report.values["position_title"].values()) == (3, 2, 1)
    # A skill twice in one record is seen once; "C++" is not "C".
    assert tuple(report.values["skills"].values()) == (4, 2, 1)
    assert "titles" not in report.values


def test_min_count_is_what_makes_a_value_known() -> None:
    known = [report_of(min_count=count).values["position_title"]["known"] for count in (1, 2, 3)]
    assert known == [2, 1, 0]


def test_tokens_are_counted_by_task(store_of) -> None:
    lengths = [10, 20, 30, 40, 50, 0]
    store = store_of(
        [
            {"token_ids": [1] * length, "record": record, "n_cut": cut, "n_prompt": 70}
            for record, (length, cut) in enumerate(zip(lengths, [0, 0, 0, 7, 0, 0], strict=True))
        ]
    )
    report = report_of(store)
    assert list(report.tasks) == ["describe"]
    task = report.tasks["describe"]
    assert task["examples"] == {"train": 4, "val": 1, "test": 0}
    assert (task["tokens_median"], task["tokens_total"], task["prompts_too_long"]) == (30, 150, 1)
    assert task["tokens_p95"] == pytest.approx(48)
    assert (task["completions_cut"], task["end_of_text_taught"]) == (1, pytest.approx(0.8))


def test_rows_that_mostly_lack_a_field_are_told_of_with_the_way_to_keep_them(
    write_table, data_module
) -> None:
    rows = [
        {"instruction": f"Tell {n}.", "input": "" if n % 4 else "Short.", "output": f"Is {n}."}
        for n in range(40)
    ]
    path = write_table(rows)
    kept = {}
    for prompt in ("{instruction}\n{input}", "{instruction}[[\n{input}]]"):
        report = data_module(source=path, tasks={"sft": Task(prompt, "{output}")}).report()
        kept[report.kept] = report.warnings
    assert list(kept) == [10, 40]
    (warning,) = kept[10]
    assert warning.startswith("30 of 40 rows are dropped, for they have no input: ")
    assert kept[40] == []


def test_without_a_tokenizer_the_report_says_what_is_missing() -> None:
    assert "token counts need --data.tokenizer" in str(report_of())


@pytest.mark.parametrize(
    ("group", "keys", "split", "leaking"),
    [
        ([0, 1, 2], "abc", [0, 1, 2], 0),
        ([0, 0, 2], "abc", [0, 0, 2], 0),
        ([0, 0, 2], "abc", [0, 1, 2], 2),
        ([0, 1, 2], "aba", [0, 1, 2], 2),
        ([0, 0, 2, 3], "abbc", [0, 0, 1, 1], 2),
    ],
)
def test_a_leak_is_a_group_or_a_text_in_two_splits(group, keys, split, leaking) -> None:
    assert leaks(np.array(group), list(keys), np.array(split)) == leaking


def test_the_embedded_kind_of_data_has_no_leak_and_adds_up(data_module) -> None:
    report = data_module().report()
    assert (report.read, report.kept, report.leaks_across_splits) == (90, 90, 0)
    for task, count in [("describe", 60), ("position", 60), ("skills", 60), ("path", 30)]:
        assert sum(report.tasks[task]["examples"].values()) == count
    for split in SPLITS:
        postings, careers = (report.tasks[task]["examples"][split] for task in ("skills", "path"))
        assert report.splits[split] == postings + careers


def test_audit_prints_and_writes_the_report(data_module, tmp_path, capsys) -> None:
    out = tmp_path / "new" / "folder"
    audit(data_module(), str(out))
    printed = capsys.readouterr().out
    for words in ("rows read", "records kept", "leaks across splits: 0", "describe", "path"):
        assert words in printed
    written = json.loads((out / "data_report.json").read_text())
    assert (written["read"], written["leaks_across_splits"]) == (90, 0)
    assert written["tasks"]["path"]["prompts_too_long"] == 0
    assert written["values"]["position_title"]["distinct"] == 6


def test_audit_needs_neither_a_tokenizer_nor_a_folder(data_module, tmp_path, capsys) -> None:
    audit(data_module(tokenizer=None))
    assert "token counts need" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "tables"]


def test_audit_into_a_file_is_refused_before_any_work(data_module, tmp_path: Path) -> None:
    path = tmp_path / "taken"
    path.write_text("mine")
    with pytest.raises(InputError, match="is no folder; name one"):
        audit(data_module(), str(path))
    assert path.read_text() == "mine"
    assert not (tmp_path / "cache").exists()
