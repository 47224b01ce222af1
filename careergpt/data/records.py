"""Records: the clean text fields of a table's row, or why it gives none; which column is a field's.

A record file holds one record a row: its fields, and beside them what `BESIDE_FIELDS` names.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import product
from typing import Any, NamedTuple

import pyarrow as pa

from careergpt.data.cleaning import clean_item, clean_text, is_missing, split_list
from careergpt.data.names import clean_title, distinct_names, plain_key
from careergpt.data.objects import Cell, NamelessError, RawRow, Table, structured
from careergpt.data.tasks import (
    Field,
    Fields,
    Task,
    fields_of,
    indexed_fields,
    missing_from,
    required_fields,
)
from careergpt.errors import InputError

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

# Of each field the headers that mean it, the surest first, without case, space and signs: "Job
# Title", "job_title" and "jobTitle" are one.
_OF = r"(?:job|position|role|posting|vacancy)"
HEADERS = {
    "position_title": (
        rf"{_OF}title",
        r"title",
        r"designation|occupation|(?:job)?(?:position|role)(?:name)?",
    ),
    "job_description": (
        rf"(?:full|raw|clean)?{_OF}?descriptions?(?:text|html|raw|clean)?",
        rf"jd|{_OF}?desc|job(?:details|summary|text)",
    ),
    "company_name": (r"(?:hiring)?(?:company|employer|organi[sz]ation)(?:name)?",),
    "skills": (r"(?:key|required|preferred|technical|job)?skills?(?:sets?|list|required)?",),
    "titles": (r"(?:job|career|employment|work)?history|careers?|careerpath|jobtitles",),
}

_SHOWN, _LONGEST = 40, 60
"""Columns that a message names, and characters of each."""


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
        if not _lacking(task, row.cells, rules)
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


def check_columns(
    tables: Sequence[Table], rules: RecordRules, typed: Iterable[str] = (), taught: bool = True
) -> None:
    """Raises InputError where no table serves a task, or a named column is in none or no text.

    `typed` are the fields whose columns the user named for these tables. Where a model is `taught`,
    a column that a configuration names is missed by the tasks that the tables serve in part.
    """
    for table, (field, columns) in product(tables, rules.columns.items()):
        _check_field(table, field, columns)
    lacking = [
        _lacking(task, table.columns, rules) for table in tables for task in rules.tasks.values()
    ]
    if all(lacking):
        raise _no_task(tables, rules)
    everywhere = {column for table in tables for column in table.columns}
    needed = [required_fields(task) for task in rules.tasks.values() if taught]
    begun = [all_of for all_of in needed if any(rules.find(one, everywhere) for one in all_of)]
    named = [field for all_of in begun for field in all_of if rules.columns[field] != (field,)]
    for field in (*typed, *named):
        if not rules.find(field, everywhere):
            raise InputError(
                f"--data.columns.{field}: no table has a column {' or '.join(rules.columns[field])}"
                f" (found: {_some(sorted(everywhere))})"
            )
    if taught:
        _check_fields(everywhere, rules)


def _check_field(table: Table, field: str, columns: Sequence[str]) -> None:
    """Raises InputError where a column is there twice, or holds objects that nothing names."""
    for column in columns:
        if (times := table.columns.count(column)) > 1:
            raise InputError(
                f"{table.name}: the header has {column!r} {times} times; rename one, or map the "
                "field to another column"
            )
    paths = [name for name in table.columns if name.startswith(tuple(f"{c}." for c in columns))]
    if paths and not any(column in table.columns for column in columns):
        raise InputError(
            f"{table.name}: {columns[0]!r} holds objects (of {', '.join(paths[:8])}); say "
            f"which value is meant: --data.columns.{field}={paths[0]}"
        )


def _check_fields(everywhere: set[str], rules: RecordRules) -> None:
    """Raises InputError for a field that is only a task's own, and has no column."""
    found = _some(sorted(everywhere))
    for name, task in rules.tasks.items():
        for field in fields_of(task):
            if field not in STANDARD and not rules.find(field, everywhere):
                raise InputError(
                    f"task {name!r} asks for {{{field}}}, and no table has such a column (found: "
                    f"{found}). Map it: {_mapping(field, like_field(field, sorted(everywhere)))}"
                )


def _lacking(task: Task, columns: Container[str], rules: RecordRules) -> list[str]:
    return [field for field in required_fields(task) if not rules.find(field, columns)]


def _no_task(tables: Sequence[Table], rules: RecordRules) -> InputError:
    """What the nearest table lacks for its nearest task: of equals the first."""

    def nearness(pair: tuple[Table, Task]) -> tuple[int, int]:
        """The fields that it has, those under other names included, and without them."""
        table, task = pair
        missing, number = _lacking(task, table.columns, rules), len(required_fields(task))
        guessed = sum(like_field(field, table.columns) is not None for field in missing)
        return number - len(missing) + guessed, number - len(missing)

    table, nearest = max(product(tables, rules.tasks.values()), key=nearness)
    missing = _lacking(nearest, table.columns, rules)
    wanted = " and no ".join(" or ".join(map(repr, rules.columns[field])) for field in missing)
    likely = [like_field(field, table.columns) for field in missing]
    options = " ".join(map(_mapping, missing, likely))
    unread = f"; not read: {', '.join(table.passed_over)}" if table.passed_over else ""
    return InputError(
        f"{table.name} has no column {wanted} (it has: {_some(table.columns)}{unread}). "
        f"Map it: {options}{'' if any(likely) else _own_task(table.columns)}"
    )


def _some(columns: Sequence[str]) -> str:
    """What one line shows of them; where no header was found, they may be whole texts."""
    names = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in columns[:_SHOWN]]
    more = f" and {len(columns) - _SHOWN:,} more" if len(columns) > _SHOWN else ""
    return ", ".join(names) + more


def _mapping(field: str, column: str | None) -> str:
    """The option that maps the field to the column, as a shell takes it."""
    # Some names would not come through a message, a shell and YAML as they are.
    plain = column is not None and re.fullmatch(r"\w[\w./()&-]*(?: [\w./()&-]+)*", column)
    return shlex.quote(f"--data.columns.{field}={column if plain else 'COLUMN'}")


def _own_task(columns: Sequence[str]) -> str:
    """How a table of other columns is taught as it is: by a template over them."""
    if not all(re.fullmatch(r"\w+", column) for column in (columns[0], columns[-1])):
        return ""
    prompt = f"{{{columns[0]}}}" if len(columns) > 1 else ""
    task = {"mine": {"prompt": prompt, "completion": f"{{{columns[-1]}}}"}}
    return f", or ask by its own columns: --data.tasks {shlex.quote(json.dumps(task))}"


def like_field(field: str, columns: Iterable[str]) -> str | None:
    """The column whose header means the field; None where none surely does."""
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(_bare(column), column)
    for pattern in (re.escape(_bare(field)), *HEADERS.get(field, ())):
        for name, column in by_name.items():
            if re.fullmatch(pattern, name):
                return column
    return None


def _bare(header: str) -> str:
    return re.sub(r"[\W_]+", "", header).casefold()
