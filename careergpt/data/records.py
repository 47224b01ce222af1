"""Records: the clean text fields of a table's row, or why it gives none.

A record file holds one record a row: its fields, and beside them what `BESIDE_FIELDS` names.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, NamedTuple

import pyarrow as pa

from careergpt.data.cleaning import clean_item, clean_text, is_missing, split_list
from careergpt.data.names import clean_title, distinct_names, plain_key
from careergpt.data.objects import Cell, NamelessError, RawRow, structured
from careergpt.data.tasks import (
    Field,
    Fields,
    Task,
    fields_of,
    indexed_fields,
    missing_from,
    required_fields,
)

# What the fields hold decides how they are cleaned; every other field is plain text.
TITLES = ("position_title", "titles")
DESCRIPTION = "job_description"
CAREER = "titles"

# Read whatever the tasks ask for: a row's duplicates and its split depend on these alone.
STANDARD = ("company_name", "position_title", DESCRIPTION, "skills", CAREER, "field")
SPLIT = "split"
SPLIT_COLUMNS = ("split", "Split", "subset", "partition", "set")

LONGEST_TITLE = 100
"""Characters; where there is no description to compare it with, a longer title reads like one."""

BESIDE_FIELDS = pa.schema(
    {
        "id": pa.string(),
        "place": pa.string(),
        "key": pa.string(),
        "signature": pa.binary(),
        "hash": pa.float64(),
        "group": pa.int64(),
        "own_split": pa.int8(),
    }
)
"""`key` names a record's text; `hash`, made of its group's least key, decides its split."""


class RecordRules(NamedTuple):
    """How a row becomes a record: everything that its text depends on.

    Attributes:
        columns: Field name -> the columns that may hold it; the first with text wins.
        separators: List field -> what separates its items in one cell (None: guessed by cell).
        tasks: What a record may serve; a row that serves none of them is dropped.
        mask_contacts: Whether e-mail addresses and phone numbers are masked.
        own_splits: Whether equal rows are two where the tables have them in two splits.
        turns: List fields whose items are whole texts, taken by their place: a chat's turns.
    """

    columns: Mapping[str, tuple[str, ...]]
    separators: Mapping[str, str | None]
    tasks: Mapping[str, Task]
    mask_contacts: bool
    own_splits: bool
    turns: tuple[str, ...]

    @property
    def fields(self) -> list[str]:
        """What a record may hold: all but what a row says of its split."""
        return [field for field in self.columns if field != SPLIT]

    @property
    def schema(self) -> pa.Schema:
        """The columns of a record file."""
        lists = {*self.separators, *self.turns}
        kinds = [pa.list_(pa.string()) if name in lists else pa.string() for name in self.fields]
        return pa.schema([*BESIDE_FIELDS, *map(pa.field, self.fields, kinds)])

    def find(self, field: str, columns: Container[str]) -> bool:
        """Whether one of the columns may hold the field."""
        return any(column in columns for column in self.columns[field])

    def lacking(self, task: Task, columns: Container[str]) -> list[str]:
        """The fields that the task needs and none of the columns may hold."""
        return [field for field in required_fields(task) if not self.find(field, columns)]


class Record(NamedTuple):
    """A row as clean text: field name -> text, or items for a list field.

    `split` is what the row itself says of its split; empty where it says nothing.
    """

    id: str
    fields: Fields
    split: str = ""


class Dropped(NamedTuple):
    """A row that gives no record, why, and where it stands."""

    reason: str
    place: str


def record_rules(
    columns: Mapping[str, str | Sequence[str]],
    separators: Mapping[str, str | None],
    tasks: Mapping[str, Task],
    mask_contacts: bool,
    own_splits: bool = False,
) -> RecordRules:
    """The rules for standard fields and those of the tasks; a column has its field's name."""
    of_tasks = [name for task in tasks.values() for name in fields_of(task)]
    mapped = {}
    for field in dict.fromkeys([*STANDARD, SPLIT, *of_tasks, *columns]):
        named = columns.get(field, SPLIT_COLUMNS if field == SPLIT else field)
        mapped[field] = (named,) if isinstance(named, str) else tuple(named)
    indexed = {field for task in tasks.values() for field in indexed_fields(task)}
    turns = tuple(sorted(indexed.difference(separators, STANDARD)))
    return RecordRules(mapped, dict(separators), dict(tasks), mask_contacts, own_splits, turns)


def fields_of_row(row: Mapping[str, Any]) -> Fields:
    """The record's fields as a row of the record file holds them, without the empty ones."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.items()
        if value and name not in BESIDE_FIELDS.names
    }


def items_of(column: pa.ChunkedArray) -> Iterator[Sequence[str]]:
    """The items of each cell: a text is one, an empty cell has none."""
    for value in column:
        held = value.as_py() or ()
        yield (held,) if isinstance(held, str) else held


def record_from(row: RawRow, rules: RecordRules) -> Record | Dropped:
    """The row's clean fields, with an id made from them; or the reason why no task can use it."""
    if row.fault:
        return Dropped(row.fault, row.place)
    fields: dict[str, Field] = {}
    for field, columns in rules.columns.items():
        try:
            value = _value(field, [row.cells.get(column) for column in columns], rules)
        except NamelessError as error:
            return Dropped(f"{field} {error}", row.place)
        if value:
            fields[field] = value
    split = str(fields.pop(SPLIT, ""))
    # What a row's table has no column for is no reason.
    missing = [
        missing_from(task, fields)
        for task in rules.tasks.values()
        if not rules.lacking(task, row.cells)
    ]
    if all(missing):
        reason = f"no {min(missing, key=len)[0]}" if missing else "no field of any task"
        return Dropped(reason, row.place)
    return Record(digest(*_flatten(fields)), fields, split)


def _value(field: str, cells: Sequence[Cell], rules: RecordRules) -> Field:
    """The clean text of the first cell that has some; empty where none has."""
    for cell in cells:
        if isinstance(cell, str):
            cell = structured(cell)
        if cell is None:
            continue
        if field in rules.separators:
            value: Field = _items(field, cell, rules.separators[field])
        elif field in rules.turns:
            turns = [cell] if isinstance(cell, str) else cell
            value = tuple(_text(field, turn, rules) for turn in turns)
        else:
            value = _text(field, cell if isinstance(cell, str) else ", ".join(cell), rules)
        if value:
            return value
    return ""


def _items(field: str, cell: str | list[str], separator: str | None) -> tuple[str, ...]:
    if isinstance(cell, str):
        cell = [] if is_missing(cell) else split_list(cell, separator)
    clean = clean_title if field in TITLES else clean_item
    items = [item for item in map(clean, cell) if not is_missing(item)]
    # Holding the same title twice is a move too.
    return tuple(items) if field in TITLES else distinct_names(items)


def _text(field: str, cell: str, rules: RecordRules) -> str:
    if is_missing(cell):
        return ""
    if field in TITLES:
        text = clean_title(cell)
    else:
        text = clean_text(cell, mask_contacts=rules.mask_contacts)
    if field == "company_name":
        text = text.partition("\n")[0]  # Some scrapes put a rating below the name.
    return "" if is_missing(text) else text


def reads_like_a_description(fields: Fields) -> bool:
    """Whether the title is longer than its description: are the columns swapped?"""
    description = str(fields.get(DESCRIPTION, ""))
    return len(str(fields.get("position_title", ""))) > (len(description) or LONGEST_TITLE)


def standard_key(record: Record) -> str:
    """What a record without a description is drawn by: title, skills in any order, career.

    Whose posting it is does not count, nor what else the tasks name: equal questions and answers
    are never on both sides of a split.
    """
    forms: dict[str, Field] = {}
    for name in ("position_title", "skills", CAREER):
        if value := record.fields.get(name):
            keys = [plain_key(value)] if isinstance(value, str) else [*map(plain_key, value)]
            forms[name] = "\x1e".join(sorted(keys) if name == "skills" else keys)
    return digest(*_flatten(forms)) if forms else record.id


def digest(*parts: str) -> str:
    """Sixteen hexadecimal digits that name these texts, the same on every machine."""
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _flatten(fields: Fields) -> Iterable[str]:
    for name, value in sorted(fields.items()):
        yield name
        yield value if isinstance(value, str) else "\x1e".join(value)
