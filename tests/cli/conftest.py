"""One small run, made once, and the words that make another."""

import csv
from contextlib import chdir
from itertools import islice
from pathlib import Path

import pytest

from careergpt.cli import main

ROOT = Path(__file__).parents[2]
SIZES = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 128}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder, where what it leaves behind is seen."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def scratch() -> list[str]:
    """The options of a model that trains in a second."""
    sizes = [f"--model.scratch.{name}={size}" for name, size in SIZES.items()]
    return [*sizes, f"--model.scratch.tokenizer={ROOT / 'data' / 'tokenizer'}"]


@pytest.fixture(scope="session")
def quiet() -> list[str]:
    """No account, no bar, no other device than the processor."""
    return [
        "--trainer.logger=false",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
    ]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of a table: the first rows of the embedded sample."""
    folder = tmp_path_factory.mktemp("sample")
    with (ROOT / "data" / "postings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), 121))
    with (folder / "postings.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    careers = (ROOT / "data" / "careers.jsonl").read_text(encoding="utf-8").splitlines(True)
    (folder / "careers.jsonl").write_text("".join(careers[:60]), encoding="utf-8")
    options = [f"--data.source={folder}", f"--data.cache={folder / 'cache'}"]
    return [*options, "--data.processes=1", "--data.min_count=5"]


@pytest.fixture(scope="session")
def short(scratch: list[str], quiet: list[str], sample: list[str]) -> list[str]:
    """The options of a fit that takes a few seconds."""
    return [
        *scratch, *quiet, *sample, "--data.batch_tokens=1024", "--trainer.max_epochs=1",
        "--trainer.log_every_n_steps=2", "--samples.max_new_tokens=4", "--titles.limit=20",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, short: list[str]) -> Path:
    """The folder of a finished run; tests read it and write elsewhere."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    with chdir(tmp_path_factory.mktemp("started-in")):
        main(["fit", *short, f"--trainer.default_root_dir={folder}"])
    return folder


@pytest.fixture(scope="session")
def model(run: Path) -> str:
    """The option that names the run's model."""
    return f"--model.pretrained={run / 'model'}"
