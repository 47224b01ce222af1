"""Laws of formats and bounds: what holds a table is read, and what would fill memory is refused."""

import bz2
import gzip
import json
import lzma
import resource
import zipfile
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet

from careergpt.data.columns import check_columns
from careergpt.data.prepare import prepare_records
from careergpt.data.tables import find_tables, open_tables
from careergpt.errors import InputError

ROWS = [{"a": "x", "b": "y, z"}, {"a": "1", "b": "2"}]
CSV = 'a,b\nx,"y, z"\n1,2\n'
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)

FILES = {
    "t.csv.gz": gzip.compress(CSV.encode()),
    "t.csv.bz2": bz2.compress(CSV.encode()),
    "t.csv.xz": lzma.compress(CSV.encode()),
    "t.jsonl": LINES.encode(),
    "t.json": LINES.encode(),
    "array.json": json.dumps(ROWS).encode(),
    "indented.json": json.dumps(ROWS, indent=2).encode(),
    "array.jsonl": json.dumps(ROWS, indent=1).encode("utf-16"),
    "jq.json": "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
    "t.txt": CSV.replace(",", "\t").replace("y\t", "y,").encode(),
    "t.txt.gz": gzip.compress(CSV.replace(",", "\t").replace("y\t", "y,").encode()),
}


def rows_of(source: str) -> list[dict[str, object]]:
    return [dict(row.cells) for table in open_tables(source) for row in table.rows()]


def mistake(source: str) -> str:
    with pytest.raises(InputError) as caught:
        rows_of(source)
    return str(caught.value)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("archived", [False, True])
def test_every_format_gives_the_same_rows(name: str, archived: bool, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name])
    if archived:
        with zipfile.ZipFile(tmp_path / "all.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.write(path, f"2026/{name}")
            archive.writestr("__MACOSX/2026/._t.csv", "nothing")
        path = tmp_path / "all.zip"
    assert rows_of(str(path)) == ROWS


def test_rows_of_an_array_know_the_lines_where_they_start(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    many = [{"a": "x" * n, "b": {"n": n}} for n in range(2000)]
    path.write_text("\n" + json.dumps(many, indent=1) + "\n")
    (table,) = open_tables(str(path))
    found = list(table.rows())
    assert [row.cells["b.n"] for row in found] == [str(n) for n in range(2000)]
    assert [row.place for row in found] == [f"{path}:{3 + 6 * n}" for n in range(2000)]


def test_what_is_no_object_in_an_array_is_dropped_and_a_cut_array_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.json"
    path.write_text('[{"a": 1}, 2, "x",\n{"a": 2}]')
    (table,) = open_tables(str(path))
    assert [row.fault for row in table.rows()] == ["", "no JSON object", "no JSON object", ""]
    path.write_text('[{"a": 1},\n{"a": 2},\n{"a')
    assert mistake(str(path)).startswith(f"{path}:3: not whole JSON (Unterminated string")


def nested(tmp_path: Path, kind: str) -> str:
    rows = [
        {"id": 7, "job": {"title": "Cook", "text": "Fries.", "at": {"city": "Ghent"}},
         "skills": [{"name": "SQL", "level": 3}, {"name": "R", "level": None}]},
        {"id": 8, "job": {"title": "Pilot", "text": None, "at": None}, "skills": []},
    ]  # fmt: skip
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        parquet.write_table(pa.Table.from_pylist(rows), path)
    else:
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        path.write_text(lines if kind == "jsonl" else json.dumps(rows, indent=1))
    return str(path)


@pytest.mark.parametrize("kind", ["jsonl", "json", "parquet"])
def test_values_within_objects_have_paths_and_objects_stand_for_their_names(
    kind: str, tmp_path: Path
) -> None:
    path = nested(tmp_path, kind)
    first, second = rows_of(path)
    assert first == {
        "id": "7", "job": "Cook", "job.title": "Cook", "job.text": "Fries.", "job.at": "Ghent",
        "job.at.city": "Ghent", "skills": ["SQL", "R"], "skills.name": ["SQL", "R"],
        "skills.level": ["3"],
    }  # fmt: skip
    assert (second["job.title"], second["job.text"], second["skills"]) == ("Pilot", None, [])
    assert set(open_tables(path)[0].columns) == set(first)


def test_paths_are_columns_of_records(tmp_path: Path, rules: Callable) -> None:
    columns = {"position_title": "job.title", "job_description": "job.text"}
    found = prepare_records(nested(tmp_path, "jsonl"), rules(columns=columns), tmp_path, workers=1)
    assert found.counts["kept"] == 1
    assert found.counts["first_dropped"] == {"no job_description": "t.jsonl:2"}


def test_a_folder_tells_what_it_passes_over(tmp_path: Path) -> None:
    for name, content in {**FILES, "notes.txt": b"a\n1\n", "b.docx": b"", ".x": b""}.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "inside").mkdir()
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("t.csv", CSV)
        archive.writestr("readme.md", "x")
    found, passed_over = find_tables(str(tmp_path))
    assert len(found) == len(FILES) + 1
    assert f"{tmp_path}/all.zip/t.csv" in found
    names = ("all.zip/readme.md", "b.docx", "inside", "notes.txt")
    assert passed_over == [f"{tmp_path}/{name}" for name in names]
    assert rows_of(str(tmp_path)) == ROWS * (len(FILES) + 1)


def test_the_first_sheet_of_a_workbook_is_a_table(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    path, book = tmp_path / "t.xlsx", openpyxl.Workbook()
    for row in (["Postings of May"], [], ["a", None, "n"], ["x", "note", 1], ["y", None, 2.5]):
        book.active.append(row)
    book.create_sheet("Notes").append(["a"])
    book.save(path)
    (table,) = open_tables(str(path))
    assert table.columns == ("a", "n")
    assert table.passed_over == (f"{path}: sheet Notes",)
    assert [(row.place, row.fault or dict(row.cells)) for row in table.rows()] == [
        (f"{path}:1", "above the header"),
        (f"{path}:4", {"a": "x", "n": "1"}),
        (f"{path}:5", {"a": "y", "n": "2.5"}),
    ]
    path.write_bytes(path.read_bytes()[:300])
    assert mistake(str(path)).startswith(f"{path} is no whole workbook: ")


def test_a_sheet_that_is_no_table_is_named_with_those_that_are_not_read(
    tmp_path: Path, rules
) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    path, book = tmp_path / "t.xlsx", openpyxl.Workbook()
    book.create_sheet("Jobs").append(["position_title", "job_description"])
    book.save(path)
    assert mistake(str(path)).startswith(f"{path}: sheet Sheet is empty")
    for row in (["About this file"], ["by us"]):
        book.active.append(row)
    book.save(path)
    with pytest.raises(InputError, match=r"it has: About this file; not read: .*: sheet Jobs\)"):
        check_columns(open_tables(str(path)), rules())


def test_a_workbook_without_openpyxl_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openpyxl", None)
    path = tmp_path / "t.xlsx"
    path.write_bytes(b"PK")
    said = mistake(str(path))
    assert all(fact in said for fact in (str(path), "openpyxl", "careergpt[sheets]", ".csv"))


def zipped(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("t.csv", content)


def one_text(path: Path, rows: list[object]) -> None:
    parquet.write_table(pa.table({"a": rows}), path, compression="zstd")


LIMIT = 1 << 20
BOMBS = {
    "t.csv.gz": lambda path: path.write_bytes(gzip.compress(b"a\n" * LIMIT)),
    "t.json.bz2": lambda path: path.write_bytes(bz2.compress(b"[" * 3 * LIMIT)),
    "t.jsonl.xz": lambda path: path.write_bytes(lzma.compress(b" " * 3 * LIMIT)),
    "t.zip": lambda path: zipped(path, b"a\n" * LIMIT),
    "t.parquet": lambda path: one_text(path, ["x" * (LIMIT // 4)] * 1000),
    "lists.parquet": lambda path: one_text(path, [["x" * (LIMIT // 4)] * 100] * 10),
    "t.parquet.gz": lambda path: path.write_bytes(gzip.compress(bytes(3 * LIMIT))),
    "t.xlsx": lambda path: zipped(path, bytes(3 * LIMIT)),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
def test_what_unfolds_beyond_all_measure_is_refused_before_it_is_held(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.endswith(".xlsx"):
        pytest.importorskip("openpyxl")
    monkeypatch.setattr("careergpt.data.foreign_files.MOST_BYTES", LIMIT)
    BOMBS[name](tmp_path / name)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert "bytes that unfold to more than 1,0" in mistake(str(tmp_path / name))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_runs_of_nothing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("careergpt.data.objects.MOST_VALUES", 10_000)
    path = tmp_path / "t.parquet"
    one_text(path, pa.nulls(20_000, pa.string()))
    assert "says that they are 20,000 values: no table does" in mistake(str(path))
    monkeypatch.setattr("careergpt.data.text_files.MAX_BLANK_LINES", 10_000)
    path = tmp_path / "t.csv"
    path.write_bytes(b"a\n" + b"\n" * 10_002)
    assert mistake(str(path)) == f"{path}:10002: 10,000 lines without a word. Remove them"


def test_a_locked_archive_is_named(tmp_path: Path) -> None:
    path = tmp_path / "t.zip"
    zipped(path, CSV.encode())
    content = bytearray(path.read_bytes())
    for start in (content.index(b"PK\3\4") + 6, content.index(b"PK\1\2") + 8):
        content[start] |= 1
    path.write_bytes(content)
    assert mistake(str(path)).startswith(f"{path}/t.csv cannot be unpacked: ")
    path.write_bytes(content[:40])
    assert (
        mistake(str(path))
        == f"{path} is damaged: File is not a zip file. Fetch it or pack it again"
    )
