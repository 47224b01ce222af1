"""Records: the clean text fields of a table's row, or the reason why the row gives none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import NamedTuple

from careergpt.data.cells import Cell, NamelessError, RawRow, structured
from careergpt.data.cleaning import clean_item, clean_text, clean_title, is_missing, split_list
from careergpt.data.names import title_key
from careergpt.data.tasks import (
    Field,
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
STANDARD = ("company_name", "position_title", DESCRIPTION, "skills", CAREER)
SPLIT = "split"
SPLIT_COLUMNS = ("split", "Split", "subset", "partition", "set")

LONGEST_TITLE = 100
"""Characters; where there is no description to compare it with, a longer title reads like one."""


class RecordRules(NamedTuple):
    """How a row becomes a record: everything that its text depends on.

    Attributes:
        columns: Field name -> the columns that may hold it; the first with text wins.
        separators: List field -> what separates its items in one cell (None: guessed by cell).
        tasks: The questions; a row that can be asked none of them is dropped.
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


class Record(NamedTuple):
    """A row as clean text: field name -> text, or items for a list field.

    `split` is what the row itself says of its split; empty where it says nothing.
    """

    id: str
    fields: Mapping[str, Field]
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
    named_by_tasks = [name for task in tasks.values() for name in fields_of(task)]
    fields = dict.fromkeys([*STANDARD, SPLIT, *named_by_tasks, *columns])
    mapped = {}
    for field in fields:
        named = columns.get(field, SPLIT_COLUMNS if field == SPLIT else field)
        mapped[field] = (named,) if isinstance(named, str) else tuple(named)
    indexed = {field for task in tasks.values() for field in indexed_fields(task)}
    turns = tuple(sorted(indexed.difference(separators, STANDARD)))
    return RecordRules(mapped, dict(separators), dict(tasks), mask_contacts, own_splits, turns)


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
    missing = [missing_from(task, fields) for task in _served_tasks(row, rules)]
    if all(missing):
        reason = f"no {min(missing, key=len)[0]}" if missing else "no field of any task"
        return Dropped(reason, row.place)
    return Record(digest(*_flatten(fields)), fields, split)


def reads_like_a_description(fields: Mapping[str, Field]) -> bool:
    """Whether the title is longer than its description: are the columns swapped?"""
    description = str(fields.get(DESCRIPTION, ""))
    return len(str(fields.get("position_title", ""))) > (len(description) or LONGEST_TITLE)


def standard_key(record: Record) -> str:
    """What a record without a description is drawn by: title, skills in any order, career.

    Whose posting it is does not count, nor what else the tasks name: equal questions and answers
    are never on both sides of a split.
    """
    said = {
        name: title_key(value) if isinstance(value, str) else _keys(name, value)
        for name in ("position_title", "skills", CAREER)
        if (value := record.fields.get(name))
    }
    return digest(*_flatten(said)) if said else record.id


def _keys(field: str, items: tuple[str, ...]) -> tuple[str, ...]:
    keys = tuple(map(title_key, items))
    return keys if field == CAREER else tuple(sorted(keys))


def _served_tasks(row: RawRow, rules: RecordRules) -> list[Task]:
    """The tasks whose fields have a column in the row's table: what it lacks is not a reason."""
    return [
        task
        for task in rules.tasks.values()
        if all(
            any(column in row.cells for column in rules.columns[field])
            for field in required_fields(task)
        )
    ]


def digest(*parts: str) -> str:
    """Sixteen hexadecimal digits that name these texts, the same on every machine."""
    return blake2b("\x1f".join(parts).encode("utf-8", "replace"), digest_size=8).hexdigest()


def _flatten(fields: Mapping[str, Field]) -> Iterable[str]:
    for name, value in sorted(fields.items()):
        yield name
        yield value if isinstance(value, str) else "\x1e".join(value)


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
    if field in TITLES:
        return tuple(items)  # Holding the same title twice is a move too.
    first: dict[str, str] = {}
    for item in items:
        first.setdefault(title_key(item), item)
    return tuple(first.values())


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
