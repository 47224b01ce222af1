"""Laws of encodings: each is found, leaves no trace, and a byte that is not of it costs one row."""

import pytest

from careergpt.errors import InputError
from tests.data.reading import Write, cells, faults, only


@pytest.mark.parametrize(
    ("encode", "expected"),
    [
        ("utf-8", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", "utf-16-le"),
        ("utf-16-be", "utf-16-be"),
        ("cp1252", "cp1252"),
    ],
)
@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_the_encoding_is_found_and_leaves_no_trace(
    write: Write, encode: str, expected: str, suffix: str
) -> None:
    text = "title,text\nCafé owner,\u201cbrews\u201d\n"
    table = only(write(f"t.csv{suffix}", text.encode(encode)))
    assert table.encoding == expected
    assert [row.cells for row in table.rows()] == [
        {"title": "Café owner", "text": "\u201cbrews\u201d"}
    ]


def test_a_late_byte_decides_the_encoding(write: Write) -> None:
    start = b"a\n" + b"x\n" * 800_000
    assert only(write("t.csv", start + "é\n".encode())).encoding == "utf-8"
    assert only(write("t.csv", start + "é\n".encode("cp1252"))).encoding == "cp1252"


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_a_byte_of_no_encoding_costs_its_own_row(write: Write, suffix: str) -> None:
    rows = ['"caf\u00e9 \u201d"', "1", '"x\udcff"', '"\u00e9"', "2"]
    if suffix == "jsonl":
        rows = [f'{{"a": {row}}}' for row in rows]
    text = "\n".join(["a", *rows] if suffix == "csv" else rows)
    path = write(f"t.{suffix}", text.encode(errors="surrogateescape"))
    assert faults(path) == {4 if suffix == "csv" else 3: "a byte that is not utf-8"}
    assert [row["a"] for row in cells(path)] == ["caf\u00e9 \u201d", "1", "\u00e9", "2"]


def test_a_byte_of_no_encoding_in_the_header_is_named(write: Write) -> None:
    path = write("t.csv", b"a\x81\n" + b"x\n" * 9)
    with pytest.raises(InputError, match=r"t\.csv:1: the header has a byte that is not cp1252"):
        only(path)


def test_a_file_that_is_mostly_of_another_encoding_is_not_utf8(write: Write) -> None:
    path = write("t.csv", b"a\n\xe9t\xe9\n\xfcber\nx\x81\n\xc3\xa9\n")
    assert only(path).encoding == "cp1252"
    assert faults(path) == {4: "a byte that is not cp1252"}


def test_a_stray_nul_is_text(write: Write) -> None:
    assert cells(write("t.csv", "a,b\nx\0y,z\n")) == [{"a": "x\0y", "b": "z"}]
