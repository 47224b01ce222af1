"""The prepared dataset: clean records, the split of each, and their examples as tokens."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from careergpt.data.names import spellings
from careergpt.data.prepare import RecordFile
from careergpt.data.records import DESCRIPTION, RecordRules, fields_of_row, items_of
from careergpt.data.report import DataReport, data_report
from careergpt.data.splits import (
    LEFT_OUT,
    SPLITS,
    TEST,
    TRAIN,
    VAL,
    leave_out_trained,
    numbers_of,
    read_trained_rows,
    split_records,
)
from careergpt.data.tasks import Fields, PromptForm, Task, prompt_completion, text_of
from careergpt.data.token_file import TokenStore
from careergpt.data.whole_files import read_arrow
from careergpt.errors import InputError

GPT2_CONTEXT = 1024
"""What an audit without a model cuts at."""


class CareerDataset:
    """Records of tables, in splits, with the examples that the tasks make of them.

    Example:
        data = CareerDataModule(source="data", tokenizer="data/tokenizer").open()
        data.fields(TEST, ["position_title", "skills"])  # what unseen records hold
        data.store.token_ids(data.members(TRAIN)[0])  # the first training example

    Attributes:
        table: The records; `records.BESIDE_FIELDS` says what it holds beside their fields.
        split: (N,) the split of each record; LEFT_OUT where a model was trained on it.
        n_read: Rows that the tables have.
        form: How its examples' prompts stand before the model.
        min_count: Training records that a title or skill must be in to be known.
        knows_training: Whether one of the models says what it was trained on.
        n_trained: (3,) records of each split, but training, that one of them was trained on.
    """

    def __init__(
        self,
        records: RecordFile,
        rules: RecordRules,
        tokens: Path | None = None,
        *,
        source: str | Sequence[str] = (),
        splits: str = "hash",
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        min_count: int | None = None,
        max_length: int = GPT2_CONTEXT,
        models: Sequence[str] = (),
        include_trained: bool = False,
        form: PromptForm = "plain",
    ) -> None:
        """Opens the files that were prepared; `CareerDataModule` explains the settings."""
        self.rules, self.source, self.splits, self.form = rules, source, splits, form
        self.max_length = max_length
        self.table = read_arrow(records.path)
        self._records, self._models = records, models
        self._store = None if tokens is None else TokenStore(tokens)
        self.fractions = (val_fraction, test_fraction)
        self.n_read = int(records.counts["read"])
        self._drawn = split_records(self.table, splits, val_fraction, test_fraction)
        # Five tell a name from a slip; of a small table that would leave none.
        n_training = int((self._drawn == TRAIN).sum())
        self.min_count = min_count or min(max(n_training // 200, 1), 5)
        self._trained = read_trained_rows(models)
        self.knows_training, self.include_trained = self._trained is not None, include_trained
        unseen = self._drawn
        if self._trained is not None:
            unseen = leave_out_trained(unseen, self.table, self._trained)
        self.n_trained = np.bincount(self._drawn[unseen == LEFT_OUT], minlength=len(SPLITS))
        self.split = self._drawn if include_trained else unseen

    @property
    def tasks(self) -> Mapping[str, Task]:
        """The tasks by name, in the order that the token file numbers them by."""
        return self.rules.tasks

    @property
    def store(self) -> TokenStore:
        """The examples of all records as tokens."""
        assert self._store is not None, "prepared without a tokenizer"
        return self._store

    def in_split(self, split: int) -> np.ndarray:
        """(N,) which records are of the split; with splits=all every record is unseen in each."""
        return np.asarray(self.split == (TEST if self.splits == "all" else split))

    def members(self, split: int) -> np.ndarray:
        """Indices of the examples of a split, of the tasks that weigh something."""
        weighs = np.array([task.weight > 0 for task in self.tasks.values()])
        fits = (self.store.length > 0) & weighs[self.store.task]
        return np.flatnonzero(self.in_split(split)[self.store.record] & fits)

    def tasks_in(self, split: int) -> list[str]:
        """The tasks that a split has examples of."""
        found = set(self.store.task[self.members(split)].tolist())
        return [name for place, name in enumerate(self.tasks) if place in found]

    def rows(self, split: int) -> Iterator[dict[str, Any]]:
        """The records of a split as rows of the table, one batch in memory at a time."""
        chosen, start = self.in_split(split), 0
        # The signatures of near-duplicates are as large as the texts.
        for batch in self.table.drop_columns(["signature"]).to_batches():
            end = start + len(batch)
            yield from batch.filter(pa.array(chosen[start:end])).to_pylist()
            start = end

    def fields(self, split: int, names: Iterable[str]) -> list[Fields]:
        """These fields of a split's records, one record of each group of near-duplicate texts.

        In the order of the hash that decides the split: as if drawn.
        """
        first = self.table["group"].to_numpy() == np.arange(len(self.table))
        # Lists that are alike may be of different positions, and of different people.
        counts = first | pc.is_null(self.table[DESCRIPTION]).to_numpy()
        chosen = self.in_split(split) & counts
        held = self.table.select([name for name in names if name in self.table.column_names])
        # Not `take`: it would join a column's parts, of which each may hold 2 GiB of text at most.
        rows = held.filter(pa.array(chosen)).to_pylist()
        order = np.argsort(self.table["hash"].to_numpy()[chosen], kind="stable")
        return [fields_of_row(rows[place]) for place in order]

    def drawn(self, split: int, field: str) -> Iterator[Fields]:
        """Records of a split that have the field, one of each group of near-duplicates.

        In the order of the hash that decides the split: as if drawn, and the same on every rank.
        """
        places = np.flatnonzero(self.in_split(split) & pc.is_valid(self.table[field]).to_numpy())
        _, first = np.unique(self.table["hash"].to_numpy()[places], return_index=True)
        for place in places[first].tolist():
            yield fields_of_row(self.table.slice(place, 1).to_pylist()[0])

    def texts(self, split: int) -> Iterator[str]:
        """Questions and answers of a split's records, of each task the share that it weighs."""
        shares = dict.fromkeys(self.tasks, 0.0)
        for row in self.rows(split):
            fields = fields_of_row(row)
            for name, task in self.tasks.items():
                if pair := prompt_completion(name, task, fields):
                    shares[name] += min(task.weight, 1.0)
                    if shares[name] >= 1:
                        shares[name] -= 1
                        yield text_of((*pair.prompt, *pair.completion))

    def places_of(self, examples: Iterable[int]) -> list[dict[str, str]]:
        """Task, id and place of the records that these examples of the token file are of."""
        names, found = list(self.tasks), []
        for example in examples:
            (row,) = self.table.slice(int(self.store.record[example]), 1).to_pylist()
            task = names[int(self.store.task[example])]
            found.append({"task": task, "id": row["id"], "place": row["place"]})
        return found

    def known_skills(self) -> list[str]:
        """Skills that training names often enough, spelled as most of its records do."""
        if "skills" not in self.table.column_names:
            return []
        trained = pa.array(self.split == TRAIN)
        found = spellings(items_of(self.table["skills"].filter(trained))).values()
        known = (names for names in found if names.total() >= self.min_count)
        # Of two spellings as frequent, the same one whatever the records' order.
        return sorted(max(names, key=lambda name: (names[name], name)) for names in known)

    def trained_on(self) -> dict[str, Any]:
        """What decides which records training sees: the table, how it is read, and its split."""
        val_fraction, test_fraction = self.fractions
        return {
            "records": self._records.path.stem,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def trained_rows(self) -> np.ndarray:
        """The numbers of the rows that training sees, and that earlier stages saw."""
        places, numbers = numbers_of(self.table)
        now = numbers[self.split[places] == TRAIN]
        return now if self._trained is None else np.concatenate([self._trained, now])

    def trained_note(self) -> str:
        """What the models were trained on of the records to evaluate on; empty if nothing."""
        if not self.n_trained.any():
            return ""
        held = np.bincount(self._drawn, minlength=len(SPLITS))
        done = "kept, as asked" if self.include_trained else "left out"
        return (
            f"the model was trained on {self.n_trained[VAL]:,} of the {held[VAL]:,} rows to "
            f"validate on and {self.n_trained[TEST]:,} of the {held[TEST]:,} to test on: "
            f"{done} (--data.include_trained)"
        )

    def check_members(self, split: int) -> None:
        """Raises InputError for a split without an example."""
        if len(self.members(split)):
            return
        if records := int(self.in_split(split).sum()):
            raise InputError(
                f"{self.source}: the {SPLITS[split]} split has {records} records and no example: "
                f"their prompts leave no room within data.max_length ({self.max_length}), or "
                "their tasks weigh 0"
            )
        if self.n_trained[TEST if self.splits == "all" else split] and not self.include_trained:
            raise InputError(
                f"{self.source}: the model was trained on every row of the {SPLITS[split]} split: "
                "bring other rows, split as it was trained, or set --data.include_trained true"
            )
        raise InputError(
            f"{self.source}: none of its {len(self.table)} records is in the {SPLITS[split]} "
            "split: bring more rows, or change --data.val_fraction, --data.test_fraction or "
            "--data.splits"
        )

    def report(self) -> DataReport:
        """What became of the rows; with token counts where a tokenizer is known."""
        return data_report(
            self._records.counts,
            self.table,
            self._drawn,
            self._store,
            list(self.tasks),
            self.min_count,
            self.splits,
        )
