"""The report on the data: what was read, kept, dropped and cut, before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from careergpt.data.names import title_key
from careergpt.data.splits import SPLITS, TRAIN
from careergpt.data.store import TokenStore, items_of, write_json
from careergpt.errors import printable

_MOST_NAMED = 8
"""Of files that are passed over, so many are told."""


class TaskReport(NamedTuple):
    """A task's examples: how many in each split, and their tokens (prompt and completion).

    `in_training_too` counts those of val and test that training has word for word: equal careers
    of different people, and different postings with one title and one list of skills.
    """

    examples: dict[str, int]
    tokens_median: float
    tokens_p95: float
    tokens_total: int
    completions_cut: int
    end_of_text_taught: float
    prompts_too_long: int
    in_training_too: int


class ValueCounts(NamedTuple):
    """Distinct titles or skills, compared by case, white space and punctuation only."""

    distinct: int
    in_training: int
    known: int
    """Seen in training at least `min_count` times."""


@dataclass(frozen=True)
class DataReport:
    """Counts of rows, records and tokens."""

    tables: list[dict[str, Any]]
    read: int
    kept: int
    dropped: dict[str, int]
    first_dropped: dict[str, str]
    """Reason -> the place of the first row that was dropped for it."""
    passed_over: list[str]
    """Files and sheets beside the tables that are not read."""
    near_duplicates: dict[str, int]
    splits: dict[str, int]
    leaks_across_splits: int
    companies: int
    min_count: int
    values: dict[str, ValueCounts]
    tasks: dict[str, TaskReport]
    warnings: list[str]

    def write(self, path: Path) -> None:
        """Writes the report as JSON."""
        content = asdict(self)
        content["values"] = {name: count._asdict() for name, count in self.values.items()}
        content["tasks"] = {name: task._asdict() for name, task in self.tasks.items()}
        write_json(path, content)

    def __str__(self) -> str:
        """The report as text for a terminal."""
        warnings = [f"warning: {warning}" for warning in self.warnings]
        lines = [*self._rows(), *self._values(), *self._tasks(), *warnings]
        return "\n".join(map(printable, lines))

    def _rows(self) -> list[str]:
        lines = [f"rows read    {self.read:>9,}"]
        if len(self.tables) > 1 or any(table["encoding"] == "cp1252" for table in self.tables):
            lines += [
                f"  {table['name']}: {table['read']:,} read, {table['kept']:,} kept"
                + (f" ({table['encoding']})" if table["encoding"] else "")
                for table in self.tables
            ]
        lines += [
            f"dropped      {number:>9,}  {reason} (first: {self.first_dropped[reason]})"
            for reason, number in self.dropped.items()
        ]
        if self.passed_over:
            some = ", ".join(self.passed_over[:_MOST_NAMED])
            more = len(self.passed_over) - _MOST_NAMED
            lines.append(f"no table, passed over: {some}" + (f" and {more} more" * (more > 0)))
        near = self.near_duplicates
        sizes = "  ".join(f"{name} {number:,}" for name, number in self.splits.items())
        return [
            *lines,
            f"records kept {self.kept:>9,}",
            f"near-duplicates: {near['records']:,} records in {near['groups']:,} groups"
            + ("" if self.leaks_across_splits else ", each group within one split"),
            f"splits: {sizes}",
            f"leaks across splits: {self.leaks_across_splits}",
        ]

    def _values(self) -> list[str]:
        return [f"company names: {self.companies:,}"] + [
            f"{name}: {count.distinct:,} distinct, {count.in_training:,} in training, "
            f"{count.known:,} there at least {self.min_count} times"
            for name, count in self.values.items()
        ]

    def _tasks(self) -> list[str]:
        if not self.tasks:
            return ["token counts need --data.tokenizer"]
        lines = [
            f"{'task':10}{'train':>8}{'val':>7}{'test':>7}{'tokens':>12}{'median':>8}{'p95':>8}"
            f"{'cut':>7}{'end taught':>12}{'prompt too long':>17}{'in train too':>14}"
        ]
        for name, task in self.tasks.items():
            sizes = [task.examples.get(split, 0) for split in SPLITS]
            lines.append(
                f"{name:10}{sizes[0]:>8,}{sizes[1]:>7,}{sizes[2]:>7,}{task.tokens_total:>12,}"
                f"{task.tokens_median:>8,.0f}{task.tokens_p95:>8,.0f}{task.completions_cut:>7,}"
                f"{task.end_of_text_taught:>11.1%}{task.prompts_too_long:>18,}"
                f"{task.in_training_too:>14,}"
            )
        return lines


def data_report(
    counts: Mapping[str, Any],
    table: pa.Table,
    split: np.ndarray,
    store: TokenStore | None,
    tasks: Sequence[str],
    min_count: int,
    splits: str = "hash",
) -> DataReport:
    """The report of these records.

    Args:
        counts: What reading counted.
        table: The records.
        split: (N,) the split of each.
        store: Their examples; None where no tokenizer is known.
        tasks: The names of the tasks, by number.
        min_count: From how many on a title or skill is known.
        splits: What decided the splits: hash, own or all.
    """
    leaking = leaks(table["group"].to_numpy(), table["key"].to_pylist(), split)
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
            name: _value_counts(table[name], split, min_count)
            for name in ("position_title", "skills", "titles")
            if name in table.column_names and table[name].null_count < len(table)
        },
        tasks={}
        if store is None
        else {
            name: report
            for number, name in enumerate(tasks)
            if (report := _task_report(store, store.task == number, split))
        },
        warnings=[
            *_swapped(counts["tables"]),
            *_lacking(counts["dropped"], counts["read"]),
            *_own_splits(table, splits, leaking),
        ],
    )


def _swapped(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    for table in tables:
        long, kept = table["titles_like_descriptions"], table["kept"]
        if 2 * long > kept:
            yield (
                f"{table['name']}: {long:,} of {kept:,} titles read like descriptions: are "
                "--data.columns.position_title and --data.columns.job_description swapped?"
            )


def _lacking(dropped: Mapping[str, int], read: int) -> Iterator[str]:
    for reason, number in dropped.items():
        if reason.startswith("no ") and 2 * number > read:
            yield (
                f"{number:,} of {read:,} rows are dropped, for they have {reason}: where a task "
                "can do without it, write that part of its template in [[ ]]"
            )


def _own_splits(table: pa.Table, splits: str, leaking: int) -> Iterator[str]:
    """What a user who brings splits should know: whether they are used, and whether they leak."""
    own = table["own_split"].to_numpy()
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
    names = [(int(number), key) for number, key in zip(group, keys, strict=True)]
    for (number, key), home in zip(names, split.tolist(), strict=True):
        homes.setdefault(number, set()).add(home)
        homes.setdefault(key, set()).add(home)
    return sum(len(homes[number]) > 1 or len(homes[key]) > 1 for number, key in names)


def _value_counts(column: pa.ChunkedArray, split: np.ndarray, min_count: int) -> ValueCounts:
    everywhere: set[str] = set()
    training: Counter[str] = Counter()
    for items, home in zip(items_of(column), split, strict=True):
        names = {title_key(item) for item in items}
        everywhere |= names
        if home == 0:
            training.update(names)
    known = sum(count >= min_count for count in training.values())
    return ValueCounts(len(everywhere), len(training), known)


def _task_report(store: TokenStore, chosen: np.ndarray, split: np.ndarray) -> TaskReport | None:
    if not chosen.any():
        return None
    kept = chosen & (store.length > 0)
    length, cut = store.length[kept], store.n_cut[kept] > 0
    homes = split[store.record[kept]]
    return TaskReport(
        examples={name: int((homes == number).sum()) for number, name in enumerate(SPLITS)},
        tokens_median=float(np.median(length)) if len(length) else 0.0,
        tokens_p95=float(np.percentile(length, 95)) if len(length) else 0.0,
        tokens_total=int(length.sum()),
        completions_cut=int(cut.sum()),
        end_of_text_taught=float(1 - cut.mean()) if len(length) else 0.0,
        prompts_too_long=int((chosen & (store.length == 0)).sum()),
        in_training_too=_in_training_too(store, np.flatnonzero(kept), homes),
    )


def _in_training_too(store: TokenStore, examples: np.ndarray, homes: np.ndarray) -> int:
    said = [hash(store.token_ids(example).tobytes()) for example in examples.tolist()]
    trained = {text for text, home in zip(said, homes, strict=True) if home == TRAIN}
    return sum(text in trained for text, home in zip(said, homes, strict=True) if home != TRAIN)
