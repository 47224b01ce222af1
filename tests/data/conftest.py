"""What the tests of the data rooms share: tables written from rows, records and token files."""

import csv
import gzip
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest

from careergpt.data.datamodule import DEFAULT_SEPARATORS, CareerDataModule
from careergpt.data.prepare import prepare_records
from careergpt.data.records import RecordRules, record_rules
from careergpt.data.tasks import DEFAULT_TASKS, Task
from careergpt.data.token_file import TOKEN_SCHEMA, TokenStore
from careergpt.data.whole_files import read_arrow, write_arrow

TOKENIZER = str(Path(__file__).parents[2] / "data" / "tokenizer")


class Prepared(NamedTuple):
    """Records, as rows, and what became of the table's rows."""

    rows: list[dict[str, Any]]
    counts: dict[str, Any]

    def hashes(self, field: str) -> dict[Any, float]:
        """The number that decides the split, by the value of a field."""
        return {_hashable(row[field]): row["hash"] for row in self.rows}


@pytest.fixture
def rules() -> Callable[..., RecordRules]:
    """Rules for the default tasks, unless others are given."""

    def _rules(
        tasks: Mapping[str, Task] = DEFAULT_TASKS,
        columns: Mapping[str, Any] | None = None,
        mask_contacts: bool = True,
    ) -> RecordRules:
        return record_rules(columns or {}, DEFAULT_SEPARATORS, tasks, mask_contacts)

    return _rules


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], str]:
    """Writes a file, gzipped where its name ends in .gz, and gives its path."""

    def _write(name: str, content: str | bytes) -> str:
        path = tmp_path / name
        data = content.encode() if isinstance(content, str) else content
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return str(path)

    return _write


@pytest.fixture
def write_table(tmp_path: Path) -> Callable[..., str]:
    """Writes rows as a .csv or .jsonl table and gives its path."""

    def _write_table(rows: Sequence[Mapping[str, Any]], name: str = "postings.csv") -> str:
        path = tmp_path / name
        with path.open("w", newline="", encoding="utf-8") as file:
            if name.endswith(".jsonl"):
                file.writelines(json.dumps(row) + "\n" for row in rows)
            else:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        return str(path)

    return _write_table


@pytest.fixture
def prepare(tmp_path: Path, rules: Callable[..., RecordRules]) -> Callable[..., Prepared]:
    """Prepares the records of tables."""

    def _prepare(*tables: str, workers: int = 1, **asked: Any) -> Prepared:
        records = prepare_records(list(tables), rules(**asked), tmp_path / "cache", workers=workers)
        return Prepared(read_arrow(records.path).to_pylist(), records.counts)

    return _prepare


@pytest.fixture
def data_module(tables: Path, tmp_path: Path) -> Callable[..., CareerDataModule]:
    """The data module over the shared tables, with settings laid over small defaults."""

    def _data_module(**settings: Any) -> CareerDataModule:
        defaults: dict[str, Any] = {
            "source": str(tables),
            "tokenizer": TOKENIZER,
            "cache": str(tmp_path / "cache"),
            "context": 128,
            "val_fraction": 0.2,
            "test_fraction": 0.2,
            "processes": 1,
        }
        return CareerDataModule(**{**defaults, **settings})

    return _data_module


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[..., TokenStore]:
    """A token file of these examples: dictionaries, missing columns filled in."""

    def _store_of(examples: Sequence[Mapping[str, Any]], batch: int = 1000) -> TokenStore:
        rows = [
            {
                "record": place,
                "task": 0,
                "n_prompt": 1,
                "length": len(example["token_ids"]),
                "n_bytes": 1,
                "n_cut": 0,
                "items": [],
                **example,
            }
            for place, example in enumerate(examples)
        ]
        batches = (rows[start : start + batch] for start in range(0, len(rows), batch))
        path = tmp_path / "tokens.arrow"
        write_arrow(path, TOKEN_SCHEMA, map(_columns, batches))
        return TokenStore(path)

    return _store_of


def _columns(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    return pa.Table.from_pylist(list(rows), schema=TOKEN_SCHEMA).to_pydict()


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
