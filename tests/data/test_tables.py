"""Laws of reading tables: every row is found where it stands, and every mistake is named."""

import csv
import gzip
import io
import json
import tracemalloc
from pathlib import Path

import datasets
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from careergpt.data.objects import RawRow
from careergpt.data.tables import open_tables
from careergpt.errors import InputError
from tests.data.reading import Write, cells, faults, only

RAGGED = "more or fewer cells than the header"
OPEN = "a quote that is opened and never closed"


def read_all(source: str | list[str]) -> None:
    """Opens the tables and reads every row."""
    for table in open_tables(source):
        list(table.rows())


def mistake(source: str | list[str]) -> str:
    """What a user is told, from opening the tables to reading their last row."""
    with pytest.raises(InputError) as caught:
        read_all(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_a_row_knows_the_line_where_it_starts(write: Write, suffix: str) -> None:
    path = write(f"jobs.csv{suffix}", 'title,text\n\nCook,"fries\nand boils"\r\nPilot,flies\n')
    assert list(only(path).rows()) == [
        RawRow(f"{path}:3", {"title": "Cook", "text": "fries\nand boils"}),
        RawRow(f"{path}:5", {"title": "Pilot", "text": "flies"}),
    ]


def test_rows_stream_anew_at_each_call(write: Write) -> None:
    table = only(write("jobs.csv", "a\n1\n2\n"))
    first = table.rows()
    next(first)
    assert len(list(table.rows())) == 2
    assert len(list(first)) == 1


def test_a_ragged_row_is_reported_and_never_guessed_at(write: Write) -> None:
    path = write("jobs.csv", "a,b\n1\n1,2\n1,2,3\n")
    assert list(only(path).rows()) == [
        RawRow(f"{path}:2", {}, RAGGED),
        RawRow(f"{path}:3", {"a": "1", "b": "2"}),
        RawRow(f"{path}:4", {}, RAGGED),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("t.csv", "a,b\nx,y\n"),
        ("t.csv", "a;b\nx;y\n"),
        ("t.csv", "a\tb\nx\ty\n"),
        ("t.csv", '"a",b\nx,y\n'),
        ("t.csv", '" a ",b \rx,y\r'),
        ("t.tsv", "a\tb\nx\ty\n"),
        ("T.CSV", "a,b\nx,y"),
        ("t.jsonl", '{"a": "x", "b": "y"}\n'),
        ("t.ndjson", '\n{"b": "y", "a": "x"}'),
        ("t.jsonl.gz", '{"a": "x", " b": "y"}\n'),
    ],
)
def test_every_kind_of_text_table_gives_the_same_cells(
    write: Write, name: str, content: str
) -> None:
    assert cells(write(name, content)) == [{"a": "x", "b": "y"}]


def test_delimiters_inside_quotes_of_the_header_do_not_count(write: Write) -> None:
    assert only(write("t.csv", '"a, b, c";d\n1;2\n')).columns == ("a, b, c", "d")


def test_of_duplicated_columns_the_first_wins_and_all_are_shown(write: Write) -> None:
    table = only(write("t.csv", "a, a,,b\n1,2,3,4\n"))
    assert table.columns == ("a", "a", "b")
    assert cells(table.name) == [{"a": "1", "b": "4"}]


def test_na_and_none_are_words(write: Write) -> None:
    assert cells(write("t.csv", "a,b\nNA,None\n")) == [{"a": "NA", "b": "None"}]


def test_json_values_become_text_and_lists_stay_lists(write: Write) -> None:
    row: dict[str, object] = {"s": "x", "n": 1, "f": 1.5, "t": True, "none": None, "o": {"k": 1}}
    row["l"] = ["a", 1, None, [2, "b"]]
    assert cells(write("t.jsonl", json.dumps(row))) == [
        {"s": "x", "n": "1", "f": "1.5", "t": "true", "none": None, "o.k": "1"}
        | {"l": ["a", "1", "2", "b"]}
    ]


def test_columns_of_json_lines_are_the_keys_of_its_first_rows(write: Write) -> None:
    table = only(write("t.jsonl", '{"b": 1}\n{"a": 1, "b": 2}\n'))
    assert table.columns == ("b", "a")
    assert cells(table.name) == [{"b": "1"}, {"a": "1", "b": "2"}]


@pytest.mark.parametrize("end", ["8", '"eight"', '"eight" of'])
def test_an_unclosed_quote_costs_its_own_line(write: Write, end: str) -> None:
    path = write("t.csv", f'a,b\n1,2\n3,"four\n5,6\n7,{end}\n9,0\n')
    found = faults(path)
    assert found.pop(3) == OPEN
    assert list(found) == ([5] if end == '"eight" of' else [])
    assert [row["a"] for row in cells(path)] == ["1", "5"] + ["7"] * (not found) + ["9"]


def test_rows_below_a_broken_one_keep_their_lines(write: Write) -> None:
    path = write("t.csv", 'a,b\n3,"four" five\n"5\n\n",6\n7,8\n')
    assert [(row.place, bool(row.fault)) for row in only(path).rows()] == [
        (f"{path}:2", True), (f"{path}:3", False), (f"{path}:6", False),
    ]  # fmt: skip


def test_a_broken_line_of_json_costs_itself(write: Write) -> None:
    bad = ("{'a': 1}", "[1]", '"a"', "null", "[" * 100_000, '{"a": ' + "9" * 5000 + "}", '{"a": ')
    for line in bad:
        path = write("t.jsonl", '{"a": 1}\n\n' + line + '\n{"a": 2}\n')
        assert list(faults(path)) == [3]
        assert faults(path)[3] in ("not JSON", "no JSON object")
        assert [row["a"] for row in cells(path)] == ["1", "2"]


def test_a_cell_may_be_larger_than_csv_thinks(write: Write) -> None:
    csv.field_size_limit(131_072)
    assert cells(write("t.csv", f"a\n{'x' * 200_000}\n")) == [{"a": "x" * 200_000}]


@pytest.mark.parametrize(
    ("start", "unit", "end", "fault"),
    [
        ("a\n1\n", "x" * 999, "\n2\n", "a line longer than 2,000,000 characters"),
        ('a\n1\n"', "x" * 998 + "\n", "\n2\n", OPEN),
        ('{"a": 1}\n\n"', "x" * 999, '\n{"a": 2}', "a line longer than 2,000,000 characters"),
    ],
    ids=["line", "quote", "json"],
)
def test_a_giant_row_is_dropped_without_being_held(
    write: Write, start: str, unit: str, end: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 2_000_000
    monkeypatch.setattr("careergpt.data.text_files.MAX_ROW_CHARS", most)
    content = start + unit * (4 * most // 999) + end
    path = write("t.jsonl.gz" if start.startswith("{") else "t.csv.gz", content)
    tracemalloc.start()
    rows = only(path).rows()
    found = [next(rows), next(rows)]
    for last in rows:  # noqa: B007
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (found[1].place, found[1].fault) == (f"{path}:3", fault)
    assert last.cells == {"a": "2"}
    # csv holds a cell in four bytes a character and doubles its room; the file is twice as much.
    assert peak < 16 * most


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl", ".csv.gz", ".jsonl.gz"])
@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_named(write: Write, suffix: str, content: str) -> None:
    path = write(f"t{suffix}", content)
    assert mistake(path).startswith(f"{path} is empty")


def test_a_header_alone_is_named(write: Write) -> None:
    path = write("t.csv", "a,b\n\n")
    assert mistake(path).startswith(f"{path} has a header and no rows")


@pytest.mark.parametrize("name", ["t.csv.gz", "t.jsonl.gz", "t.parquet.gz"])
@pytest.mark.parametrize("keep", ["half", "none"])
def test_a_broken_gzip_file_is_named(tmp_path: Path, name: str, keep: str) -> None:
    packed = gzip.compress("\n".join(map(str, range(9999))).encode())
    path = tmp_path / name
    path.write_bytes(packed[: len(packed) // 2] if keep == "half" else b"a,b\n1,2\n")
    assert mistake(str(path)).startswith(f"{path} is damaged: ")


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    for path in (str(tmp_path / "none.csv"), "", "a/b.csv", "../none.of/x", "a/b/c", "none"):
        assert mistake(path).startswith(f"no such file or folder: {path}")
    assert "no tables given" in mistake([])


def test_a_file_that_is_no_table_is_told_the_suffixes(write: Write) -> None:
    for name in ("t.txt", "t.docx"):
        assert ".csv, .tsv, .txt, .json, .jsonl, .ndjson, .parquet" in mistake(write(name, "a"))


def test_a_folder_gives_its_own_tables_by_name(write: Write, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "d.csv").mkdir()
    write("b.csv", "a\n1\n")
    write("a.jsonl", '{"a": 1}')
    for other in ("in/c.csv", "._b.csv", "readme.txt"):
        write(other, "a\n1\n")
    names = [table.name for table in open_tables(str(tmp_path))]
    assert names == [str(tmp_path / "a.jsonl"), str(tmp_path / "b.csv")]


def test_a_folder_without_tables_is_told_the_suffixes(tmp_path: Path) -> None:
    assert f"{tmp_path} has no tables" in mistake(str(tmp_path))
    assert ".parquet" in mistake(str(tmp_path))


def test_an_unreadable_file_or_folder_is_named(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write("t.csv", "a\n1\n")

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.listdir", refuse)
    monkeypatch.setattr("careergpt.data.foreign_files.open", refuse, raising=False)
    assert mistake(path) == f"{path} cannot be read: Permission denied"
    assert mistake(str(tmp_path)) == f"{tmp_path} cannot be read: Permission denied"


def test_several_sources_are_read_in_their_order(write: Write) -> None:
    second, first = write("b.csv", "a\n1\n"), write("a.csv", "a\n1\n")
    assert [table.name for table in open_tables([second, first])] == [second, first]


@pytest.mark.parametrize("packed", [False, True])
def test_parquet_gives_its_rows_by_number(tmp_path: Path, packed: bool) -> None:
    buffer = io.BytesIO()
    table = pa.table({"a": [1, None], "b": [["x", "y"], []], "c": ["é", "NA"]})
    parquet.write_table(table, buffer)
    path = tmp_path / ("t.parquet.gz" if packed else "t.parquet")
    path.write_bytes(gzip.compress(buffer.getvalue()) if packed else buffer.getvalue())
    found = only(str(path))
    assert (found.columns, found.encoding) == (("a", "b", "c"), "")
    assert list(found.rows()) == [
        RawRow(f"{path}:row 1", {"a": "1", "b": ["x", "y"], "c": "é"}),
        RawRow(f"{path}:row 2", {"a": None, "b": [], "c": "NA"}),
    ]


def test_broken_and_empty_parquet_files_are_named(write: Write, tmp_path: Path) -> None:
    path = write("t.parquet", "a,b\n1,2\n" * 9)
    assert mistake(path).startswith(f"{path} is no whole Parquet file")
    parquet.write_table(pa.table({"a": pa.array([], pa.string())}), path)
    assert mistake(path).startswith(f"{path} is empty")


def test_a_hub_name_gives_all_splits_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = datasets.DatasetDict(
        {
            "train": datasets.Dataset.from_dict({"a": ["x", None], "b": [["p"], []]}),
            "test": datasets.Dataset.from_dict({"a": ["y"], "b": [["q"]]}),
        }
    )
    monkeypatch.setattr(datasets, "load_dataset", {"owner/jobs": splits}.__getitem__)
    table = only("owner/jobs")
    assert (table.name, table.columns, table.encoding) == ("owner/jobs", ("a", "b"), "")
    assert list(table.rows()) == [
        RawRow("owner/jobs:train:row 1", {"a": "x", "b": ["p"]}),
        RawRow("owner/jobs:train:row 2", {"a": None, "b": []}),
        RawRow("owner/jobs:test:row 1", {"a": "y", "b": ["q"]}),
    ]
    assert table.content == only("owner/jobs").content


def test_a_hub_that_fails_is_one_line_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ConnectionError("Could not reach the hub.\nTraceback follows")

    monkeypatch.setattr(datasets, "load_dataset", fail)
    message = mistake("owner/jobs")
    assert message.startswith("no such file or folder: owner/jobs;")
    assert "Could not reach the hub" in message
    assert message.endswith("An offline machine needs a local file")


def test_a_folder_wins_over_the_hub(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "owner" / "jobs").mkdir(parents=True)
    write("owner/jobs/t.csv", "a\n1\n")
    monkeypatch.chdir(tmp_path)
    assert only("owner/jobs").name == "owner/jobs/t.csv"


def test_the_content_follows_bytes_and_names_but_not_folders(write: Write, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, two = write("a.csv", "a\n1\n"), write("b.csv", "a\n1\n")
    assert only(one).content == only(write("other/a.csv", "a\n1\n")).content
    contents = [only(path).content for path in (one, two)]
    contents.append(only(write("a.csv", "a\n2\n")).content)
    assert len(set(contents)) == len(contents)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_table_that_changes_while_it_is_read_is_told_at_its_end(write: Write, name: str) -> None:
    text = "a\n1\n2\n" if name.endswith("csv") else '{"a": 1}\n{"a": 2}\n'
    rows = only(write(name, text)).rows()
    next(rows)
    write(name, text + text.splitlines()[-1] + "\n")
    with pytest.raises(InputError, match=f"{name} changed while it was read"):
        list(rows)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
def test_what_csv_writes_is_read_back(
    tmp_path: Path, rows: list[list[str]], delimiter: str, encoding: str
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter).writerows([["first", "second"], *rows])
    path = tmp_path / "t.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    assert cells(str(path)) == [dict(zip(("first", "second"), row, strict=True)) for row in rows]


def test_an_object_that_says_something_twice_is_not_guessed_at(write: Write) -> None:
    path = write("t.jsonl", '{"a": 1}\n{"a": 2, "a": 3}\n{"a": 4}\n')
    assert faults(path) == {2: "it says 'a' twice"}
    assert [row["a"] for row in cells(path)] == ["1", "4"]
    with pytest.raises(InputError, match=r"t\.json:2: it says 'a' twice"):
        only(write("t.json", '[{"a": 1},\n{"b": {"a": 2, "a": 3}}]'))
