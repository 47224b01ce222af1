"""From tables to record and token files: each is built once, and found by content after that."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from careergpt.data.columns import check_columns, check_objects
from careergpt.data.parallel import map_chunks
from careergpt.data.record_file import build_records
from careergpt.data.records import RecordRules, digest
from careergpt.data.sources import find_sources
from careergpt.data.store import read_arrow, rows_of, write_arrow, write_json
from careergpt.data.tables import open_tables
from careergpt.data.token_file import TOKEN_SCHEMA, encode_records
from careergpt.data.tokens import prompt_start
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Part of every cache key: raise it when the same input would be prepared differently.
_FORMAT = 5


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
    typed_columns: Sequence[str] | None = (),
) -> RecordFile:
    """Reads, cleans and groups the tables; a second call with the same content reads the cache.

    Raises:
        InputError: A table cannot be read, serves no task, or no row is left.
    """
    tables = open_tables(source)
    check_objects(tables, rules)
    check_columns(tables, rules, typed_columns)
    key = digest(str(_FORMAT), *(table.content for table in tables), *_depends_on(rules))
    path, counts_path = cache / f"records-{key}.arrow", cache / f"records-{key}.json"
    if not (path.exists() and counts_path.exists()):
        counts = build_records(tables, rules, path, workers)
        write_json(counts_path, counts)
    counts = json.loads(counts_path.read_text(encoding="utf-8"))
    for table, counted in zip(tables, counts["tables"], strict=True):
        counted["name"] = table.name  # The same content may lie elsewhere by now.
    beside = find_sources(source).passed_over
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
            encode_records,
            rules=rules,
            tokenizer=tokenizer,
            max_length=max_length,
            shuffled=frozenset(shuffled),
        )
        rows = enumerate(rows_of(read_arrow(records.path).select(rules.fields)))
        write_arrow(path, TOKEN_SCHEMA, map_chunks(work, rows, workers=workers))
    return path
