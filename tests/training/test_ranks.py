"""Several ranks on a processor do what one process does."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from careergpt.cli import main
from tests.processes import of_torchrun, run, start_ranks

TWO = ["--trainer.devices=2", "--trainer.strategy=ddp"]


def together(words: list[str], ranks: list[dict[str, object]], folder: Path) -> str:
    """What the first of these processes prints."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    processes = start_ranks(words, ranks, cwd=folder, **pipes)
    told = [process.communicate(timeout=240) for process in processes]
    failed = any(process.returncode for process in processes)
    assert not failed, "\n".join(err[-3000:] for _, err in told)
    return told[0][0]


def by_torchrun(words: list[str], number: int, folder: Path, nodes: int = 1) -> str:
    """What rank 0 prints."""
    own = {"devices": number // nodes, "num_nodes": nodes, "strategy": "ddp"}
    words = [*words, *(f"--trainer.{name}={value}" for name, value in own.items())]
    return together(words, of_torchrun(number, nodes), folder)


def by_srun(words: list[str], nodes: int, folder: Path) -> str:
    """What the first task prints; a task a node is started as srun does, within a job of sbatch."""
    job = {"JOB_ID": 4711, "JOB_NAME": "fit", "NNODES": nodes, "NODELIST": f"127.0.0.[1-{nodes}]"}
    tasks = {"NTASKS": nodes, "NTASKS_PER_NODE": 1, "STEP_ID": 0, "LOCALID": 0}
    ranks: list[dict[str, object]] = [
        {f"SLURM_{n}": v for n, v in {**job, **tasks, "PROCID": node, "NODEID": node}.items()}
        for node in range(nodes)
    ]
    return together([*words, "--trainer.devices=1", f"--trainer.num_nodes={nodes}"], ranks, folder)


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
    # The one run here whose second rank Lightning starts: it copies the command that was typed.
    done = run([*words, *runs["two"], f"--trainer.default_root_dir={tmp_path / 'two'}"])
    assert done.returncode == 0, done.stderr
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


@pytest.fixture
def model(common: list[str], tiny_gpt2: Path, tmp_path: Path) -> str:
    """The option that names a model folder with candidates."""
    few = [
        "--trainer.max_steps=4",
        "--titles.limit=0",
        "--samples.prompts=[]",
        "--rankings.limit=9",
    ]
    run = [f"--model.pretrained={tiny_gpt2}", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    main(["fit", *common, *few, "--samples.records=0", *run])
    return f"--model.pretrained={tmp_path / 'run' / 'model'}"


@pytest.fixture
def unseen(tables: Path, tmp_path: Path) -> list[str]:
    """13 postings, and 5 careers of which one alone goes on to a candidate.

    So there is a rank, of 3, that can find nothing of what its careers ask.
    """
    folder = tmp_path / "unseen"
    folder.mkdir()
    postings = (tables / "postings.csv").read_text(encoding="utf-8").splitlines(keepends=True)
    (folder / "postings.csv").write_text("".join(postings[:14]), encoding="utf-8")
    after = ["Diver", "Poet", "Registered nurse", "Lion tamer", "Clown"]
    careers = [json.dumps({"titles": ["Nursing assistant", title]}) + "\n" for title in after]
    (folder / "careers.jsonl").write_text("".join(careers), encoding="utf-8")
    return [f"--data.source={folder}", "--data.splits=all"]


@pytest.mark.usefixtures("one_thread")
def test_any_number_of_ranks_measures_and_answers_as_one(
    common: list[str], model: str, unseen: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    # Every row, so that ranks have enough to share.
    words = [*common, *unseen, model, "--data.batch_tokens=256", "--data.include_trained=true"]
    asking = ["--data.prompts_per_batch=4", "--model.decoding.max_new_tokens=4"]
    main(["test", *words, f"--json={tmp_path / '1.json'}"])
    main(["predict", *words, *asking, f"--out={tmp_path / '1.jsonl'}"])
    capsys.readouterr()
    main(["validate", *words])
    told = capsys.readouterr().out
    assert "18 rows read, 44 examples scored" in told
    expected = json.loads((tmp_path / "1.json").read_text())
    found = {(row["task"], row["row"]): row for row in expected}
    for task, by in found:
        if task in ("path", "path/changed"):
            assert (found[task, by]["n"], found[task, by]["left_out"]) == (1, 4)
    assert {by for task, by in found if task == "path"} >= {"model", "blend", "markov", "baseline"}
    assert [found[task, "model"]["n"] for task in ("position", "skills")] == [13, 13]
    by_torchrun(["test", *words, f"--json={tmp_path / 'n.json'}"], 3, tmp_path)
    for row, other in zip(expected, json.loads((tmp_path / "n.json").read_text()), strict=True):
        assert (other.pop("task"), other.pop("row")) == (row["task"], row["row"])
        assert other == pytest.approx({name: row[name] for name in other}, rel=1e-6)
    assert by_torchrun(["validate", *words], 2, tmp_path).endswith(told)
    by_torchrun(["predict", *words, *asking, f"--out={tmp_path / 'n.jsonl'}"], 2, tmp_path)
    assert (tmp_path / "n.jsonl").read_bytes() == (tmp_path / "1.jsonl").read_bytes()
    assert len(rows(tmp_path / "n.jsonl")) == 18


def test_one_prompt_on_two_ranks_is_answered_once(
    common: list[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("Which skills does a Welder need?\n")
    words = ["predict", f"--model.pretrained={tiny_gpt2}", *common, f"--data.prompts={asked}"]
    few = "--model.decoding.max_new_tokens=4"
    by_torchrun([*words, few, f"--out={tmp_path / 'out.jsonl'}"], 2, tmp_path)
    (row,) = rows(tmp_path / "out.jsonl")
    assert row["prompt"] == "Which skills does a Welder need?"
    assert not list(tmp_path.glob("*.partial"))


def test_two_nodes_are_one_run_in_one_folder_with_one_process_s_weights(
    common: list[str], tiny_gpt2: Path, tmp_path: Path
) -> None:
    words = [
        "fit", f"--model.pretrained={tiny_gpt2}", *common, "--trainer.max_steps=3",
        "--model.dropout=0", "--model.lr=0.003", "--data.batch_tokens=256",
        "--samples.prompts=[]", "--samples.records=0", "--titles.limit=0", "--rankings.limit=0",
    ]  # fmt: skip

    def folder(run: str) -> str:
        return f"--trainer.default_root_dir={tmp_path / run}"

    main([*words, folder("one"), "--trainer.accumulate_grad_batches=2"])
    by_torchrun([*words, folder("torchrun")], 2, tmp_path, nodes=2)
    by_srun([*words, folder("slurm")], 2, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} >= {"one", "torchrun", "slurm", "cache"}
    before = load_file(tiny_gpt2 / "model.safetensors")
    alone = load_file(tmp_path / "one" / "model" / "model.safetensors")
    assert max((alone[name] - before[name]).abs().max() for name in alone) > 0.001
    for name in ("torchrun", "slurm"):
        weights = load_file(tmp_path / name / "model" / "model.safetensors")
        torch.testing.assert_close(weights, alone, rtol=0, atol=1e-5)
        log = rows(tmp_path / name / "metrics.jsonl")
        steps = [row["step"] for row in log if "val/loss" in row]
        assert steps == [0, 2]  # Counted from 0.


@pytest.mark.parametrize(
    ("started", "options", "said"),
    [
        ({"SLURM_NTASKS": "2", "SLURM_STEP_ID": None}, [], "has given this job 2 tasks, of which"),
        ({"SLURM_NTASKS": "2"}, ["--trainer.num_nodes=1"], "2 processes, started from outside"),
        ({"SLURM_NTASKS": "1"}, [], "has 1 processes, started from outside, and the Trainer expe"),
        (
            {
                "TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2", "RANK": "0", "LOCAL_RANK": "0",
                "TORCHELASTIC_RESTART_COUNT": "1", "TORCHELASTIC_USE_AGENT_STORE": "True",
            },
            [], "torchrun has started this process again",
        ),
        ({"MASTER_PORT": None}, [], "num_nodes=2: no node is told where to meet the others"),
    ],
)  # fmt: skip
def test_processes_that_would_wait_for_ever_or_train_apart_are_refused(
    started: dict[str, str | None], options: list[str], said: str, common: list[str],
    tiny_gpt2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    known = {"PROCID": "0", "LOCALID": "0", "NODEID": "0", "NTASKS_PER_NODE": "1", "STEP_ID": "0"}
    for name, value in {**{f"SLURM_{n}": v for n, v in known.items()}, **started}.items():
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)
    words = ["fit", f"--model.pretrained={tiny_gpt2}", *common, "--trainer.num_nodes=2", *options]
    with pytest.raises(SystemExit, match="2"):
        main([*words, f"--trainer.default_root_dir={tmp_path / 'run'}"])
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not (tmp_path / "run").exists()
