"""Two ranks on a processor do what one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from careergpt.cli import main

ROOT = Path(__file__).parents[2]
TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]


def from_a_shell(words: list[str], folder: Path) -> str:
    """What the program prints; ranks are processes, which copy the command that was typed."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "main.py"), *words],
        capture_output=True, text=True, cwd=folder, env=environment, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def common(tables: Path, tmp_path: Path) -> list[str]:
    return [
        f"--data.source={tables}", f"--data.cache={tmp_path / 'cache'}", "--data.processes=1",
        "--trainer.logger=false", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false",
    ]  # fmt: skip


def test_two_ranks_are_one_process_that_accumulates(
    common: list[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    words = [
        "fit", f"--model.pretrained={tiny_gpt2}", *common, "--model.dropout=0",
        "--model.lr=0.003", "--data.batch_tokens=256", "--trainer.log_every_n_steps=1",
        "--trainer.max_epochs=2", "--trainer.gradient_clip_val=0.5", "--samples.max_new_tokens=3",
        "--titles.limit=10",
    ]  # fmt: skip
    runs = {"one": ["--trainer.accumulate_grad_batches=2"], "two": TWO}
    main([*words, *runs["one"], f"--trainer.default_root_dir={tmp_path / 'one'}"])
    from_a_shell([*words, *runs["two"], f"--trainer.default_root_dir={tmp_path / 'two'}"], tmp_path)
    losses = {
        run: {
            (name, row["step"]): row[name]
            for row in rows(tmp_path / run / "metrics.jsonl")
            for name in row
            if name.endswith("/loss")
        }
        for run in runs
    }
    assert len([name for name, _ in losses["one"] if name == "train/loss"]) >= 8
    assert len([name for name, _ in losses["one"] if name == "val/path/loss"]) == 3
    assert losses["two"] == pytest.approx(losses["one"], abs=1e-5)
    last = losses["one"][max(key for key in losses["one"] if key[0] == "val/loss")]
    assert last < losses["one"][min(key for key in losses["one"] if key[0] == "train/loss")] - 0.1
    for name in ("model/config.json", "checkpoints/best.ckpt", "titles.json", "data_report.json"):
        assert (tmp_path / "two" / name).exists()
    evidence = [json.loads((tmp_path / run / "titles.json").read_text()) for run in runs]
    assert evidence[0]["perplexity_true"] == pytest.approx(evidence[1]["perplexity_true"], rel=1e-3)


def test_two_ranks_measure_and_answer_as_one(
    common: list[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    common = [*common, f"--model.pretrained={tiny_gpt2}", "--model.decoding.max_new_tokens=4"]
    common = [*common, "--data.prompts_per_batch=4", "--data.splits=all"]
    for name, extra in (("one", []), ("two", TWO)):
        run = main if name == "one" else lambda words: from_a_shell(words, tmp_path)
        run(["test", *common, *extra, f"--json={tmp_path / f'{name}.json'}"])
        run(["predict", *common, *extra, f"--out={tmp_path / f'{name}.jsonl'}"])
    one, two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert [row["task"] for row in one] == ["all", "describe", "position", "skills", "path"]
    for row, other in zip(one, two, strict=True):
        assert {k: v for k, v in other.items() if isinstance(v, str | int)} == {
            k: v for k, v in row.items() if isinstance(v, str | int)
        }
        numbers = [[some[k] for k in ("loss", "perplexity", "accuracy")] for some in (row, other)]
        assert numbers[1] == pytest.approx(numbers[0], rel=1e-6)
    first, second = rows(tmp_path / "one.jsonl"), rows(tmp_path / "two.jsonl")
    assert len(first) > 80
    for row, other in zip(first, second, strict=True):
        assert other.pop("log_probability") == pytest.approx(row.pop("log_probability"), abs=1e-3)
        assert other == row


def test_one_prompt_on_two_ranks_is_answered_once(
    common: list[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("Which skills does a Welder need?\n")
    words = ["predict", f"--model.pretrained={tiny_gpt2}", *common, *TWO, f"--data.prompts={asked}"]
    few = "--model.decoding.max_new_tokens=4"
    from_a_shell([*words, few, f"--out={tmp_path / 'out.jsonl'}"], tmp_path)
    (row,) = rows(tmp_path / "out.jsonl")
    assert row["prompt"] == "Which skills does a Welder need?"
