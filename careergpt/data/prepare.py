"""Preparation: record and token files of tables, built once and found by content after that.

A record file is written in two passes, since a group of near-duplicates is known only when all
rows are. Its metadata says what became of the tables' rows.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from careergpt.data.columns import check_columns
from careergpt.data.names import distinct_names, key_words, plain_key
from careergpt.data.objects import RawRow, Table
from careergpt.data.processes import map_chunks
from careergpt.data.records import (
    CAREER,
    DESCRIPTION,
    Dropped,
    Record,
    RecordRules,
    digest,
    reads_like_a_description,
    record_from,
    standard_key,
)
from careergpt.data.splits import (
    LONG_TEXT,
    groups,
    hash_of,
    near_pairs,
    signature,
    split_named,
)
from careergpt.data.tables import find_tables, open_tables
from careergpt.data.tasks import Fields, PromptForm
from careergpt.data.token_file import TOKEN_SCHEMA, encode_records
from careergpt.data.tokens import prompt_frame
from careergpt.data.whole_files import (
    check_writable,
    find_damage,
    read_arrow,
    temporary,
    write_arrow,
)
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Part of every cache key: raise it when the same input would be prepared differently.
_FORMAT = 10

_COUNTS = b"counts"

CACHE = ".cache/careergpt"
"""Where prepared tables lie, unless something else is said."""

_Cleaned = tuple[dict[str, Any], str, bool]
"""A row of the record file, what its exact duplicates share, and whether its title is too long."""


class RecordFile(NamedTuple):
    """Clean records on disk, and what became of the rows."""

    path: Path
    counts: dict[str, Any]


def prepare_records(
    source: str | Sequence[str],
    rules: RecordRules,
    cache: Path,
    *,
    workers: int,
    typed_columns: Sequence[str] = (),
    taught: bool = True,
) -> RecordFile:
    """Reads, cleans and groups the tables; a second call with the same content reads the cache.

    Of the fields in `typed_columns` some table must have a column; where a model is `taught`, also
    of each that a task alone asks for, or asks for beside others that there are.

    Raises:
        InputError: A table cannot be read, serves no task, or no row is left.
    """
    tables = open_tables(source)
    check_columns(tables, rules, typed_columns, taught)
    key = digest(str(_FORMAT), *(table.content for table in tables), *_depends_on(rules))
    path = cache / f"records-{key}.arrow"
    _build(path, lambda: build_records(tables, rules, path, workers))
    counts = counts_of(read_arrow(path))
    for table, counted in zip(tables, counts["tables"], strict=True):
        counted["name"] = table.name  # The same content may lie elsewhere by now.
    beside = find_tables(source)[1]
    counts["passed_over"] = [*beside, *(part for table in tables for part in table.passed_over)]
    if not counts["kept"]:
        reasons = ", ".join(
            f"{number} {reason}, first in {counts['first_dropped'][reason]}"
            for reason, number in counts["dropped"].items()
        )
        names = ", ".join(table.name for table in tables)
        raise InputError(
            f"{names}: none of the {counts['read']} rows can be used ({reasons}); "
            "look at the columns, or map them with --data.columns.FIELD"
        )
    return RecordFile(path, counts)


def counts_of(table: pa.Table) -> dict[str, Any]:
    """What became of the rows that a record file is of."""
    counts: dict[str, Any] = json.loads(table.schema.metadata[_COUNTS])
    return counts


def _depends_on(rules: RecordRules) -> list[str]:
    """What of the rules decides the texts: the tasks' weights do not."""
    templates = [(name, task.prompt, task.completion) for name, task in rules.tasks.items()]
    return [repr(part) for part in (*rules._replace(tasks={}), templates)]


def prepare_tokens(
    records: RecordFile,
    rules: RecordRules,
    tokenizer: PreTrainedTokenizerFast,
    cache: Path,
    *,
    max_length: int,
    shuffled: Sequence[str],
    workers: int,
    form: PromptForm = "plain",
) -> Path:
    """The token file of these records, built unless the cache has it."""
    frame = prompt_frame(tokenizer, form)
    vocabulary = digest(tokenizer.backend_tokenizer.to_str(), repr((tokenizer.eos_token, frame)))
    settings = repr((max_length, sorted(shuffled), form))
    key = digest(str(_FORMAT), records.path.stem, vocabulary, settings)
    path = cache / f"tokens-{key}.arrow"
    work = partial(
        encode_records,
        rules=rules,
        tokenizer=tokenizer,
        max_length=max_length,
        shuffled=frozenset(shuffled),
        form=form,
    )
    rows = enumerate(rows_of(read_arrow(records.path).select(rules.fields)))
    _build(path, lambda: write_arrow(path, TOKEN_SCHEMA, map_chunks(work, rows, workers=workers)))
    return path


def rows_of(table: pa.Table) -> Iterator[dict[str, Any]]:
    """The table's rows, one batch in memory at a time."""
    for batch in table.to_batches():
        yield from batch.to_pylist()


def _build(path: Path, build: Callable[[], None]) -> None:
    """Has the cache hold the file: as it is, if it is whole; what is damaged is named.

    Raises:
        InputError: It must be built, and the cache cannot be written.
    """
    if path.exists():
        if (fault := find_damage(path)) is None:
            return
        print(f"{path} is damaged ({fault}): it is made anew")
    check_writable(path.parent, "--data.cache")
    build()


def build_records(tables: Sequence[Table], rules: RecordRules, path: Path, workers: int) -> None:
    """Writes the record file: cleaned rows without exact duplicates, each with its group."""
    counts: dict[str, Any] = {"read": 0, "kept": 0, "tables": []}
    counts |= {"dropped": Counter(), "first_dropped": {}}
    with temporary(path) as first:
        write_arrow(first, rules.schema, _first_pass(tables, rules, counts, workers))
        table = read_arrow(first)
        group = _near_groups(table)
        sizes = np.bincount(group)
        counts["near_duplicates"] = {
            "groups": int((sizes > 1).sum()),
            "records": int(sizes[sizes > 1].sum()),
        }
        schema = rules.schema.with_metadata({_COUNTS: json.dumps(counts)})
        write_arrow(path, schema, _second_pass(table, group))


def _first_pass(
    tables: Sequence[Table], rules: RecordRules, counts: dict[str, Any], workers: int
) -> Iterator[dict[str, list[Any]]]:
    """Cleaned rows without exact duplicates, counted as they go by; their groups are empty."""
    names = rules.schema.names
    seen: Counter[str] = Counter()
    careers: Counter[str] = Counter()
    for table in tables:
        read_before, kept_before, swapped = counts["read"], counts["kept"], 0
        for cleaned in map_chunks(partial(_clean_rows, rules=rules), table.rows(), workers=workers):
            kept = []
            for found in cleaned:
                counts["read"] += 1
                if isinstance(found, Dropped):
                    _count_dropped(found, counts)
                    continue
                row, same_as, reads_swapped = found
                again = seen[same_as]
                seen[same_as] += 1
                if again and CAREER not in row:
                    _count_dropped(Dropped("exact duplicate", row["place"]), counts)
                    continue
                row["id"] = _numbered(row["id"], again)
                # Equal careers are different people; those who share a short one are split, too.
                if CAREER in row and not row["signature"]:
                    careers[row["key"]] += 1
                    row["key"] = _numbered(row["key"], careers[row["key"]] - 1)
                swapped += reads_swapped
                kept.append(row)
            counts["kept"] += len(kept)
            if kept:
                yield {name: [row.get(name) for row in kept] for name in names}
        read, left = counts["read"] - read_before, counts["kept"] - kept_before
        of_table = {"name": table.name, "encoding": table.encoding, "read": read, "kept": left}
        counts["tables"].append(of_table | {"titles_like_descriptions": swapped})


def _clean_rows(rows: Sequence[RawRow], rules: RecordRules) -> list[_Cleaned | Dropped]:
    found = [record_from(row, rules) for row in rows]
    return [
        record if isinstance(record, Dropped) else _cleaned(record, row.place, rules)
        for record, row in zip(found, rows, strict=True)
    ]


def _cleaned(record: Record, place: str, rules: RecordRules) -> _Cleaned:
    key, same_as = standard_key(record), record.id
    if description := str(record.fields.get(DESCRIPTION, "")):
        title = plain_key(str(record.fields.get("position_title", "")))
        words = key_words(description)
        key = digest(" ".join(words) or description)
        same_as = digest(title, key)
        sketch = signature(words).tobytes()
    else:
        sketch = _list_signature(record.fields)
    # The row names its split, or else its file or its part of a data set on the hub.
    table = place.rpartition(":")[0].rpartition(":")[2]
    own = split_named(record.split or PurePath(table).stem)
    # Equal rows of two splits both stay: the report tells of the leak.
    mark = f"-{own}" if rules.own_splits else ""
    row = {
        **record.fields,
        "id": record.id + mark,
        "place": place,
        "key": key,
        "signature": sketch,
        "own_split": own,
    }
    return row, same_as + mark, reads_like_a_description(record.fields)


def _list_signature(fields: Fields) -> bytes:
    """What a record without a description is a near-duplicate by: its skills, or its moves.

    None for a career whose titles are a short text: it may be many people's.
    """
    if skills := fields.get("skills"):
        return signature([*map(plain_key, skills)], 1).tobytes()
    titles = [*map(plain_key, fields.get(CAREER, ()))]
    is_long = len(" ".join(distinct_names(titles))) >= LONG_TEXT
    return signature(titles, 2).tobytes() if is_long else b""


def _count_dropped(row: Dropped, counts: dict[str, Any]) -> None:
    counts["dropped"][row.reason] += 1
    # Without its folder: the same content may lie elsewhere by another day.
    counts["first_dropped"].setdefault(row.reason, PurePath(row.place).name)


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number}" if number else name


def _near_groups(table: pa.Table) -> NDArray[np.int64]:
    """For each record the index of its group's first."""
    signed = np.flatnonzero(pc.binary_length(table["signature"]))
    cells = (value.as_py() for chunk in table["signature"].chunks for value in chunk)
    sketches = (np.frombuffer(cell, dtype=np.uint32) for cell in cells if cell)
    group = np.arange(len(table))
    group[signed] = signed[groups(len(signed), near_pairs(sketches))]
    return group


def _second_pass(table: pa.Table, group: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """The records with their groups, and the number in [0, 1) that decides a group's split.

    It is made from the least key among the group's members: it depends on no other row.
    """
    keys = table["key"].to_pylist()
    least = list(keys)
    for key, first in zip(keys, group.tolist(), strict=True):
        least[first] = min(least[first], key)
    hashes = np.array([hash_of(least[first]) for first in group])
    start = 0
    for batch in table.to_batches():
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        end = start + len(batch)
        yield {**columns, "hash": hashes[start:end], "group": group[start:end]}
        start = end
