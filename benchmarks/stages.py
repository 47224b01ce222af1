"""The stages of preparing a table, each by itself, and `datasets.map` tokenizing the same rows."""

from __future__ import annotations

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

from transformers import PreTrainedTokenizerFast

from careergpt.data.datamodule import DEFAULT_SEPARATORS, DEFAULT_SHUFFLED
from careergpt.data.dataset import GPT2_CONTEXT
from careergpt.data.names import key_words
from careergpt.data.prepare import RecordFile, prepare_records, prepare_tokens, rows_of
from careergpt.data.processes import map_chunks
from careergpt.data.records import fields_of_row, record_from, record_rules
from careergpt.data.splits import NEAR_DUPLICATE, groups, near_pairs, signature
from careergpt.data.tables import open_tables
from careergpt.data.tasks import DEFAULT_TASKS, prompt_completion, text_of
from careergpt.data.tokens import load_tokenizer
from careergpt.data.whole_files import read_arrow

RULES = record_rules({}, DEFAULT_SEPARATORS, DEFAULT_TASKS, mask_contacts=True)


class Setting(NamedTuple):
    """What is prepared, by how many processes, and where files may be written."""

    source: str
    tokenizer: str
    workers: int
    folder: str


WHOLE = "prepare (all of it)"

Stage = Callable[[], int]
"""Does its work once, with nothing kept from before, and gives the rows that it handled."""


def stages(setting: Setting) -> dict[str, Stage]:
    """The stages by name; de-duplicating and tokenizing start from the clean records."""
    records = _records(setting, Path(setting.folder, "records"))
    tokenizer = load_tokenizer(setting.tokenizer)
    return {
        "read": partial(_read, setting),
        "read and clean": partial(_clean, setting),
        "de-duplicate": partial(_deduplicate, setting, records),
        "tokenize": partial(_tokenize, setting, tokenizer, records),
        WHOLE: partial(_prepare, setting, tokenizer),
    }


def time_stages(setting: Setting) -> dict[str, float]:
    """Seconds of each stage, once; all of it would repeat them, records having been made before."""
    return {name: seconds(stage)[0] for name, stage in stages(setting).items() if name != WHOLE}


def seconds(stage: Stage) -> tuple[float, int]:
    """How long the stage took, and the rows that it handled."""
    started = time.perf_counter()
    rows = stage()
    return time.perf_counter() - started, rows


def _read(setting: Setting) -> int:
    return sum(1 for table in open_tables(setting.source) for _ in table.rows())


def _clean(setting: Setting) -> int:
    rows = itertools.chain.from_iterable(table.rows() for table in open_tables(setting.source))
    work = partial(_map, partial(record_from, rules=RULES))
    return sum(map(len, map_chunks(work, rows, workers=setting.workers)))


def _deduplicate(setting: Setting, records: RecordFile) -> int:
    rows = rows_of(read_arrow(records.path).select(["job_description"]))
    texts = (row["job_description"] for row in rows if row["job_description"])
    chunks = map_chunks(partial(_map, _sketch), texts, workers=setting.workers)
    pairs = near_pairs(itertools.chain.from_iterable(chunks), NEAR_DUPLICATE)
    return len(groups(records.counts["kept"], pairs))


def _tokenize(setting: Setting, tokenizer: PreTrainedTokenizerFast, records: RecordFile) -> int:
    with tempfile.TemporaryDirectory(dir=setting.folder) as cache:
        _tokens(setting, tokenizer, records, Path(cache))
    return int(records.counts["kept"])


def _prepare(setting: Setting, tokenizer: PreTrainedTokenizerFast) -> int:
    with tempfile.TemporaryDirectory(dir=setting.folder) as cache:
        records = _records(setting, Path(cache))
        _tokens(setting, tokenizer, records, Path(cache))
    return int(records.counts["read"])


def _records(setting: Setting, cache: Path) -> RecordFile:
    return prepare_records(setting.source, RULES, cache, workers=setting.workers)


def _tokens(
    setting: Setting, tokenizer: PreTrainedTokenizerFast, records: RecordFile, cache: Path
) -> Path:
    return prepare_tokens(
        records,
        RULES,
        tokenizer,
        cache,
        max_length=GPT2_CONTEXT,
        shuffled=DEFAULT_SHUFFLED,
        workers=setting.workers,
    )


def _sketch(text: str):
    return signature(key_words(text))


def _map(function: Callable, chunk: Sequence) -> list:
    return [function(item) for item in chunk]


def datasets_map(setting: Setting) -> Stage:
    """The peer: prompts and completions, cleaned and rendered before, tokenized by its `map`."""
    import datasets

    datasets.disable_caching()
    datasets.disable_progress_bars()
    records = _records(setting, Path(setting.folder, "records"))
    rows = datasets.Dataset.from_generator(
        _rendered, gen_kwargs={"path": str(records.path)}, cache_dir=setting.folder
    )
    tokenizer = load_tokenizer(setting.tokenizer)

    def encode(batch: Mapping[str, list[str]]) -> dict[str, list]:
        prompts = tokenizer(batch["prompt"]).input_ids
        completions = tokenizer(batch["completion"]).input_ids
        pairs = zip(prompts, completions, strict=True)
        ids = [
            (prompt + [*ended, tokenizer.eos_token_id])[:GPT2_CONTEXT] for prompt, ended in pairs
        ]
        return {"token_ids": ids, "n_prompt": list(map(len, prompts))}

    def tokenize() -> int:
        with tempfile.TemporaryDirectory(dir=setting.folder) as folder:
            # Several processes are not started for one.
            rows.map(
                encode,
                batched=True,
                num_proc=setting.workers if setting.workers > 1 else None,
                remove_columns=rows.column_names,
                cache_file_name=str(Path(folder, "tokens.arrow")),
            )
        return int(records.counts["kept"])

    return tokenize


def _rendered(path: str) -> Iterator[dict[str, str]]:
    for row in rows_of(read_arrow(Path(path))):
        for name, task in RULES.tasks.items():
            if pair := prompt_completion(name, task, fields_of_row(row)):
                yield {"prompt": text_of(pair.prompt), "completion": text_of(pair.completion)}
