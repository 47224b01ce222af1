"""Records: the clean text fields of a table's row, or the reason why the row gives none."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from itertools import product
from typing import NamedTuple

from careergpt.data.cells import Cell, NamelessError, RawRow, structured
from careergpt.data.cleaning import clean_item, clean_text, clean_title, is_missing, split_list
from careergpt.data.duplicates import words_of
from careergpt.data.tables import Table
from careergpt.data.tasks import Field, Task, fields_of, missing_from
from careergpt.errors import InputError

# What the fields hold decides how they are cleaned; every other field is plain text.
TITLES = ("position_title", "titles")
DESCRIPTION = "job_description"
CAREER = "titles"

# Read whatever the tasks ask for: a row's duplicates and its split depend on these alone.
STANDARD = ("company_name", "position_title", DESCRIPTION, "skills", CAREER)


class RecordRules(NamedTuple):
    """How a row becomes a record: everything that its text depends on.

    Attributes:
        columns: Field name -> the columns that may hold it; the first with text wins.
        separators: List field -> what separates its items in one cell (None: guessed by cell).
        tasks: The questions; a row that can be asked none of them is dropped.
        mask_contacts: Whether e-mail addresses and phone numbers are masked.
    """

    columns: Mapping[str, tuple[str, ...]]
    separators: Mapping[str, str | None]
    tasks: Mapping[str, Task]
    mask_contacts: bool


class Record(NamedTuple):
    """A row as clean text: field name -> text, or items for a list field."""

    id: str
    fields: Mapping[str, Field]


class Dropped(NamedTuple):
    """A row that gives no record, why, and where it stands."""

    reason: str
    place: str


def record_rules(
    columns: Mapping[str, str | Sequence[str]],
    separators: Mapping[str, str | None],
    tasks: Mapping[str, Task],
    mask_contacts: bool,
) -> RecordRules:
    """The rules for standard fields and those of the tasks; a column has its field's name."""
    fields = dict.fromkeys(
        [*STANDARD, *(name for task in tasks.values() for name in fields_of(task)), *columns]
    )
    mapped = {}
    for field in fields:
        named = columns.get(field, field)
        mapped[field] = (named,) if isinstance(named, str) else tuple(named)
    return RecordRules(mapped, dict(separators), dict(tasks), mask_contacts)


def check_objects(tables: Sequence[Table], rules: RecordRules) -> None:
    """Raises InputError for a field whose column holds objects that nothing names."""
    for table, (field, columns) in product(tables, rules.columns.items()):
        paths = [name for name in table.columns if name.startswith(tuple(f"{c}." for c in columns))]
        if paths and not any(column in table.columns for column in columns):
            raise InputError(
                f"{table.name}: {columns[0]!r} holds objects (of {', '.join(paths[:8])}); say "
                f"which value is meant: --data.columns.{field}={paths[0]}"
            )


def check_columns(tables: Sequence[Table], rules: RecordRules, typed: Iterable[str] = ()) -> None:
    """Raises InputError where no table serves a task, or a named column is in none.

    Args:
        tables: The opened tables.
        rules: The rules that will read them.
        typed: Fields whose columns the user named.
    """
    for table in tables:
        for column in {name for names in rules.columns.values() for name in names}:
            if table.columns.count(column) > 1:
                raise InputError(
                    f"{table.name}: the header has {column!r} {table.columns.count(column)} times; "
                    "rename one, or map the field to another column"
                )
    lacking = [_lacking(task, table, rules) for table in tables for task in rules.tasks.values()]
    if all(lacking):
        raise _no_task(tables[0], rules)
    _check_fields({column for table in tables for column in table.columns}, rules, typed)


def _check_fields(everywhere: set[str], rules: RecordRules, typed: Iterable[str]) -> None:
    """Raises InputError for a field that was mapped, or is only a task's own, and has no column."""
    found = ", ".join(sorted(everywhere))
    for field in typed:
        if not any(column in everywhere for column in rules.columns[field]):
            raise InputError(
                f"--data.columns.{field}: no table has a column {' or '.join(rules.columns[field])}"
                f" (found: {found})"
            )
    for name, task in rules.tasks.items():
        for field in fields_of(task):
            if field not in STANDARD and not any(c in everywhere for c in rules.columns[field]):
                raise InputError(
                    f"task {name!r} asks for {{{field}}}, and no table has such a column (found: "
                    f"{found}). Map it: --data.columns.{field}=COLUMN"
                )


def _lacking(task: Task, table: Table, rules: RecordRules) -> list[str]:
    return [
        field
        for field in fields_of(task)
        if not any(column in table.columns for column in rules.columns[field])
    ]


def _no_task(table: Table, rules: RecordRules) -> InputError:
    """What the table lacks for the task that it comes nearest to; the first if near to none."""
    nearest = max(
        rules.tasks.values(),
        key=lambda task: len(fields_of(task)) - len(_lacking(task, table, rules)),
    )
    missing = _lacking(nearest, table, rules)
    wanted = " and no ".join(" or ".join(map(repr, rules.columns[field])) for field in missing)
    free = list(table.columns)
    options = []
    for field in missing:
        like = next(iter(difflib.get_close_matches(field, free, n=1, cutoff=0.3)), "COLUMN")
        free = [column for column in free if column != like]
        options.append(f"--data.columns.{field}={like}")
    return InputError(
        f"{table.name} has no column {wanted} (it has: {', '.join(table.columns)}). "
        f"Map it: {' '.join(options)}"
    )


def record_from(row: RawRow, rules: RecordRules) -> Record | Dropped:
    """The row's clean fields, with an id made from them; or the reason why no task can use it."""
    if row.fault:
        return Dropped(row.fault, row.place)
    fields = {}
    for field, columns in rules.columns.items():
        try:
            value = _value(field, [row.cells.get(column) for column in columns], rules)
        except NamelessError:
            return Dropped(f"{field} is an object without a name", row.place)
        if value:
            fields[field] = value
    missing = [missing_from(task, fields) for task in _served_tasks(row, rules)]
    if all(missing):
        reason = f"no {min(missing, key=len)[0]}" if missing else "no field of any task"
        return Dropped(reason, row.place)
    return Record(digest(*_flatten(fields)), fields)


def standard_key(record: Record) -> str:
    """What a record without a description is drawn by: title, skills in any order, career.

    Whose posting it is does not count, nor what else the tasks name: equal questions and answers
    are never on both sides of a split.
    """
    said = {
        name: " ".join(words_of(value)) if isinstance(value, str) else _folded(name, value)
        for name in ("position_title", "skills", CAREER)
        if (value := record.fields.get(name))
    }
    return digest(*_flatten(said)) if said else record.id


def _folded(field: str, items: tuple[str, ...]) -> tuple[str, ...]:
    folded = tuple(item.casefold() for item in items)
    return folded if field == CAREER else tuple(sorted(folded))


def _served_tasks(row: RawRow, rules: RecordRules) -> list[Task]:
    """The tasks whose fields have a column in the row's table: what it lacks is not a reason."""
    return [
        task
        for task in rules.tasks.values()
        if all(
            any(column in row.cells for column in rules.columns[field]) for field in fields_of(task)
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
        first.setdefault(item.casefold(), item)
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
