"""From tables to record and token files: each is built once, and found by content after that."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from careergpt.data.columns import check_columns, check_objects
from careergpt.data.parallel import map_chunks
from careergpt.data.record_file import build_records, read_counts
from careergpt.data.records import RecordRules, digest
from careergpt.data.settings import writable
from careergpt.data.sources import find_sources
from careergpt.data.store import read_arrow, rows_of, write_arrow
from careergpt.data.tables import open_tables
from careergpt.data.token_file import TOKEN_SCHEMA, encode_records
from careergpt.data.tokens import prompt_start
from careergpt.data.whole_files import find_damage
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

# Part of every cache key: raise it when the same input would be prepared differently.
_FORMAT = 7


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
    path = cache / f"records-{key}.arrow"
    _build(path, lambda: build_records(tables, rules, path, workers))
    counts = read_counts(path)
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
    work = partial(
        encode_records,
        rules=rules,
        tokenizer=tokenizer,
        max_length=max_length,
        shuffled=frozenset(shuffled),
    )
    rows = enumerate(rows_of(read_arrow(records.path).select(rules.fields)))
    _build(path, lambda: write_arrow(path, TOKEN_SCHEMA, map_chunks(work, rows, workers=workers)))
    return path


def _build(path: Path, build: Callable[[], None]) -> None:
    """Has the cache hold the file: as it is, if it is whole; what is damaged is named.

    Raises:
        InputError: It must be built, and the cache cannot be written.
    """
    if path.exists():
        if (fault := find_damage(path)) is None:
            return
        print(f"{path} is damaged ({fault}): it is made anew")
    writable(path.parent, "--data.cache")
    build()
