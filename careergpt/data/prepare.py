"""From tables to token files: read, clean, drop, group, tokenize; each stage cached by content."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa

from careergpt.data.duplicates import groups, near_pairs, signature, words_of
from careergpt.data.parallel import map_chunks
from careergpt.data.records import (
    CAREER,
    DESCRIPTION,
    Dropped,
    RecordRules,
    check_columns,
    digest,
    record_from,
    standard_key,
)
from careergpt.data.splits import unit_of
from careergpt.data.store import read_arrow, rows_of, write_arrow, write_json
from careergpt.data.tables import RaggedRow, RawRow, Table, content_digest, open_tables
from careergpt.data.tasks import Fields, prompt_completion
from careergpt.data.tokens import Example, encode, prompt_start
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Part of every cache key: raise it when the same input would be prepared differently.
_FORMAT = 3

NEAR_DUPLICATE = 0.8
"""Estimated Jaccard similarity of five-word shingles from which two descriptions are one."""


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
) -> RecordFile:
    """Reads, cleans and groups the tables; a second call with the same content reads the cache.

    Raises:
        InputError: A table cannot be read, serves no task, or no row is left.
    """
    tables = open_tables(source)
    check_columns(tables, rules, typed_columns)
    key = digest(str(_FORMAT), content_digest(source), *_depends_on(rules))
    path, counts_path = cache / f"records-{key}.arrow", cache / f"records-{key}.json"
    if not (path.exists() and counts_path.exists()):
        counts = _build_records(tables, rules, path, workers)
        write_json(counts_path, counts)
    counts = json.loads(counts_path.read_text(encoding="utf-8"))
    for table, counted in zip(tables, counts["tables"], strict=True):
        counted["name"] = table.name  # The same content may lie elsewhere by now.
    if not counts["kept"]:
        reasons = ", ".join(f"{number} {reason}" for reason, number in counts["dropped"].items())
        names = ", ".join(table.name for table in tables)
        raise InputError(
            f"{names}: none of the {counts['read']} rows can be used ({reasons}); "
            "look at the columns, or map them with --data.columns.FIELD"
        )
    return RecordFile(path, counts)


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
) -> Path:
    """The token file of these records, built unless the cache has it."""
    vocabulary = digest(
        tokenizer.backend_tokenizer.to_str(), repr((tokenizer.eos_token, prompt_start(tokenizer)))
    )
    asked = repr((max_length, sorted(shuffled)))
    key = digest(str(_FORMAT), records.path.stem, vocabulary, asked)
    path = cache / f"tokens-{key}.arrow"
    if not path.exists():
        work = partial(
            _encode_records,
            rules=rules,
            tokenizer=tokenizer,
            max_length=max_length,
            shuffled=frozenset(shuffled),
        )
        rows = enumerate(rows_of(read_arrow(records.path)))
        write_arrow(path, _TOKEN_SCHEMA, map_chunks(work, rows, workers=workers))
    return path


# What the record file holds beside the fields. `key` is what a record's split is drawn from.
_OUTER = pa.schema(
    {
        "id": pa.string(),
        "place": pa.string(),
        "key": pa.string(),
        "signature": pa.binary(),
        "unit": pa.float64(),
        "group": pa.int64(),
    }
)

_TOKEN_SCHEMA = pa.schema(
    {
        "record": pa.int64(),
        "task": pa.int16(),
        "n_prompt": pa.int32(),
        "length": pa.int32(),
        "n_bytes": pa.int32(),
        "n_cut": pa.int32(),
        "token_ids": pa.list_(pa.int32()),
        "items": pa.list_(pa.int32()),
    }
)


def fields_of_row(row: dict[str, Any]) -> Fields:
    """The record's fields as a row of the record file holds them, without the empty ones."""
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in row.items()
        if value and name not in _OUTER.names
    }


def _encode_records(
    rows: Sequence[tuple[int, dict[str, Any]]],
    *,
    rules: RecordRules,
    tokenizer: PreTrainedTokenizerFast,
    max_length: int,
    shuffled: frozenset[str],
) -> dict[str, list[Any]]:
    """The token file's columns for these records; a prompt too long has length 0 and no ids."""
    asked = [
        (record, number, pair)
        for record, row in rows
        for number, (name, task) in enumerate(rules.tasks.items())
        if (pair := prompt_completion(name, task, fields_of_row(row)))
    ]
    examples = encode([pair for *_, pair in asked], tokenizer, max_length, shuffled)
    whole = [
        example if isinstance(example, Example) else Example([], example.n_tokens, 0, 0, [])
        for example in examples
    ]
    return {
        "record": [record for record, _, _ in asked],
        "task": [number for _, number, _ in asked],
        "n_prompt": [example.n_prompt for example in whole],
        "length": [len(example.token_ids) for example in whole],
        "n_bytes": [example.n_bytes for example in whole],
        "n_cut": [example.n_cut for example in whole],
        "token_ids": [example.token_ids for example in whole],
        "items": [example.items for example in whole],
    }


class _Cleaned(NamedTuple):
    """A cleaned row with what finding its duplicates needs."""

    place: str
    fields: Fields
    id: str
    key: str
    same_as: str
    signature: bytes


def _clean_rows(rows: Sequence[RawRow | RaggedRow], rules: RecordRules) -> list[_Cleaned | Dropped]:
    cleaned: list[_Cleaned | Dropped] = []
    for row in rows:
        record = record_from(row, rules)
        if isinstance(record, Dropped):
            cleaned.append(record)
            continue
        description = str(record.fields.get(DESCRIPTION, ""))
        key, same_as, sketch = standard_key(record), record.id, b""
        if description:
            title = " ".join(words_of(str(record.fields.get("position_title", ""))))
            key = digest(" ".join(words_of(description)) or description)
            same_as = digest(title, key)
            sketch = signature(description).tobytes()
        cleaned.append(_Cleaned(row.place, record.fields, record.id, key, same_as, sketch))
    return cleaned


def _build_records(
    tables: Sequence[Table], rules: RecordRules, path: Path, workers: int
) -> dict[str, Any]:
    """Writes the record file in two passes, since a group is known only when all rows are."""
    counts: dict[str, Any] = {"read": 0, "kept": 0, "dropped": Counter(), "tables": []}
    schema = _record_schema(rules)
    first = path.with_suffix(f".{os.getpid()}.cleaned")
    try:
        write_arrow(first, schema, _first_pass(tables, rules, schema, counts, workers))
        table = read_arrow(first)
        pairs = list(near_pairs(_signatures(table), NEAR_DUPLICATE))
        units, group = _group_units(table, pairs)
        counts["near_duplicates"] = _near_duplicate_counts(group, pairs)
        write_arrow(path, schema, _second_pass(table, units, group))
    finally:
        first.unlink(missing_ok=True)
    return counts


def _record_schema(rules: RecordRules) -> pa.Schema:
    fields = {
        name: pa.list_(pa.string()) if name in rules.separators else pa.string()
        for name in rules.columns
    }
    return pa.schema([*_OUTER, *pa.schema(fields)])


def _first_pass(
    tables: Sequence[Table],
    rules: RecordRules,
    schema: pa.Schema,
    counts: dict[str, Any],
    workers: int,
) -> Iterator[dict[str, list[Any]]]:
    """Cleaned rows without exact duplicates, counted as they go by."""
    seen: Counter[str] = Counter()
    careers: Counter[str] = Counter()
    for table in tables:
        read_before, kept_before = counts["read"], counts["kept"]
        work = partial(_clean_rows, rules=rules)
        for cleaned in map_chunks(work, table.rows(), workers=workers):
            kept = []
            for row in cleaned:
                counts["read"] += 1
                if isinstance(row, Dropped):
                    counts["dropped"][row.reason] += 1
                    continue
                seen[row.same_as] += 1
                again = seen[row.same_as] - 1
                if again and CAREER not in row.fields:
                    counts["dropped"]["exact duplicate"] += 1
                    continue
                # Equal careers are different people: each has an id and a split of its own.
                key = row.key
                if CAREER in row.fields and not row.signature:
                    key = _numbered(key, careers[key])
                    careers[row.key] += 1
                kept.append(row._replace(id=_numbered(row.id, again), key=key))
            counts["kept"] += len(kept)
            if kept:
                yield _columns(kept, schema)
        read, left = counts["read"] - read_before, counts["kept"] - kept_before
        counts["tables"].append(
            {"name": table.name, "encoding": table.encoding, "read": read, "kept": left}
        )


def _numbered(name: str, number: int) -> str:
    return f"{name}-{number}" if number else name


def _columns(rows: Sequence[_Cleaned], schema: pa.Schema) -> dict[str, list[Any]]:
    own: dict[str, list[Any]] = {
        "id": [row.id for row in rows],
        "place": [row.place for row in rows],
        "key": [row.key for row in rows],
        "signature": [row.signature for row in rows],
        "unit": [0.0] * len(rows),
        "group": [0] * len(rows),
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


def _group_units(
    table: pa.Table, pairs: Sequence[tuple[int, int, float]]
) -> tuple[list[float], list[int]]:
    """For each record the number in [0, 1) and the index of its group.

    A group's number is made from the least key among its members: it depends on no other row.
    """
    keys = table.column("key").to_pylist()
    described = [place for place, sketch in enumerate(table.column("signature")) if sketch.as_py()]
    group = list(range(len(keys)))
    for member, first in enumerate(groups(len(described), pairs)):
        group[described[member]] = described[first]
    least: dict[int, str] = {}
    for record, first in enumerate(group):
        least[first] = min(least.get(first, "~"), keys[record])
    return [unit_of(least[first]) for first in group], group


def _near_duplicate_counts(
    group: Sequence[int], pairs: Sequence[tuple[int, int, float]]
) -> dict[str, int]:
    sizes = [size for size in Counter(group).values() if size > 1]
    return {"pairs": len(pairs), "groups": len(sizes), "records": sum(sizes)}


def _second_pass(
    table: pa.Table, units: Sequence[float], group: Sequence[int]
) -> Iterable[dict[str, list[Any]]]:
    start = 0
    for batch in table.to_batches():
        columns = batch.to_pydict()
        end = start + len(batch)
        yield {**columns, "unit": list(units[start:end]), "group": list(group[start:end])}
        start = end
