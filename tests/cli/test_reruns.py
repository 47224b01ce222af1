"""Laws of running again: from a run's own configuration, from a checkpoint, from a model folder."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from careergpt.cli import main


def config_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "config.yaml").read_text())
    return found


def logged(folder: Path, name: str) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [row[name] for row in map(json.loads, lines) if name in row]


def test_a_run_from_a_model_folder_starts_again_from_its_own_configuration(
    run: Path, brief: list[str], tmp_path: Path
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    words = [word for word in brief if "scratch" not in word]
    typed = ["--data.tasks.describe.weight=0.5", "--model.decoding.max_new_tokens=9"]
    main(
        ["fit", *words, *typed, f"--model.pretrained={run / 'model'}"]
        + [f"--trainer.default_root_dir={first}"]
    )
    main(["fit", f"--config={first / 'config.yaml'}", f"--trainer.default_root_dir={second}"])
    assert config_of(first)["data"]["tasks"]["describe"]["weight"] == 0.5
    for group in ("data", "model"):
        assert config_of(second)[group] == config_of(first)[group]
    assert logged(second, "val/loss") == logged(first, "val/loss")


def test_an_audit_takes_the_configuration_of_a_run(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["audit", f"--config={run / 'config.yaml'}"])
    assert "leaks across splits: 0" in capsys.readouterr().out


def test_a_resumed_run_follows_the_rates_that_are_configured(
    brief: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "resumed"
    words = ["fit", *brief, f"--trainer.default_root_dir={folder}", "--trainer.log_every_n_steps=1"]
    main(words)
    done = len(logged(folder, "train/lr"))
    main(
        [
            *words,
            "--ckpt_path=last",
            "--trainer.max_epochs=2",
            "--model.lr=0.5",
            "--model.final_lr=1",
        ]
    )
    again = logged(folder, "train/lr")[done:]
    assert again
    assert all(lr == pytest.approx(0.5) for lr in again)


def test_a_resumed_run_remembers_its_first_answers(brief: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "resumed"
    words = ["fit", *brief, f"--trainer.default_root_dir={folder}", "--samples.prompts=['Who?']"]
    main(words)
    main([*words, "--ckpt_path=last", "--trainer.max_epochs=2"])
    rows = [json.loads(line) for line in (folder / "samples.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows].count(0) == 1


def test_a_verb_after_fit_needs_a_model(
    sample: list[str], quiet: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for verb in ("validate", "test", "predict"):
        with pytest.raises(SystemExit, match="2"):
            main([verb, *quiet, *sample])
        assert "name one with --model.pretrained RUN/model" in capsys.readouterr().err


def test_a_configured_checkpoint_callback_does_not_choose_the_model(
    run: Path, brief: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "other"
    worst = {
        "class_path": "lightning.pytorch.callbacks.ModelCheckpoint",
        "init_args": {"monitor": "val/loss", "mode": "max", "dirpath": str(tmp_path / "mine")},
    }
    main(
        ["fit", *brief, f"--trainer.default_root_dir={folder}"]
        + [f"--trainer.callbacks={json.dumps([worst])}", "--trainer.max_epochs=2"]
    )
    best = min(logged(folder, "val/loss"))
    assert f"{best:.3f} nats" in (folder / "model" / "README.md").read_text()


def test_a_mix_of_postings_with_and_without_descriptions_ends_with_its_evidence(
    scratch: list[str], quiet: list[str], tmp_path: Path
) -> None:
    rows = [
        {"position_title": f"Title {n % 7}", "skills": [f"skill {n}", "care"]}
        | ({"job_description": f"number {n} does work {n * n} of kind {n % 11}"} if n % 2 else {})
        for n in range(200)
    ]
    table = tmp_path / "mixed.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    folder = tmp_path / "mixed"
    main(
        ["fit", *scratch, *quiet, f"--data.source={table}", f"--data.cache={tmp_path / 'cache'}"]
        + [f"--trainer.default_root_dir={folder}", "--trainer.max_epochs=1", "--samples.prompts=[]"]
        + ["--rankings.limit=0"]
    )
    assert json.loads((folder / "titles.json").read_text())["records"] > 1


@pytest.mark.parametrize("seed", ["true", "false"])
def test_a_seed_that_is_drawn_or_none_is_the_run_s_own_when_it_goes_on(
    seed: str, short: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "drawn"
    words = [f"--trainer.default_root_dir={folder}", "--titles.limit=0", "--rankings.limit=0"]
    few = ["--samples.prompts=[]", "--samples.records=0", f"--seed_everything={seed}"]
    main(["fit", *short, *words, *few, "--trainer.max_steps=1"])
    drawn = config_of(folder)["seed_everything"]
    main(["fit", f"--config={folder / 'config.yaml'}", "--ckpt_path=last", "--trainer.max_steps=2"])
    assert config_of(folder)["seed_everything"] == drawn
    assert (drawn is False) is (seed == "false")
    state = torch.load(folder / "checkpoints" / "resume.ckpt")
    assert state["global_step"] == 2
    assert state["careergpt"]["data"]["--seed_everything"] == int(drawn)


def test_a_development_run_leaves_no_model_and_its_folder_free(
    brief: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "tried"
    main(["fit", *brief, f"--trainer.default_root_dir={folder}", "--trainer.fast_dev_run=true"])
    out = capsys.readouterr().out
    assert out.strip().splitlines()[-1].endswith("no model is written")
    assert "main.py" not in out
    for name in ("model", "baseline", "checkpoints", "config.yaml"):
        assert not (folder / name).exists()
    main(["fit", *brief, f"--trainer.default_root_dir={folder}", "--trainer.max_steps=1"])
    assert (folder / "model" / "README.md").exists()


def test_a_run_that_the_clock_ended_says_so_last_and_is_finished(
    short: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "timed"
    words = ["fit", *short, f"--trainer.default_root_dir={folder}", "--trainer.max_epochs=9"]
    words += ["--trainer.callbacks+=Timer", "--trainer.callbacks.duration={milliseconds: 1}"]
    words += ["--titles.limit=0", "--rankings.limit=0", "--samples.records=0"]
    main(words)
    out = capsys.readouterr().out.strip().splitlines()
    assert out[-1].startswith("the clock (0:00:00.001000) ended training after step 1 of ")
    (timer,) = config_of(folder)["trainer"]["callbacks"]
    assert timer["init_args"]["interval"] == "step"
    with pytest.raises(SystemExit):
        main(["fit", f"--config={folder / 'config.yaml'}", "--ckpt_path=last"])
    assert "this run is finished" in capsys.readouterr().out
