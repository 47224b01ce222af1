"""Rows of JSON: one object a line, or objects one after the other in an array or without one."""

import json
import re
from collections.abc import Iterator

from careergpt.data.cells import RawRow, by_path
from careergpt.data.encodings import BAD, open_text
from careergpt.data.packed import CHUNK_BYTES
from careergpt.data.text_rows import MAX_ROW_CHARS, BrokenRowError, RowLines
from careergpt.errors import InputError

BETWEEN = re.compile(r"[\s,\[\]]*")

NOT_JSON = "not JSON"
NO_OBJECT = "no JSON object"


def read_json(path: str, encoding: str) -> Iterator[RawRow]:
    """The objects of a JSON file, each with the line where it starts."""
    with open_text(path, encoding) as file:
        start = file.read(CHUNK_BYTES).lstrip()
    # An array, or objects that each take several lines.
    is_document = start.startswith("[") or re.match(r"\{\s*?[\r\n]", start)
    return (_read_document if is_document else _read_lines)(path, encoding)


def _read_lines(path: str, encoding: str) -> Iterator[RawRow]:
    """One object a line; a line that is none is a row that cannot be read."""
    with open_text(path, encoding) as file:
        lines = RowLines(file, path)
        while True:
            lines.begin_row()
            place = f"{path}:{lines.first_line}"
            try:
                line = next(lines, None)
            except BrokenRowError as error:
                lines.resume_below()
                yield RawRow(place, {}, str(error))
                continue
            if line is None:
                return
            if lines.is_damaged:
                yield RawRow(place, {}, f"a byte that is not {encoding}")
            elif line.strip():
                yield _parsed(line, place)


def _parsed(line: str, place: str) -> RawRow:
    try:
        return _row(json.loads(line), place)
    except (ValueError, RecursionError):
        return RawRow(place, {}, NOT_JSON)


def _row(value: object, place: str) -> RawRow:
    return (
        RawRow(place, by_path(value)) if isinstance(value, dict) else RawRow(place, {}, NO_OBJECT)
    )


def _read_document(path: str, encoding: str) -> Iterator[RawRow]:
    """Objects one after the other, an object in memory at a time."""
    decode = json.JSONDecoder().raw_decode
    text, at, line = "", 0, 1
    with open_text(path, encoding) as file:
        while True:
            found = BETWEEN.match(text, at)
            assert found is not None
            start = found.end()
            line += text.count("\n", at, start)
            try:
                value, at = decode(text, start)
                row = _row(value, f"{path}:{line}")
            except (ValueError, RecursionError) as error:
                # It may go on beyond what was read.
                text, at = text[start:], 0
                more = file.read(max(CHUNK_BYTES, len(text))) if len(text) <= MAX_ROW_CHARS else ""
                if not (text or more):
                    return
                if not more:
                    said = error.msg if isinstance(error, json.JSONDecodeError) else error
                    raise InputError(f"{path}:{line}: not whole JSON ({said}). Mend it") from error
                text += more
                continue
            if text.find(BAD, start, at) >= 0:
                row = RawRow(row.place, {}, f"a byte that is not {encoding}")
            yield row
            line += text.count("\n", start, at)
