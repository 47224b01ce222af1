"""The LightningDataModule: tables in, batches out; what it prepares is a `CareerDataset`."""

from __future__ import annotations

from collections.abc import Callable, Container
from pathlib import Path
from typing import Any, Literal

from lightning import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from careergpt.data.batches import BatchPlan, PlannedBatches, TokenBatch
from careergpt.data.dataset import GPT2_CONTEXT, CareerDataset
from careergpt.data.prepare import CACHE, RecordFile, prepare_records, prepare_tokens
from careergpt.data.processes import MOST_PROCESSES, Workers, processes
from careergpt.data.prompts import (
    Prompt,
    check_lengths,
    prompts_of_records,
    read_prompts,
    ready_prompts,
)
from careergpt.data.records import record_rules
from careergpt.data.report import DataReport
from careergpt.data.rows import Budget
from careergpt.data.splits import TEST, TRAIN, VAL, check_fractions
from careergpt.data.tasks import DEFAULT_TASKS, PromptForm, Task, check_tasks
from careergpt.data.tokens import load_tokenizer
from careergpt.data.whole_files import check_writable
from careergpt.errors import InputError

DEFAULT_SHUFFLED = ["skills"]
DEFAULT_SEPARATORS: dict[str, str | None] = {"skills": None, "titles": None}

# The splits that a stage must have examples of.
_NEEDED = {"fit": (TRAIN, VAL), "validate": (VAL,), "test": (TEST,)}


class CareerDataModule(LightningDataModule):
    """Question and answer pairs from tables of postings and careers, as batches of tokens."""

    def __init__(
        self,
        source: list[str] | str | None = None,
        columns: dict[str, list[str] | str] | None = None,
        separators: dict[str, str | None] = DEFAULT_SEPARATORS,
        tasks: dict[str, Task] | None = None,
        prompt_form: PromptForm = "plain",
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
        cache: str = CACHE,
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
            prompt_form: How the model reads a prompt: plain, as it is; newline, with a line feed
                after it; chat, as the user's turn in the tokenizer's chat template. A pretrained
                model may end its answer at once to what does not look like its own texts.
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
        self.form = prompt_form
        self.tasks = dict(DEFAULT_TASKS if tasks is None else tasks)
        check_tasks(self.tasks)
        check_fractions(val_fraction, test_fraction)
        _check_positive(min_count=min_count, prompts_per_batch=prompts_per_batch)
        for name, number, least in (("workers", workers, 0), ("processes", processes, 1)):
            if number is not None and not least <= number <= MOST_PROCESSES:
                raise InputError(
                    f"data.{name} must be {least} to {MOST_PROCESSES:,}, found {number}"
                )
        self.budget = _budget(pack, batch_tokens, batch_size)
        self.max_length = _example_length(max_length, context)
        self._context = context or self.max_length
        separators = {**DEFAULT_SEPARATORS, **separators}
        for field, separator in separators.items():
            if separator == "":
                raise InputError(f"data.separators.{field} is empty: name what separates the items")
        self.rules = record_rules(
            columns or {}, separators, self.tasks, mask_contacts, splits == "own"
        )
        lists = (*separators, *self.rules.turns)
        for field in shuffled:
            if field not in lists:
                raise InputError(
                    f"data.shuffled names {field!r}, which is no list: there are {', '.join(lists)}"
                )
        self.source = source
        self.typed_columns: tuple[str, ...] = ()
        """Fields whose columns are named for these tables, whichever those of training were."""
        self._split_by: dict[str, Any] = {
            "splits": splits,
            "val_fraction": val_fraction,
            "test_fraction": test_fraction,
            "min_count": min_count,
            "models": tuple(models or ()),
            "include_trained": include_trained,
        }
        self._shuffled = shuffled
        self._prompts, self._prompts_per_batch = prompts, prompts_per_batch
        self.seed, self._workers, self._processes = seed, workers, processes
        self._cache, self.tokenizer_source = Path(cache), tokenizer
        # There may be fewer batches of prompts than ranks.
        self.allow_zero_length_dataloader_with_multiple_devices = True
        self._record_file: RecordFile | None = None
        self._token_file: Path | None = None
        # Of all batches of prompts, the places that are answered already.
        self.find_answered: Callable[[list[list[Prompt]]], Container[int]] | None = None

    def prepare_data(self) -> None:
        """Fills the cache; Lightning calls it in one process."""
        if self._prompts is None:
            self._prepare()

    def open(self) -> CareerDataset:
        """The dataset, made where the cache lacks it; with tokens where a tokenizer is named."""
        records, tokens = self._prepare()
        return CareerDataset(
            records,
            self.rules,
            tokens,
            source=self.source or (),
            max_length=self.max_length,
            form=self.form,
            **self._split_by,
        )

    def setup(self, stage: str | None = None) -> None:
        """Opens what was prepared and checks that the stage has something to work on."""
        if self.tokenizer_source is None:
            raise InputError("no tokenizer given: name one with --data.tokenizer")
        self.tokenizer = load_tokenizer(self.tokenizer_source)
        if self._prompts is not None and stage == "predict":
            self.prompts = ready_prompts(read_prompts(self._prompts), self.tokenizer, self.form)
            check_lengths(self.prompts, self._context)
            return
        self._agree()
        self.dataset = self.open()
        self._plans: dict[int, BatchPlan] = {}
        if note := self.dataset.trained_note():
            rank_zero_only(print)(note)
        if stage == "fit" and self.dataset.splits == "all":
            raise InputError("data.splits=all leaves no record to train on: use it to test")
        for split in _NEEDED.get(stage or "", ()):
            self.dataset.check_members(split)
        if stage == "fit":
            # Planned here, for what may be wrong with a plan comes before a run is written.
            self._plan(TRAIN)
            self._plan(VAL)
        elif stage == "predict":
            self.prompts = self._prompts_of_records()

    def _prompts_of_records(self) -> list[Prompt]:
        questions = list(prompts_of_records(self.dataset.rows(TEST), self.tasks))
        ready = ready_prompts(questions, self.tokenizer, self.form)
        fitting = [prompt for prompt in ready if len(prompt.token_ids) < self._context]
        if n_long := len(ready) - len(fitting):
            rank_zero_only(print)(f"{n_long} prompts leave no room for an answer: left out")
        if not fitting:
            raise InputError(f"{self.source}: no unseen record has a prompt of the model's length")
        return fitting

    def report(self) -> DataReport:
        """What became of the rows; with token counts where a tokenizer is known."""
        return self.open().report()

    def planned_by(self) -> dict[str, Any]:
        """What decides which rows a training batch holds; the number of loader processes does not.

        Plain values, by the names of their options, to be compared with those of another day.
        """
        ranks, trainer = self._rank()[1], self.trainer
        return {
            "the data (tables, cleaning, tasks' templates)": self.dataset.trained_on()["records"],
            "their tokens (tokenizer, --data.max_length)": self.dataset.store.path.stem,
            "--data.val_fraction and --data.test_fraction": self.dataset.fractions,
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

    def train_dataloader(self) -> DataLoader[TokenBatch]:
        """Batches of the training split, as the weights of the tasks say."""
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
            learns = split == TRAIN
            rank, ranks = self._rank()
            self._plans[split] = BatchPlan(
                self.dataset.store,
                self.dataset.members(split),
                self.budget,
                weights=[task.weight for task in self.tasks.values()] if learns else None,
                seed=self.seed,
                rank=rank,
                ranks=ranks,
                accumulated=self.trainer.accumulate_grad_batches if self.trainer and learns else 1,
            )
        return self._plans[split]

    def _loader(self, split: int) -> DataLoader[TokenBatch]:
        trainer: Any = self.trainer
        return DataLoader(
            PlannedBatches(self.dataset.store, self.seed, shuffle=split == TRAIN),
            sampler=self._plan(split),
            batch_size=None,  # The plan's batches come whole.
            num_workers=self._workers,
            multiprocessing_context=Workers() if self._workers else None,
            pin_memory=trainer is not None and trainer.strategy.root_device.type == "cuda",
            persistent_workers=self._workers > 0,
        )

    def _prepare(self) -> tuple[RecordFile, Path | None]:
        """The record file and, where a tokenizer is named, the token file, each prepared once."""
        if self.source is None:
            raise InputError("no table given: name one with --data.source")
        workers = processes(self._processes)
        if self._record_file is None:
            # Without a Trainer a report is made, or models are compared.
            learns = (
                self.trainer.state.fn == "fit" if self.trainer else not self._split_by["models"]
            )
            # A model is tested on other tables than those that its columns were named for.
            taught = learns and self._split_by["splits"] != "all"
            self._record_file = prepare_records(
                self.source,
                self.rules,
                self._cache,
                workers=workers,
                typed_columns=self.typed_columns,
                taught=taught,
            )
        if self._token_file is None and self.tokenizer_source is not None:
            self._token_file = prepare_tokens(
                self._record_file,
                self.rules,
                load_tokenizer(self.tokenizer_source),
                self._cache,
                max_length=self.max_length,
                shuffled=self._shuffled,
                form=self.form,
                workers=workers,
            )
        return self._record_file, self._token_file

    def _agree(self) -> None:
        """Takes what the first rank prepared: tables may be others by now, or on another node.

        Raises:
            InputError: This rank's cache does not have it.
        """
        rank, ranks = self._rank()
        if ranks == 1:
            return
        trainer: Any = self.trainer
        own = None if rank else self._prepare()
        self._record_file, self._token_file = records, tokens = trainer.strategy.broadcast(own)
        for path in (records.path, tokens):
            if not path.exists():
                raise InputError(
                    f"rank {rank} has no {path}, which the first prepared: give all nodes the same "
                    "tables, or one --data.cache"
                )

    def _rank(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)


def _budget(pack: bool, batch_tokens: int | None, batch_size: int | None) -> Budget:
    """The size of a batch: tokens where it is packed, rows where it is padded, never both."""
    idle = "batch_size" if pack else "batch_tokens"
    if (batch_size if pack else batch_tokens) is not None:
        raise InputError(
            f"data.{idle} does nothing with data.pack={str(pack).lower()}: leave it out"
        )
    _check_positive(batch_tokens=batch_tokens, batch_size=batch_size)
    return Budget(batch_tokens or 8192, None) if pack else Budget(None, batch_size or 8)


def _example_length(max_length: int | None, context: int | None) -> int:
    """The longest example in tokens: as asked, within the model's context."""
    _check_positive(max_length=max_length)
    if max_length and context and max_length > context:
        raise InputError(
            f"data.max_length is {max_length}, but the model reads {context} tokens at most: "
            f"lower it to {context}"
        )
    return max_length or context or GPT2_CONTEXT


def _check_positive(**settings: int | None) -> None:
    """Raises InputError for a setting that is given and below 1."""
    for name, value in settings.items():
        if value is not None and value < 1:
            raise InputError(f"data.{name} must be 1 or more, found {value}")


def audit(data: CareerDataModule, out: str | None = None) -> DataReport:
    """Print what a fit would train on: rows read, kept, dropped, cut; splits, tokens, leaks.

    Args:
        data: The data, as a fit would take it.
        out: Also write data_report.json into this folder.
    """
    path = None if out is None else Path(out) / "data_report.json"
    if path is not None:
        check_writable(path.parent, "--out")
    report = data.report()
    print(report)
    if path is not None:
        report.write(path)
        print(f"written to {path}")
    return report
