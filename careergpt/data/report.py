"""The report on the data: what was read, kept, dropped and cut, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from careergpt.data.names import spellings
from careergpt.data.records import items_of
from careergpt.data.splits import SPLITS, TRAIN
from careergpt.data.token_file import TokenStore
from careergpt.data.whole_files import write_json
from careergpt.errors import printable

_MOST_NAMED = 8
"""Of files that are passed over, so many are told."""

NO_FIELD, MOST_FIELDS = "no field", 50

# Heading, its width, and how the figure of a task's examples is written.
_COLUMNS = (
    ("tokens", 12, "tokens_total", "{:,}"),
    ("median", 8, "tokens_median", "{:,.0f}"),
    ("p95", 8, "tokens_p95", "{:,.0f}"),
    ("cut", 7, "completions_cut", "{:,}"),
    ("end taught", 12, "end_of_text_taught", "{:.1%} "),
    ("prompt too long", 17, "prompts_too_long", "{:,}"),
    ("in train too", 14, "in_training_too", "{:,}"),
)


@dataclass(frozen=True)
class DataReport:
    """Counts of rows, records and tokens.

    Attributes:
        first_dropped: Reason -> the place of the first row that was dropped for it.
        passed_over: Files and sheets beside the tables that are not read.
        values: Distinct titles and skills, compared by case, white space and punctuation only;
            `known` are those that `min_count` training records name.
        fields: Training records of each field, where the tables have one; the largest first.
        tasks: Of each task its examples in each split, and their tokens, prompt and completion.
            `in_training_too` counts those of val and test that training has word for word: equal
            careers of different people, and different postings with one title and list of skills.
    """

    tables: list[dict[str, Any]]
    read: int
    kept: int
    dropped: dict[str, int]
    first_dropped: dict[str, str]
    passed_over: list[str]
    near_duplicates: dict[str, int]
    splits: dict[str, int]
    leaks_across_splits: int
    companies: int
    min_count: int
    values: dict[str, dict[str, int]]
    fields: dict[str, int]
    tasks: dict[str, dict[str, Any]]
    warnings: list[str]

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        write_json(path, asdict(self))

    def __str__(self) -> str:
        """The report as text for a terminal."""
        warnings = [f"warning: {warning}" for warning in self.warnings]
        lines = [*self._rows(), *self._values(), *self._tasks(), *warnings]
        return "\n".join(map(printable, lines))

    def _rows(self) -> Iterator[str]:
        yield f"rows read    {self.read:>9,}"
        if len(self.tables) > 1 or any(table["encoding"] == "cp1252" for table in self.tables):
            for table in self.tables:
                encoding = f" ({table['encoding']})" if table["encoding"] else ""
                counts = f"{table['read']:,} read, {table['kept']:,} kept"
                yield f"  {table['name']}: {counts}{encoding}"
        for reason, number in self.dropped.items():
            yield f"dropped      {number:>9,}  {reason} (first: {self.first_dropped[reason]})"
        if self.passed_over:
            more = len(self.passed_over) - _MOST_NAMED
            yield (
                f"no table, passed over: {', '.join(self.passed_over[:_MOST_NAMED])}"
                + f" and {more} more" * (more > 0)
            )
        yield f"records kept {self.kept:>9,}"
        near, leaks = self.near_duplicates, self.leaks_across_splits
        yield (
            f"near-duplicates: {near['records']:,} records in {near['groups']:,} groups"
            + ", each group within one split" * (not leaks)
        )
        yield "splits: " + "  ".join(f"{name} {number:,}" for name, number in self.splits.items())
        yield f"leaks across splits: {leaks}"

    def _values(self) -> Iterator[str]:
        yield f"company names: {self.companies:,}"
        for name, count in self.values.items():
            yield (
                f"{name}: {count['distinct']:,} distinct, {count['in_training']:,} in training, "
                f"{count['known']:,} there at least {self.min_count} times"
            )
        total = sum(self.fields.values())
        yield from (f"{n / total:6.1%} of training: {name}" for name, n in self.fields.items())

    def _tasks(self) -> Iterator[str]:
        if not self.tasks:
            yield "token counts need --data.tokenizer"
            return
        headings = "".join(f"{heading:>{width}}" for heading, width, *_ in _COLUMNS)
        yield f"{'task':10}{'train':>8}{'val':>7}{'test':>7}{headings}"
        for name, task in self.tasks.items():
            train, val, test = (task["examples"].get(split, 0) for split in SPLITS)
            figures = (kind.format(task[key]).rjust(width) for _, width, key, kind in _COLUMNS)
            yield f"{name:10}{train:>8,}{val:>7,}{test:>7,}{''.join(figures)}"


def data_report(
    counts: Mapping[str, Any],
    table: pa.Table,
    split: np.ndarray,
    store: TokenStore | None,
    tasks: Sequence[str],
    min_count: int,
    splits: str = "hash",
) -> DataReport:
    """The report of these records; `counts` is what reading counted, `store` their examples."""
    leaking = leaks(table["group"].to_numpy(), table["key"].to_pylist(), split)
    reports = {
        name: store and _task_report(store, store.task == number, split)
        for number, name in enumerate(tasks)
    }
    return DataReport(
        tables=list(counts["tables"]),
        read=counts["read"],
        kept=counts["kept"],
        dropped=dict(sorted(counts["dropped"].items(), key=lambda item: -item[1])),
        first_dropped=dict(counts["first_dropped"]),
        passed_over=list(counts["passed_over"]),
        near_duplicates=dict(counts["near_duplicates"]),
        splits={name: int((split == number).sum()) for number, name in enumerate(SPLITS)},
        leaks_across_splits=leaking,
        companies=len({name for name in table["company_name"].to_pylist() if name}),
        min_count=min_count,
        values={
            name: _value_counts(table[name], split == TRAIN, min_count)
            for name in ("position_title", "skills", "titles")
            if name in table.column_names and table[name].null_count < len(table)
        },
        fields=dict(_field_counts(table["field"].filter(pa.array(split == TRAIN)))),
        tasks={name: report for name, report in reports.items() if report},
        warnings=list(_warnings(counts, table["own_split"].to_numpy(), splits, leaking)),
    )


def _warnings(
    counts: Mapping[str, Any], own: np.ndarray, splits: str, leaking: int
) -> Iterator[str]:
    """What a user should look at; `own` are the splits that the tables name."""
    for table in counts["tables"]:
        long, kept = table["titles_like_descriptions"], table["kept"]
        if 2 * long > kept:
            yield (
                f"{table['name']}: {long:,} of {kept:,} titles read like descriptions: are "
                "--data.columns.position_title and --data.columns.job_description swapped?"
            )
    for reason, number in counts["dropped"].items():
        if reason.startswith("no ") and 2 * number > counts["read"]:
            yield (
                f"{number:,} of {counts['read']:,} rows are dropped, for they have {reason}: where "
                "a task can do without it, write that part of its template in [[ ]]"
            )
    named = [f"{name} {n:,}" for number, name in enumerate(SPLITS) if (n := (own == number).sum())]
    if splits == "hash" and len(named) > 1:
        yield (
            f"the tables have splits of their own ({', '.join(named)}), and all are split anew by "
            "a hash. To use theirs: --data.splits own"
        )
    if splits == "own" and leaking:
        yield (
            f"{leaking:,} records are in another split too, or nearly: what is measured on unseen "
            "records flatters the model. To split them anew: --data.splits hash"
        )


def leaks(group: np.ndarray, keys: Sequence[str], split: np.ndarray) -> int:
    """Records whose group, or whose very description, also lies in another split."""
    homes: dict[object, set[int]] = {}
    names = list(zip(group.tolist(), keys, strict=True))
    for pair, home in zip(names, split.tolist(), strict=True):
        for name in pair:
            homes.setdefault(name, set()).add(home)
    return sum(any(len(homes[name]) > 1 for name in pair) for pair in names)


def _value_counts(column: pa.ChunkedArray, trained: np.ndarray, min_count: int) -> dict[str, int]:
    training = spellings(items_of(column.filter(pa.array(trained))))
    return {
        "distinct": len(spellings(items_of(column))),
        "in_training": len(training),
        "known": sum(found.total() >= min_count for found in training.values()),
    }


def _field_counts(column: pa.ChunkedArray) -> list[tuple[str, int]]:
    counts = Counter(column.fill_null(NO_FIELD).to_pylist())
    # Of many, or of none, there is no balance to show.
    return counts.most_common(MOST_FIELDS) if counts.keys() - {NO_FIELD} else []


def _task_report(store: TokenStore, chosen: np.ndarray, split: np.ndarray) -> dict[str, Any] | None:
    if not chosen.any():
        return None
    kept = chosen & (store.length > 0)
    length, cut = store.length[kept], store.n_cut[kept] > 0
    homes = split[store.record[kept]]
    return {
        "examples": {name: int((homes == number).sum()) for number, name in enumerate(SPLITS)},
        "tokens_median": float(np.median(length)) if len(length) else 0.0,
        "tokens_p95": float(np.percentile(length, 95)) if len(length) else 0.0,
        "tokens_total": int(length.sum()),
        "completions_cut": int(cut.sum()),
        "end_of_text_taught": float(1 - cut.mean()) if len(length) else 0.0,
        "prompts_too_long": int((chosen & (store.length == 0)).sum()),
        "in_training_too": _in_training_too(store, np.flatnonzero(kept), homes),
    }


def _in_training_too(store: TokenStore, examples: np.ndarray, homes: np.ndarray) -> int:
    texts = np.array([hash(store.token_ids(example).tobytes()) for example in examples.tolist()])
    return int(np.isin(texts[homes != TRAIN], texts[homes == TRAIN]).sum())
