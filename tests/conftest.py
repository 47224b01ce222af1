"""What all tests share: shapes checked, no network, one thread, one tokenizer, small tables.

And what the suite refuses: a test that is skipped though it needs no GPU and no browser, and a
call of ours that a library says will be taken away.
"""

import csv
import gc
import json
import logging
import os
import random
import re
import resource
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

# Before anything imports torch or transformers: they read these once.
os.environ.update(HF_HUB_OFFLINE="1", TOKENIZERS_PARALLELISM="false", OMP_NUM_THREADS="1")

import jaxtyping
import pytest
import torch
from hypothesis import HealthCheck, settings

# Runs flush their files to disk, by the thousand: where memory has room for them, they lie there.
MEMORY = Path("/dev/shm")
if MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > 4 << 30:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))

# Tests assert no times: a busy machine refutes no law.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

# Shapes in signatures are checked at each call, under pytest only: where they are named, for it
# slows a call by fifty microseconds, and types alone are mypy's. A whole number is a float too, as
# in Python's own typing.
_checked = jaxtyping.jaxtyped


def _shapes_checked(typechecker: Any) -> Callable[[Any], Any]:
    def decorated(made: Any) -> Any:
        words = re.findall(r"\w+", " ".join(map(str, made.__annotations__.values())))
        named = map(vars(sys.modules[made.__module__]).get, words)
        shapes = (jaxtyping.AbstractDtype, jaxtyping.AbstractArray)
        if any(isinstance(one, type) and issubclass(one, shapes) for one in named):
            return _checked(made, typechecker=typechecker)
        return made

    return decorated


jaxtyping.jaxtyped = _shapes_checked  # type: ignore[assignment]
PACKAGE = Path(__file__).parents[1] / "careergpt"
jaxtyping.install_import_hook(
    [
        ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for path in PACKAGE.rglob("*.py")
        if "from jaxtyping import" in path.read_text(encoding="utf-8")
    ],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    import careergpt

# `make test` runs two workers on two cores: threads of one would wait for those of the other.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def one_thread_again() -> Iterator[None]:
    """After each test: ctranslate2 sets the threads of the process, and by their number the last
    digits differ of sums that later tests compare bit by bit."""
    yield
    torch.set_num_threads(1)


TOKENIZER = Path(__file__).parents[1] / "data" / "tokenizer"

END = "<|endoftext|>"
POSITIONS = {
    "Registered nurse": "wound care; patient assessment; medication; charting; triage; empathy",
    "Welder": "arc welding; blueprint reading; grinding; metal cutting; safety checks; rigging",
    "Primary teacher": "lesson planning; classroom care; phonics; assessment; storytelling; art",
    "Truck driver": "route planning; load securing; night driving; paperwork; reversing; fuel care",
    "Paralegal": "legal research; filing; contract drafting; case notes; interviews; evidence",
    "Data analyst": "SQL; statistics; spreadsheets; chart design; reporting; data cleaning",
}
MOVES = {
    "Nursing assistant": ["Registered nurse"],
    "Registered nurse": ["Nurse manager", "Triage nurse"],
    "Apprentice welder": ["Welder"],
    "Welder": ["Master welder", "Welding inspector"],
    "Data clerk": ["Data analyst"],
    "Data analyst": ["Analytics manager", "Data scientist"],
}
STARTS = ["Nursing assistant", "Apprentice welder", "Data clerk"]


def pytest_collection_finish() -> None:
    """What was imported by now is no garbage: a collector that went through it took a tenth."""
    gc.freeze()


SKIPPED: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Notes a test that was skipped for another reason than that there is no GPU or browser."""
    allowed = {"gpu", "browser"} & set(report.keywords)
    if report.skipped and not allowed and not hasattr(report, "wasxfail"):
        SKIPPED.append(report.nodeid)


def pytest_collectreport(report: pytest.CollectReport) -> None:
    """Notes a file that was skipped as a whole."""
    if report.skipped:
        SKIPPED.append(report.nodeid)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A check that is skipped is no check: the suite fails."""
    if SKIPPED and not hasattr(session.config, "workerinput"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Says which checks were skipped."""
    for place in SKIPPED:
        terminalreporter.write_line(
            f"FAILED {place}: skipped, and only `gpu` and `browser` tests may be", red=True
        )


class _Deprecations(logging.Handler):
    """Raises where a library logs that what we called will be taken away."""

    def emit(self, record: logging.LogRecord) -> None:
        if "deprecated" in (told := record.getMessage()):
            raise DeprecationWarning(told)


for _library in ("transformers", "datasets"):
    logging.getLogger(_library).addHandler(_Deprecations())


@pytest.fixture(scope="session")
def tokenizer() -> "PreTrainedTokenizerFast":
    """The tokenizer of the embedded sample."""
    from careergpt.data.tokens import load_tokenizer

    return load_tokenizer(str(TOKENIZER))


@pytest.fixture(scope="session")
def other_tokenizer() -> "PreTrainedTokenizerFast":
    """A byte-level BPE whose tokens are not the sample's, but for the end of text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=[END], initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(POSITIONS.values(), trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, bos_token=END, eos_token=END, unk_token=END
    )


@pytest.fixture
def tables(tmp_path: Path) -> Path:
    """A folder with postings.csv (60 rows, 6 titles) and careers.jsonl (30 rows), all usable."""
    return _write_tables(tmp_path / "tables")


@pytest.fixture(scope="session")
def shared_tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same for all tests, which only read it."""
    return _write_tables(tmp_path_factory.mktemp("shared") / "tables")


@pytest.fixture(scope="session")
def small_data(shared_tables: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Options of a data module for those tables."""
    cache = tmp_path_factory.mktemp("cache")
    return {"source": shared_tables, "cache": cache, "processes": 1, "min_count": 2}


@pytest.fixture(scope="session")
def taught(
    small_data: dict[str, object], tmp_path_factory: pytest.TempPathFactory
) -> "careergpt.Run":
    """One tiny training; the tests read what it left."""
    import careergpt

    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 128}
    quiet = dict.fromkeys(["logger", "enable_progress_bar", "enable_model_summary"], False)
    folder = tmp_path_factory.mktemp("runs") / "run"
    return careergpt.fit(
        data={**small_data, "batch_tokens": 512},
        model={"scratch": {**sizes, "tokenizer": TOKENIZER}, "decoding": {"max_new_tokens": 4}},
        trainer={"accelerator": "cpu", **quiet, "max_epochs": 1, "default_root_dir": folder},
        samples={"max_new_tokens": 2},
        titles={"limit": 8},
        rankings={"limit": 8},
    )


def write_tables(
    folder: Path, postings: Iterable[Sequence[str]], careers: Iterable[Sequence[str]]
) -> Path:
    """Writes postings.csv and careers.jsonl into a new folder, the careers drawn last."""
    folder.mkdir()
    with (folder / "postings.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["company_name", "position_title", "job_description", "skills"])
        writer.writerows(postings)
    lines = [json.dumps({"titles": titles}) + "\n" for titles in careers]
    (folder / "careers.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


def _write_tables(folder: Path) -> Path:
    chance = random.Random(0)
    postings = (_posting(chance, list(POSITIONS)[number % 6]) for number in range(60))
    careers = (_career(chance, STARTS[number % 3]) for number in range(30))
    return write_tables(folder, postings, careers)


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """Lets no file grow beyond so many bytes: writing more fails midway, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="session")
def tiny_gpt2(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: "PreTrainedTokenizerFast"
) -> Path:
    """A folder with a GPT-2 of random weights: 2 layers, 32 wide, the sample's tokenizer."""
    from transformers import GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("models") / "tiny_gpt2"
    end = tokenizer.eos_token_id
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = GPT2LMHeadModel(
            GPT2Config(
                vocab_size=len(tokenizer),
                n_layer=2,
                n_head=2,
                n_embd=32,
                n_positions=128,
                bos_token_id=end,
                eos_token_id=end,
            )
        )
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def _word(chance: random.Random) -> str:
    """A made-up word: descriptions of them are no near-duplicates of each other."""
    return "".join(chance.choice("bdfgklmnprst") + chance.choice("aeiou") for _ in range(3))


def _posting(chance: random.Random, title: str) -> list[str]:
    skills = chance.sample(POSITIONS[title].split("; "), 4)
    company = f"{_word(chance)} {_word(chance)}".title()
    sites = " ".join(_word(chance) for _ in range(20))
    description = f"We need a {title.lower()} for {sites}. Skills: {', '.join(skills)}."
    return [company, title, description, "; ".join(skills)]


def _career(chance: random.Random, title: str) -> list[str]:
    titles = [title]
    while title in MOVES:
        title = chance.choice(MOVES[title])
        titles.append(title)
    return titles
