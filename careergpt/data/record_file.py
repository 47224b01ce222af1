"""The record file: cleaned rows, without exact duplicates, each with its group and its number."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from careergpt.data.cells import RawRow
from careergpt.data.duplicates import groups, near_pairs, signature
from careergpt.data.names import key_words, title_key
from careergpt.data.parallel import map_chunks
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
from careergpt.data.splits import split_named, unit_of
from careergpt.data.store import Columns, read_arrow, write_arrow
from careergpt.data.tables import Table
from careergpt.data.tasks import Fields

NEAR_DUPLICATE = 0.8
"""Estimated Jaccard similarity of five-word shingles from which two descriptions are one."""

# What the record file holds beside the fields. `key` is what a record's split is drawn from.
_OUTER = pa.schema(
    {
        "id": pa.string(),
        "place": pa.string(),
        "key": pa.string(),
        "signature": pa.binary(),
        "unit": pa.float64(),
        "group": pa.int64(),
        "own_split": pa.int8(),
    }
)


def fields_of_row(row: dict[str, Any]) -> Fields:
    """The record's fields as a row of the record file holds them, without the empty ones."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.items()
        if value and name not in _OUTER.names
    }


class _Cleaned(NamedTuple):
    """A cleaned row with what finding its duplicates needs."""

    place: str
    fields: Fields
    id: str
    key: str
    same_as: str
    signature: bytes
    own_split: int
    swapped: bool


def _clean_rows(rows: Sequence[RawRow], rules: RecordRules) -> list[_Cleaned | Dropped]:
    cleaned: list[_Cleaned | Dropped] = []
    for row in rows:
        record = record_from(row, rules)
        if isinstance(record, Dropped):
            cleaned.append(record)
            continue
        description = str(record.fields.get(DESCRIPTION, ""))
        key, same_as, sketch = standard_key(record), record.id, b""
        if description:
            title = title_key(str(record.fields.get("position_title", "")))
            words = key_words(description)
            key = digest(" ".join(words) or description)
            same_as = digest(title, key)
            sketch = signature(words).tobytes()
        own, name = _own_split(record, row.place), record.id
        if rules.own_splits:  # Equal rows of two splits both stay: the report tells of the leak.
            name, same_as = f"{name}-{own}", f"{same_as}-{own}"
        swapped = reads_like_a_description(record.fields)
        cleaned.append(_Cleaned(row.place, record.fields, name, key, same_as, sketch, own, swapped))
    return cleaned


def _own_split(record: Record, place: str) -> int:
    """The split that the row names, or else its file or its part of a data set on the hub."""
    table = place.rpartition(":")[0]
    return split_named(record.split or PurePath(table.rpartition(":")[2]).stem)


def build_records(
    tables: Sequence[Table], rules: RecordRules, path: Path, workers: int
) -> dict[str, Any]:
    """Writes the record file in two passes, since a group is known only when all rows are."""
    counts: dict[str, Any] = {"read": 0, "kept": 0, "tables": []}
    counts |= {"dropped": Counter(), "first_dropped": {}}
    schema = _record_schema(rules)
    first = path.with_suffix(f".{os.getpid()}.cleaned")
    try:
        write_arrow(first, schema, _first_pass(tables, rules, schema, counts, workers))
        table = read_arrow(first)
        group = _near_groups(table)
        counts["near_duplicates"] = _near_duplicate_counts(group)
        units = _group_units(table["key"].to_pylist(), group)
        write_arrow(path, schema, _second_pass(table, units, group))
    finally:
        first.unlink(missing_ok=True)
    return counts


def _record_schema(rules: RecordRules) -> pa.Schema:
    lists = {*rules.separators, *rules.turns}
    fields = {
        name: pa.list_(pa.string()) if name in lists else pa.string() for name in rules.fields
    }
    return pa.schema([*_OUTER, *pa.schema(fields)])


def _first_pass(
    tables: Sequence[Table],
    rules: RecordRules,
    schema: pa.Schema,
    counts: dict[str, Any],
    workers: int,
) -> Iterator[Columns]:
    """Cleaned rows without exact duplicates, counted as they go by."""
    seen: Counter[str] = Counter()
    careers: Counter[str] = Counter()
    for table in tables:
        read_before, kept_before, swapped = counts["read"], counts["kept"], 0
        work = partial(_clean_rows, rules=rules)
        for cleaned in map_chunks(work, table.rows(), workers=workers):
            kept = []
            for row in cleaned:
                counts["read"] += 1
                if isinstance(row, Dropped):
                    _count_dropped(row, counts)
                    continue
                seen[row.same_as] += 1
                again = seen[row.same_as] - 1
                if again and CAREER not in row.fields:
                    _count_dropped(Dropped("exact duplicate", row.place), counts)
                    continue
                # Equal careers are different people: each has an id and a split of its own.
                key = row.key
                if CAREER in row.fields and not row.signature:
                    key = _numbered(key, careers[key])
                    careers[row.key] += 1
                swapped += row.swapped
                kept.append(row._replace(id=_numbered(row.id, again), key=key))
            counts["kept"] += len(kept)
            if kept:
                yield _columns(kept, schema)
        read, left = counts["read"] - read_before, counts["kept"] - kept_before
        told = {"name": table.name, "encoding": table.encoding, "read": read, "kept": left}
        counts["tables"].append(told | {"titles_like_descriptions": swapped})


def _count_dropped(row: Dropped, counts: dict[str, Any]) -> None:
    counts["dropped"][row.reason] += 1
    # Without its folder: the same content may lie elsewhere by another day.
    counts["first_dropped"].setdefault(row.reason, PurePath(row.place).name)


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number}" if number else name


def _columns(rows: Sequence[_Cleaned], schema: pa.Schema) -> Columns:
    own: dict[str, list[Any]] = {
        "id": [row.id for row in rows],
        "place": [row.place for row in rows],
        "key": [row.key for row in rows],
        "signature": [row.signature for row in rows],
        "unit": [0.0] * len(rows),
        "group": [0] * len(rows),
        "own_split": [row.own_split for row in rows],
    }
    return {
        name: own[name] if name in own else [row.fields.get(name) for row in rows]
        for name in schema.names
    }


def _signatures(table: pa.Table) -> Iterator[np.ndarray[Any, Any]]:
    """One signature for each record that has a description."""
    for batch in table.column("signature").chunks:
        for value in batch:
            if sketch := value.as_py():
                yield np.frombuffer(sketch, dtype=np.uint32)


def _near_groups(table: pa.Table) -> NDArray[np.int64]:
    """For each record the index of its group's first."""
    described = np.flatnonzero(pc.binary_length(table["signature"]))
    pairs = near_pairs(_signatures(table), NEAR_DUPLICATE)
    group = np.arange(len(table))
    group[described] = described[groups(len(described), pairs)]
    return group


def _group_units(keys: Sequence[str], group: NDArray[np.int64]) -> NDArray[np.float64]:
    """For each record the number in [0, 1) that its group's split is drawn by.

    It is made from the least key among the group's members: it depends on no other row.
    """
    least = list(keys)
    for key, first in zip(keys, group.tolist(), strict=True):
        least[first] = min(least[first], key)
    return np.array([unit_of(least[first]) for first in group])


def _near_duplicate_counts(group: NDArray[np.int64]) -> dict[str, int]:
    sizes = np.bincount(group)
    return {"groups": int((sizes > 1).sum()), "records": int(sizes[sizes > 1].sum())}


def _second_pass(
    table: pa.Table, units: NDArray[np.float64], group: NDArray[np.int64]
) -> Iterator[Columns]:
    start = 0
    for batch in table.to_batches():
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        end = start + len(batch)
        yield {**columns, "unit": units[start:end], "group": group[start:end]}
        start = end
