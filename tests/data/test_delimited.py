"""Laws of text tables: what people's tools write is read, and what cannot be read is one row's."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from careergpt.data.objects import Cell, RawRow
from careergpt.data.tables import open_tables

ROWS = [
    ["title", "text", "company"],
    ["Cook", 'Says "yes, chef"; fries', "Acme"],
    ["Pilot", "Flies | lands", ""],
    ["Nurse", "Cares, day\tand night", "Bram, Sons"],
    ["Clerk", "Files 6 inch", "C:"],
]
CELLS = [dict(zip(ROWS[0], row, strict=True)) for row in ROWS[1:]]
RAGGED = "more or fewer cells than the header"


def read(tmp_path: Path, name: str, text: str) -> list[RawRow]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8", newline="")
    (table,) = open_tables(str(path))
    return list(table.rows())


def whole(rows: Sequence[RawRow]) -> list[Mapping[str, Cell]]:
    return [row.cells for row in rows if not row.fault]


def written(**how: object) -> str:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, **how).writerows(ROWS)
    return buffer.getvalue()


STANDARD = written()
WRITTEN = {
    "commas": STANDARD,
    "all quoted": written(quoting=csv.QUOTE_ALL),
    "semicolons": written(delimiter=";"),
    "bars": written(delimiter="|"),
    "tabs in .csv": written(delimiter="\t"),
    "backslashes": written(doublequote=False, escapechar="\\", quoting=csv.QUOTE_ALL),
    "spaces after commas": STANDARD.replace(",", ", ").replace("yes, ", "yes,")
    .replace("Cares, ", "Cares,").replace("Bram, ", "Bram,"),
    "trailing commas": STANDARD.replace("\r\n", ",\r\n"),
    "trailing commas below the header": STANDARD.replace("\r\n", ",\r\n").replace(",\r", "\r", 1),
    "Excel's first line": "sep=;\r\n" + written(delimiter=";"),
    "Excel's first line, quoted": '"sep=|"\r\n' + written(delimiter="|"),
    "row numbers of pandas": "".join(
        f"{n - 1 if n else ''},{line}\n" for n, line in enumerate(STANDARD.splitlines())
    ),
    "row numbers of R": "".join(
        f"{line}\n" if n == 0 else f'"{n}",{line}\n' for n, line in enumerate(STANDARD.splitlines())
    ),
    "lines of an old Macintosh": STANDARD.replace("\r\n", "\r"),
}  # fmt: skip


@pytest.mark.parametrize("how", WRITTEN)
def test_what_tools_write_is_read(how: str, tmp_path: Path) -> None:
    rows = read(tmp_path, "t.csv", WRITTEN[how])
    assert [row.fault for row in rows] == [""] * len(CELLS)
    named = [{name: row.cells[name] for name in ROWS[0]} for row in rows]
    assert named == CELLS


@pytest.mark.parametrize("name", ["t.tsv", "t.txt", "t.csv"])
def test_tables_with_tabs_may_quote_or_not(name: str, tmp_path: Path) -> None:
    quoted = read(tmp_path, name, 'a\tb\n"x\ty"\t"say ""z"""\n1\t2\n')
    assert whole(quoted) == [{"a": "x\ty", "b": 'say "z"'}, {"a": "1", "b": "2"}]
    plain = read(tmp_path, name, 'a\tb\n"Hands-on" work\t5" pipes\n"open\tz\n1\t2\n')
    assert whole(plain) == [
        {"a": '"Hands-on" work', "b": '5" pipes'}, {"a": '"open', "b": "z"}, {"a": "1", "b": "2"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "caption",
    [
        "Postings of May",
        "Postings, as of May, 2026, all,,",
        "Postings,,\n,,",
        "# by us\n\n# in May",
    ],
)
def test_a_caption_is_told_and_the_header_found_below_it(caption: str, tmp_path: Path) -> None:
    rows = read(tmp_path, "t.csv", f"{caption}\n{STANDARD}")
    assert whole(rows) == CELLS
    above = [row for row in rows if row.fault]
    assert {row.fault for row in above} == {"above the header"}
    assert above[0].place.endswith("t.csv:1")


def test_a_captions_commas_delimit_nothing_above_a_table_of_others(tmp_path: Path) -> None:
    caption = "Postings, as of Monday, 3 May, 2026\n\n"
    table = "title;text;pay\nCook;Fries, boils;1.234,56\nPilot;Flies, lands;2.345,67\n"
    assert whole(read(tmp_path, "t.csv", caption + table)) == [
        {"title": "Cook", "text": "Fries, boils", "pay": "1.234,56"},
        {"title": "Pilot", "text": "Flies, lands", "pay": "2.345,67"},
    ]


def test_a_table_of_one_column_has_its_first_line_as_header(tmp_path: Path) -> None:
    assert whole(read(tmp_path, "t.csv", "title\nCook\nPilot\n")) == [
        {"title": "Cook"}, {"title": "Pilot"},
    ]  # fmt: skip


def test_ragged_rows_below_a_header_do_not_become_one(tmp_path: Path) -> None:
    rows = read(tmp_path, "t.csv", "a,b,c\n1,2\n3,4\n5,6,7\n8\n")
    assert whole(rows) == [{"a": "5", "b": "6", "c": "7"}]
    assert [row.fault for row in rows] == [RAGGED, RAGGED, "", RAGGED]


def test_an_unnamed_column_may_be_missing_or_filled(tmp_path: Path) -> None:
    rows = read(tmp_path, "t.csv", "a,b,\n1,2\n3,4,note\n5,6,,\n7,8,note,more\n")
    assert whole(rows) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}, {"a": "5", "b": "6"}]
    assert rows[-1].fault == RAGGED


def test_one_broken_row_does_not_change_how_the_others_are_read(tmp_path: Path) -> None:
    quoted = written(quoting=csv.QUOTE_ALL)
    rows = read(
        tmp_path, "t.csv", quoted + '"Cook" of ours,"x","y"\r\n' + quoted.partition("\n")[2]
    )
    assert whole(rows) == CELLS * 2
    assert [row.fault for row in rows if row.fault] == [
        'a quote amid a cell that is not written twice ("")'
    ]


def test_the_sample_of_a_table_of_giant_cells_is_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("careergpt.data.delimited.SAMPLE_CHARS", 1000)
    seen: list[str] = []
    real = csv.reader

    def reader(lines: object, **how: object) -> object:
        return map(lambda row: seen.append(row[0]) or row, real(lines, **how))  # type: ignore

    monkeypatch.setattr("careergpt.data.delimited.csv.reader", reader)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "x,y" * 500 + "\n" + "1,2\n" * 99)
    open_tables(str(path))
    assert len(seen) < 20
