"""The LightningDataModule: tables in, batches out."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from lightning import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from careergpt.data.batches import BatchPlan, PlannedBatches, TokenBatch
from careergpt.data.parallel import Workers, processes
from careergpt.data.prepare import RecordFile, prepare_records, prepare_tokens
from careergpt.data.prompts import (
    Prompt,
    check_lengths,
    prompts_of_records,
    read_prompts,
    ready_prompts,
)
from careergpt.data.record_file import fields_of_row
from careergpt.data.records import record_rules
from careergpt.data.report import DataReport, data_report
from careergpt.data.settings import (
    batch_budget,
    check_positive,
    check_processes,
    example_length,
)
from careergpt.data.skills import known_from, known_skills
from careergpt.data.splits import (
    LEFT_OUT,
    SPLITS,
    TEST,
    TRAIN,
    VAL,
    check_fractions,
    split_records,
)
from careergpt.data.store import TokenStore, read_arrow, rows_of
from careergpt.data.tasks import Fields, Task, check_tasks, prompt_completion, text_of
from careergpt.data.tokens import load_tokenizer
from careergpt.data.trained_rows import leave_out_trained, numbers_of, read_trained_rows
from careergpt.errors import InputError

DEFAULT_TASKS = {
    "describe": Task(
        "Tell me about the qualifications required for a {position_title}.", "{job_description}"
    ),
    "position": Task("Which position suits someone skilled in {skills}?", "{position_title}"),
    "skills": Task("Which skills does a {position_title} need?", "{skills}"),
    "path": Task("Career path: {titles[0]}", "> {titles[1:]: > }"),
}

DEFAULT_SHUFFLED = ["skills"]
DEFAULT_SEPARATORS: dict[str, str | None] = {"skills": None, "titles": None}


class CareerDataModule(LightningDataModule):
    """Question and answer pairs from tables of postings and careers, as batches of tokens."""

    def __init__(
        self,
        source: list[str] | str | None = None,
        columns: dict[str, list[str] | str] | None = None,
        separators: dict[str, str | None] = DEFAULT_SEPARATORS,
        tasks: dict[str, Task] | None = None,
        mask_contacts: bool = True,
        splits: Literal["hash", "own", "all"] = "hash",
        include_trained: bool = False,
        val_fraction: float = 0.1,
        test_fraction: float = 0.1,
        max_length: int | None = None,
        pack: bool = True,
        batch_tokens: int | None = None,
        batch_size: int | None = None,
        shuffled: list[str] = DEFAULT_SHUFFLED,
        min_count: int | None = None,
        prompts: str | None = None,
        prompts_per_batch: int = 16,
        seed: int = 0,
        workers: int = 0,
        processes: int | None = None,
        cache: str = ".cache/careergpt",
        tokenizer: str | None = None,
        context: int | None = None,
        models: list[str] | None = None,
    ) -> None:
        """Only keeps the settings; `prepare_data` reads.

        Args:
            source: A table, a list of tables, a folder or .zip of tables, or owner/name on the hub.
            columns: Field -> the column that holds it, or several of which the first with text
                wins; within the objects of JSON and Parquet a path, job.title. A field's column has
                the field's name unless it is named here.
            separators: List field -> what separates its items in a cell (null: whichever of
                | , ; occurs most).
            tasks: Name -> prompt, completion, weight; a record takes part in each task whose
                fields it has. Templates take columns by name, items of a list by place
                ({messages[0]}); what stands in [[ ]] is left out where a record lacks its
                field. Null: describe, position, skills and path.
            mask_contacts: Mask e-mail addresses and phone numbers.
            splits: hash: by a hash of each group of near-duplicates; own: as a table's name or
                its column "split" says (train, val or validation, test), and of val and test the
                one that they lack by hash from train; all: every record is unseen.
            include_trained: Validate and test also on rows that the model was trained on by any of
                its stages, instead of leaving them out.
            val_fraction: Share of groups to validate on.
            test_fraction: Share of groups to test on.
            max_length: Longest example in tokens; a longer completion is cut. Null: the model's
                context.
            pack: Lay examples end to end, without padding; false: one example a row, padded.
            batch_tokens: Tokens in a packed batch, at most. Null: 8192.
            batch_size: Rows in a padded batch. Null: 8.
            shuffled: List fields whose items change order every epoch.
            min_count: Titles and skills in as many training records count as known. Null: 5; of
                fewer than 1,000 training records one for each 200, and 1 at least.
            prompts: A file of prompts for predict: .txt (one a line) or .jsonl (with "prompt").
            prompts_per_batch: Prompts that are answered side by side.
            seed: Decides order, mixture and list order; follows seed_everything.
            workers: Loader processes.
            processes: Processes that clean and tokenize. Null: one a core.
            cache: Folder of prepared tables, keyed by content and settings.
            tokenizer: Hub name or folder. Training takes the model's own.
            context: The model's longest input; given by the model.
            models: Folders of the models that say which rows they were trained on.
        """
        super().__init__()
        self.tasks = dict(DEFAULT_TASKS if tasks is None else tasks)
        check_tasks(self.tasks)
        check_fractions(val_fraction, test_fraction)
        self.budget = batch_budget(pack, batch_tokens, batch_size)
        self.max_length = example_length(max_length, context)
        self._context = context or self.max_length
        check_positive(prompts_per_batch=prompts_per_batch)
        check_processes(workers, processes)
        if min_count is not None:
            check_positive(min_count=min_count)
        self.separators = {**DEFAULT_SEPARATORS, **separators}
        for field, separator in self.separators.items():
            if separator == "":
                raise InputError(f"data.separators.{field} is empty: name what separates the items")
        self.rules = record_rules(
            columns or {}, self.separators, self.tasks, mask_contacts, splits == "own"
        )
        lists = (*self.separators, *self.rules.turns)
        for field in shuffled:
            if field not in lists:
                raise InputError(
                    f"data.shuffled names {field!r}, which is no list: there are {', '.join(lists)}"
                )
        self._typed_columns = tuple(columns or {})
        self.source, self.splits = source, splits
        self.include_trained, self._models = include_trained, tuple(models or ())
        self._fractions = (val_fraction, test_fraction)
        self._shuffled = shuffled
        self._min_count = min_count
        self._prompts, self._prompts_per_batch = prompts, prompts_per_batch
        self.seed, self._workers, self._processes = seed, workers, processes
        self._cache = Path(cache)
        self.tokenizer_source = tokenizer
        self.store: TokenStore | None = None
        # There may be fewer batches of prompts than ranks.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._record_file: RecordFile | None = None
        self._token_file: Path | None = None
        # Of all batches of prompts, the places that are answered already.
        self.find_answered: Callable[[list[list[Prompt]]], Container[int]] | None = None

    def prepare_data(self) -> None:
        """Fills the cache; Lightning calls it in one process."""
        if self._prompts is None:
            self._records()
            if self.tokenizer_source is not None:
                self._tokens()

    def setup(self, stage: str | None = None) -> None:
        """Opens what was prepared and checks that the stage has something to work on."""
        self.tokenizer = load_tokenizer(self._tokenizer_named())
        if self._prompts is not None and stage == "predict":
            self.prompts = ready_prompts(read_prompts(self._prompts), self.tokenizer)
            check_lengths(self.prompts, self._context)
            return
        self._agree()
        self.table = read_arrow(self._records().path)
        self.store = TokenStore(self._tokens())
        self.split = self._unseen(self._split())
        self._plans: dict[int, BatchPlan] = {}
        if stage == "fit":
            if self.splits == "all":
                raise InputError("data.splits=all leaves no record to train on: use it to test")
            self._check_members(TRAIN)
            self._check_members(VAL)
            # Planned here, for what may be wrong with a plan comes before a run is written.
            self._plan(TRAIN)
            self._plan(VAL)
        elif stage == "validate":
            self._check_members(VAL)
        elif stage == "test":
            self._check_members(TEST)
        elif stage == "predict":
            questions = prompts_of_records(self.table, self._is_member(TEST), self.tasks)
            ready = ready_prompts(list(questions), self.tokenizer)
            self.prompts = [p for p in ready if len(p.token_ids) < self._context]
            self._check_prompts(len(ready) - len(self.prompts))

    @property
    def n_read(self) -> int:
        """Rows that the tables have."""
        return int(self._records().counts["read"])

    @property
    def min_count(self) -> int:
        """Training records that a title or skill must be in to be known."""
        if self._min_count is not None:
            return self._min_count
        return known_from(int((self._split() == TRAIN).sum()))

    def members(self, split: int) -> np.ndarray:
        """Indices of the examples of a split, of the tasks that weigh something."""
        assert self.store is not None
        weighs = np.array([task.weight > 0 for task in self.tasks.values()])
        fits = (self.store.length > 0) & weighs[self.store.task]
        return np.flatnonzero(self._is_member(split)[self.store.record] & fits)

    def tasks_in(self, split: int) -> list[str]:
        """The tasks that a split has examples of."""
        assert self.store is not None
        found = set(self.store.task[self.members(split)].tolist())
        return [name for place, name in enumerate(self.tasks) if place in found]

    def trained_on(self) -> dict[str, Any]:
        """What decides which records training sees: the table, how it is read, and its split."""
        val_fraction, test_fraction = self._fractions
        return {
            "records": self._records().path.stem,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
        }

    def trained_rows(self) -> np.ndarray:
        """The numbers of the rows that training sees, and that earlier stages saw."""
        before = read_trained_rows(self._models)
        now = numbers_of(self.table)[self.split == TRAIN]
        return now if before is None else np.concatenate([before, now])

    def planned_by(self) -> dict[str, Any]:
        """What decides which rows a training batch holds; the number of loader processes does not.

        Plain values, by the names of their options, to be compared with those of another day.
        """
        assert self.store is not None
        ranks, trainer = self._rank()[1], self.trainer
        return {
            "the data (tables, cleaning, tasks' templates)": self._records().path.stem,
            "their tokens (tokenizer, --data.max_length)": self.store.path.stem,
            "--data.val_fraction and --data.test_fraction": self._fractions,
            "the tasks' weights": {name: float(task.weight) for name, task in self.tasks.items()},
            "a batch's tokens (--data.batch_tokens)": self.budget.tokens,
            "a batch's rows (--data.batch_size)": self.budget.rows,
            "--data.shuffled": sorted(self._shuffled),
            "--seed_everything": self.seed,
            "the number of ranks": ranks,
            "--trainer.limit_train_batches": trainer and trainer.limit_train_batches,
        }

    def resume_at(self, epoch: int, batch: int) -> None:
        """Has training begin at this rank's batch of the epoch, both counted from 0."""
        self._plan(TRAIN).resume_at(epoch, batch)

    def places_of(self, examples: Iterable[int]) -> list[dict[str, str]]:
        """Task, id and place of the records that these examples of the token file are of."""
        assert self.store is not None
        names = list(self.tasks)
        found = []
        for example in examples:
            (row,) = self.table.slice(int(self.store.record[example]), 1).to_pylist()
            task = names[int(self.store.task[example])]
            found.append({"task": task, "id": row["id"], "place": row["place"]})
        return found

    def known_skills(self) -> list[str]:
        """Skills that training names often enough to know them; none without a training split."""
        if "skills" not in self.table.column_names:
            return []
        return known_skills(self.table["skills"], self.split, self.min_count)

    def drawn(self, split: int, field: str) -> Iterator[Fields]:
        """Records of a split that have the field, one of each group of near-duplicates.

        In the order of the hash that decides the split: as if drawn, and the same on every rank.
        """
        has_field = pc.is_valid(self.table[field]).to_numpy()
        places = np.flatnonzero(self._is_member(split) & has_field)
        _, first = np.unique(self.table["unit"].to_numpy()[places], return_index=True)
        for place in places[first].tolist():
            yield fields_of_row(self.table.slice(place, 1).to_pylist()[0])

    def training_texts(self) -> Iterator[str]:
        """Questions and answers of the training records, of each task the share that it weighs."""
        self.table = read_arrow(self._records().path)
        shares = dict.fromkeys(self.tasks, 0.0)
        for row, split in zip(rows_of(self.table), self._split(), strict=True):
            fields = fields_of_row(row) if split == TRAIN else {}
            for name, task in self.tasks.items():
                if pair := prompt_completion(name, task, fields):
                    shares[name] += min(task.weight, 1.0)
                    if shares[name] >= 1:
                        shares[name] -= 1
                        yield text_of((*pair.prompt, *pair.completion))

    def fields(self, split: int, names: Iterable[str]) -> list[Fields]:
        """These fields of a split's records, one record of each group of near-duplicates.

        In the order of the hash that decides the split: as if drawn.
        """
        first = self.table["group"].to_numpy() == np.arange(len(self.table))
        places = np.flatnonzero(self._is_member(split) & first)
        order = places[np.argsort(self.table["unit"].to_numpy()[places], kind="stable")]
        held = self.table.select([name for name in names if name in self.table.column_names])
        return [fields_of_row(row) for row in held.take(order).to_pylist()]

    def report(self) -> DataReport:
        """What became of the rows; with token counts where a tokenizer is known."""
        records = self._records()
        self.table = read_arrow(records.path)
        store = TokenStore(self._tokens()) if self.tokenizer_source else None
        return data_report(
            records.counts,
            self.table,
            self._split(),
            store,
            list(self.tasks),
            self.min_count,
            self.splits,
        )

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        """The epoch's draw of the training examples, in an order of its own."""
        return self._loader(TRAIN)

    def val_dataloader(self) -> DataLoader[TokenBatch]:
        """Every validation example once."""
        return self._loader(VAL)

    def test_dataloader(self) -> DataLoader[TokenBatch]:
        """Every test example once."""
        return self._loader(TEST)

    def predict_dataloader(self) -> DataLoader[list[Prompt]]:
        """The prompts, those of near-equal length together: little of a batch is padding.

        Batches that were answered before are left out, and none is made up anew: an answer's last
        digits depend on those beside it.
        """
        rank, ranks = self._rank()
        size = self._prompts_per_batch
        # Longest first: if memory does not suffice, that shows at once.
        prompts = sorted(self.prompts, key=lambda prompt: -len(prompt.token_ids))
        batches = [prompts[at : at + size] for at in range(0, len(prompts), size)]
        answered = self.find_answered(batches) if self.find_answered else ()
        own = [b for b in batches[rank::ranks] if any(p.place not in answered for p in b)]
        return DataLoader(own, batch_size=None)  # type: ignore[arg-type]

    def _plan(self, split: int) -> BatchPlan:
        """The split's plan, made once: by weights and anew each epoch for training alone."""
        if split not in self._plans:
            assert self.store is not None
            learns = split == TRAIN
            rank, ranks = self._rank()
            self._plans[split] = BatchPlan(
                self.store,
                self.members(split),
                self.budget,
                weights=[task.weight for task in self.tasks.values()] if learns else None,
                seed=self.seed,
                rank=rank,
                ranks=ranks,
                accumulated=self.trainer.accumulate_grad_batches if self.trainer and learns else 1,
            )
        return self._plans[split]

    def _loader(self, split: int) -> DataLoader[TokenBatch]:
        assert self.store is not None
        return DataLoader(
            PlannedBatches(self.store, self.seed, shuffle=split == TRAIN),
            sampler=self._plan(split),
            batch_size=None,  # The plan's batches come whole.
            num_workers=self._workers,
            multiprocessing_context=Workers() if self._workers else None,
            pin_memory=_on_cuda(self.trainer),
            persistent_workers=self._workers > 0,
        )

    def _records(self) -> RecordFile:
        if self.source is None:
            raise InputError("no table given: name one with --data.source")
        if self._record_file is None:
            self._record_file = prepare_records(
                self.source,
                self.rules,
                self._cache,
                workers=processes(self._processes),
                # A model is tested on other tables than those that its columns were named for.
                typed_columns=self._typed_columns if self._learns() else None,
            )
        return self._record_file

    def _learns(self) -> bool:
        if self.trainer is None:  # A report, or a comparison of models.
            return self.splits != "all" and not self._models
        return self.splits != "all" and self.trainer.state.fn == "fit"

    def _tokens(self) -> Path:
        if self._token_file is None:
            self._token_file = prepare_tokens(
                self._records(),
                self.rules,
                load_tokenizer(self._tokenizer_named()),
                self._cache,
                max_length=self.max_length,
                shuffled=self._shuffled,
                workers=processes(self._processes),
            )
        return self._token_file

    def _agree(self) -> None:
        """Takes what the first rank prepared: tables may be others by now, or on another node.

        Raises:
            InputError: This rank's cache does not have it.
        """
        rank, ranks = self._rank()
        if ranks == 1:
            return
        trainer: Any = self.trainer
        own = None if rank else (self._records(), self._tokens())
        self._record_file, self._token_file = records, tokens = trainer.strategy.broadcast(own)
        for path in (records.path, tokens):
            if not path.exists():
                raise InputError(
                    f"rank {rank} has no {path}, which the first prepared: give all nodes the same "
                    "tables, or one --data.cache"
                )

    def _tokenizer_named(self) -> str:
        if self.tokenizer_source is None:
            raise InputError("no tokenizer given: name one with --data.tokenizer")
        return self.tokenizer_source

    def _split(self) -> np.ndarray:
        return split_records(self.table, self.splits, *self._fractions)

    def _unseen(self, split: np.ndarray) -> np.ndarray:
        """The split without rows to validate or test on that the models were trained on."""
        trained = read_trained_rows(self._models)
        self.knows_training = trained is not None
        unseen = split if trained is None else leave_out_trained(split, self.table, trained)
        self.n_trained = np.bincount(split[unseen == LEFT_OUT], minlength=len(SPLITS))
        if self.n_trained.any():
            held = np.bincount(split, minlength=len(SPLITS))
            done = "kept, as asked" if self.include_trained else "left out"
            rank_zero_only(print)(
                f"the model was trained on {self.n_trained[VAL]:,} of the {held[VAL]:,} rows to "
                f"validate on and {self.n_trained[TEST]:,} of the {held[TEST]:,} to test on: "
                f"{done} (--data.include_trained)"
            )
        return split if self.include_trained else unseen

    def _is_member(self, split: int) -> np.ndarray:
        """Which records are of the split; with splits=all every record is unseen in each."""
        return np.asarray(self.split == self._home(split))

    def _home(self, split: int) -> int:
        return TEST if self.splits == "all" else split

    def _check_members(self, split: int) -> None:
        if len(self.members(split)):
            return
        if records := int(self._is_member(split).sum()):
            raise InputError(
                f"{self.source}: the {SPLITS[split]} split has {records} records and no example: "
                f"their prompts leave no room within data.max_length ({self.max_length}), or "
                "their tasks weigh 0"
            )
        if self.n_trained[self._home(split)] and not self.include_trained:
            raise InputError(
                f"{self.source}: the model was trained on every row of the {SPLITS[split]} split: "
                "bring other rows, split as it was trained, or set --data.include_trained true"
            )
        raise InputError(
            f"{self.source}: none of its {len(self.table)} records is in the {SPLITS[split]} "
            "split: bring more rows, or change --data.val_fraction, --data.test_fraction or "
            "--data.splits"
        )

    def _check_prompts(self, n_long: int) -> None:
        if n_long:
            rank_zero_only(print)(f"{n_long} prompts leave no room for an answer: left out")
        if not self.prompts:
            raise InputError(f"{self.source}: no unseen record has a prompt of the model's length")

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _on_cuda(trainer: Any) -> bool:
    return trainer is not None and trainer.strategy.root_device.type == "cuda"
