"""Columns: which one is a field's, and what is said where a table has none."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Sequence
from itertools import product

from careergpt.data.objects import Table
from careergpt.data.records import STANDARD, RecordRules
from careergpt.data.tasks import Task, fields_of, required_fields
from careergpt.errors import InputError

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
        rules.lacking(task, table.columns) for table in tables for task in rules.tasks.values()
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


def _no_task(tables: Sequence[Table], rules: RecordRules) -> InputError:
    """What the nearest table lacks for its nearest task: of equals the first."""

    def nearness(pair: tuple[Table, Task]) -> tuple[int, int]:
        """The fields that it has, those under other names included, and without them."""
        table, task = pair
        missing, number = rules.lacking(task, table.columns), len(required_fields(task))
        guessed = sum(like_field(field, table.columns) is not None for field in missing)
        return number - len(missing) + guessed, number - len(missing)

    table, nearest = max(product(tables, rules.tasks.values()), key=nearness)
    missing = rules.lacking(nearest, table.columns)
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
