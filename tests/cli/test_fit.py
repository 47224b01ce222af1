"""`fit` end to end: what the run's folder holds, and what a resumed run does."""

import json
import math
import random
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from transformers import AutoModelForCausalLM

from careergpt.cli import main


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_run_is_a_folder(run: Path, elsewhere: Path) -> None:
    for name in (
        "config.yaml", "data_report.json", "metrics.jsonl", "samples.jsonl", "titles.json",
        "checkpoints/best.ckpt", "checkpoints/resume.ckpt",
        "model/config.json", "model/model.safetensors", "model/tokenizer.json", "model/README.md",
        "model/generation_config.json", "model/careergpt.json",
        "baseline/config.json", "baseline/model.safetensors", "baseline/careergpt.json",
    ):  # fmt: skip
        assert (run / name).stat().st_size > 0, name
    assert not list(run.rglob("*.partial"))


def test_metrics_are_one_object_a_line(run: Path) -> None:
    found = lines(run / "metrics.jsonl")
    names = {name for line in found for name in line}
    tasks = ["", "describe/", "position/", "skills/", "path/"]
    assert {f"val/{task}loss" for task in tasks} <= names
    assert {f"val/{task}perplexity" for task in tasks} <= names
    assert {"train/loss", "train/tokens_per_second", "train/padding_share"} <= names
    assert "train/lr" in names
    for line in found:
        assert isinstance(line["step"], int)
        assert all(value is None or math.isfinite(value) for value in line.values())


def test_the_first_point_is_the_starting_model(
    run: Path, quiet: list[str], sample: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    validated = [line for line in lines(run / "metrics.jsonl") if "val/loss" in line]
    assert [line["step"] for line in validated].count(0) == 1
    first = validated[0]
    assert first["step"] == 0
    assert set(validated[-1]) - {"epoch"} == set(first)
    main(["validate", f"--model.pretrained={run / 'baseline'}", *quiet, *sample])
    out = capsys.readouterr().out
    for task in ("", "describe/", "position/", "skills/", "path/"):
        assert f"{first[f'val/{task}loss']:.4f}" in out, task


def test_validating_first_changes_no_weight(run: Path, brief: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    main(
        ["fit", *brief, f"--trainer.default_root_dir={folder}", "--trainer.num_sanity_val_steps=0"]
    )
    weights = [(f / "model" / "model.safetensors").read_bytes() for f in (run, folder)]
    assert weights[0] == weights[1]
    assert not any(
        "val/loss" in line and line["step"] == 0 for line in lines(folder / "metrics.jsonl")
    )


def test_a_run_without_validation_has_no_first_point(brief: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    main(["fit", *brief, f"--trainer.default_root_dir={folder}", "--trainer.limit_val_batches=0"])
    assert not any("val/loss" in line for line in lines(folder / "metrics.jsonl"))
    assert [line["step"] for line in lines(folder / "samples.jsonl")][:3] == [0, 0, 0]
    assert (folder / "model" / "model.safetensors").exists()


def test_perplexity_is_exp_of_the_loss(run: Path) -> None:
    validated = [line for line in lines(run / "metrics.jsonl") if "val/loss" in line]
    assert validated
    for line in validated:
        assert line["val/perplexity"] == pytest.approx(math.exp(line["val/loss"]), rel=1e-5)


def test_packed_batches_have_no_padding(run: Path) -> None:
    shares = [
        line["train/padding_share"]
        for line in lines(run / "metrics.jsonl")
        if "train/padding_share" in line
    ]
    assert shares
    assert set(shares) == {0.0}


def test_the_configuration_is_saved_as_it_was(run: Path, sample: list[str]) -> None:
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["source"] == sample[0].partition("=")[2]
    assert config["model"]["scratch"]["n_embd"] == 16
    assert config["trainer"]["max_epochs"] == 1
    assert config["data"]["tasks"]["path"]["completion"] == "> {titles[1:]: > }"


def test_the_report_is_the_audit_s(
    run: Path, sample: list[str], tmp_path: Path, scratch: list[str]
) -> None:
    tokenizer = scratch[-1].partition("=")[2]
    limit = ["--data.max_length=128", f"--data.tokenizer={tokenizer}"]
    main(["audit", *sample, *limit, f"--out={tmp_path / 'report'}"])
    written = json.loads((tmp_path / "report" / "data_report.json").read_text())
    assert written == json.loads((run / "data_report.json").read_text())
    assert written["leaks_across_splits"] == 0
    assert written["read"] == written["kept"] + sum(written["dropped"].values())


def test_samples_show_before_and_after(run: Path) -> None:
    found = lines(run / "samples.jsonl")
    steps = [line["step"] for line in found]
    assert len(found) % 3 == 0
    assert steps[:3] == [0, 0, 0]
    assert steps.count(0) == 3
    assert steps[-1] > 0
    assert len(found) == 2 * 3  # The best step's answers are on file already.
    assert len({line["prompt"] for line in found}) == 3
    assert set(found[0]) == {"step", "prompt", "text", "finish_reason", "log_probability"}


def test_the_model_is_the_best_checkpoint_and_the_baseline_the_start(run: Path) -> None:
    import torch

    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    models = {
        name: AutoModelForCausalLM.from_pretrained(run / name).state_dict()
        for name in ("model", "baseline")
    }
    for name, weight in models["model"].items():
        assert torch.equal(weight, best[f"model.{name}"]), name
    name = "transformer.wte.weight"
    assert not torch.equal(models["model"][name], models["baseline"][name])


def test_the_folder_remembers_its_tasks(run: Path) -> None:
    settings = json.loads((run / "model" / "careergpt.json").read_text())
    assert set(settings["tasks"]) == {"describe", "position", "skills", "path"}
    assert settings["separators"] == {"skills": None, "titles": None}
    assert settings["started_from"] == str(run / "baseline")


def test_a_second_run_in_the_same_folder_is_refused(
    run: Path, short: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    with pytest.raises(SystemExit) as caught:
        main(["fit", *short, f"--trainer.default_root_dir={run}"])
    assert caught.value.code == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "holds a run already (config.yaml): resume it with --ckpt_path last" in error
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


def test_last_continues_where_a_run_ended(
    short: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["fit", *short, f"--trainer.default_root_dir={tmp_path / 'run'}", "--ckpt_path=last"]
    main(words)
    told = capsys.readouterr().out
    assert "yet: starting anew" in told
    assert told.strip().splitlines()[-1].endswith(f"{tmp_path / 'run'} to go on from: trained anew")
    # What a run logs of its finished model belongs to its end alone.
    ends_with = ("rankings/", "titles/")
    first = [
        line
        for line in lines(tmp_path / "run" / "metrics.jsonl")
        if not any(name.startswith(ends_with) for name in line)
    ]
    main([*words, "--trainer.max_epochs=2"])
    assert "anew" not in capsys.readouterr().out
    both = lines(tmp_path / "run" / "metrics.jsonl")
    assert both[: len(first)] == first
    ends = [line["step"] for line in both if "val/loss" in line]
    # The start, once, and two epochs; Lightning numbers steps from 0.
    assert (ends[0], len(ends)) == (0, 3)
    assert ends[2] + 1 == 2 * (ends[1] + 1)
    assert min(line["step"] for line in both[len(first) :]) > ends[1]


def test_the_same_words_give_the_same_run(run: Path, short: list[str], tmp_path: Path) -> None:
    main(["fit", *short, f"--trainer.default_root_dir={tmp_path / 'run'}"])
    timed = ("train/tokens_per_second", "train/waiting_share")
    first, second = (
        [{k: v for k, v in line.items() if k not in timed} for line in lines(f / "metrics.jsonl")]
        for f in (run, tmp_path / "run")
    )
    assert first == second
    weights = [(f / "model" / "model.safetensors").read_bytes() for f in (run, tmp_path / "run")]
    assert weights[0] == weights[1]


def test_samples_do_not_change_training(run: Path, brief: list[str], tmp_path: Path) -> None:
    none = ["--samples.prompts=[]", "--samples.records=0"]
    main(["fit", *brief, f"--trainer.default_root_dir={tmp_path / 'run'}", *none])
    weights = [(f / "model" / "model.safetensors").read_bytes() for f in (run, tmp_path / "run")]
    assert weights[0] == weights[1]
    assert not (tmp_path / "run" / "samples.jsonl").exists()


def test_skills_f1_is_logged_and_only_fixed_prompts_are_shown(
    run: Path, brief: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    main(["fit", *brief, f"--trainer.default_root_dir={folder}", "--data.min_count=1"])
    assert capsys.readouterr().out.count("\n> ") == 3
    sampled = [line for line in lines(folder / "metrics.jsonl") if "samples/rep_4" in line]
    assert sampled[0]["step"] == 0
    assert all(0 <= line["samples/skills_f1"] <= 1 for line in sampled)
    assert len(lines(folder / "samples.jsonl")) == len(sampled) * (3 + 8)
    weights = [(f / "model" / "model.safetensors").read_bytes() for f in (run, folder)]
    assert weights[0] == weights[1]


def test_the_commands_that_a_fit_ends_with_work_where_every_title_is_rare(
    short: list[str], quiet: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(0)
    rows = [
        {
            "position_title": f"Keeper of {word}",
            "job_description": " ".join(chance.choices("abcdefghijklmnop", k=40)),
            "skills": [f"{word} care", "patience"],
        }
        for word in (f"{one}{other}" for one in "abcdefgh" for other in "stuvwxyz")
    ]
    table = tmp_path / "small.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    words = [word for word in short if not word.startswith(("--data.source", "--data.min_count"))]
    few = [f"--data.source={table}", "--trainer.max_steps=2", "--titles.limit=0"]
    main(["fit", *words, *few, f"--trainer.default_root_dir={tmp_path / 'run'}"])
    told = [shlex.split(line)[2:] for line in capsys.readouterr().out.splitlines() if "py " in line]
    assert [line[0] for line in told] == ["recommend", "test", "compare"]
    device = ["--device=cpu"]
    more = {"recommend": device, "compare": [*device, "--answers=0"], "test": quiet}
    for line in told:
        main([*line, *more[line[0]]])
    assert "Next positions" in capsys.readouterr().out


def test_a_second_stage_says_what_both_were_trained_on(
    run: Path, model: str, brief: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "run"
    split = ["--data.val_fraction=0.3", "--trainer.max_steps=1", "--titles.limit=0"]
    main(["fit", model, *brief, *split, f"--trainer.default_root_dir={folder}"])
    assert "the model was trained on" in capsys.readouterr().out
    settings = json.loads((folder / "model" / "careergpt.json").read_text(encoding="utf-8"))
    assert [stage["val_fraction"] for stage in settings["trained_on"]] == [0.1, 0.3]
    first, both = (np.load(f / "model" / "trained_rows.npy") for f in (run, folder))
    assert set(first) <= set(both)


def test_another_seed_gives_another_run(run: Path, brief: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "run"
    main(["fit", *brief, f"--trainer.default_root_dir={folder}", "--seed_everything=1"])
    weights = [(f / "model" / "model.safetensors").read_bytes() for f in (run, folder)]
    assert weights[0] != weights[1]


@pytest.mark.parametrize("own", [False, True])
def test_there_is_one_bar_the_user_s_own_if_they_name_one(
    own: bool, brief: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word for word in brief if "enable_progress_bar" not in word]
    named = ["--trainer.callbacks=TQDMProgressBar", "--trainer.callbacks.refresh_rate=3"]
    few = ["--trainer.max_steps=1", f"--trainer.default_root_dir={tmp_path / 'run'}"]
    main(["fit", *words, *few, *(named if own else [])])
    out = capsys.readouterr().out
    assert "train/loss" in out
    assert ("The starting model" in out) is not own
