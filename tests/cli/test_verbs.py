"""`validate`, `test`, `predict`, `audit` and help, on a model folder."""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import pytest

from careergpt.cli import VERBS, main
from careergpt.data.tokens import load_tokenizer

FIELDS = ["id", "prompt", "text", "finish_reason", "log_probability", "n_tokens"]
OF_TOKENS = {"accuracy", "bits_per_byte", "tokens"}
NUMBERS = {"task", "row", "n", "loss", "perplexity"} | OF_TOKENS
RANKED = {"position", "skills", "path"}
OF_RANKS = {
    "task", "row", "n", "loss", "perplexity", "mrr", "recall@1", "recall@5", "recall@10", "map",
    "calibration_error", "left_out", "outside", "candidates", "coverage", "mrr_all",
}  # fmt: skip


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def table(words: list[str], out: Path) -> list[dict[str, Any]]:
    main(["test", *words, f"--json={out}"])
    return json.loads(out.read_text())


def test_test_writes_a_row_for_each_task(
    model: str, quiet: list[str], sample: list[str], tmp_path: Path, elsewhere: Path
) -> None:
    rows = table([model, *quiet, *sample], tmp_path / "t.json")
    found = {row["task"]: row for row in rows if row["row"] == "model"}
    paths = ["path", "path/changed", "path/seen", "path/unseen"]
    assert list(found) == ["all", "describe", *paths, "position", "skills"]
    tokens = {f"token_{name}" for name in ("loss", "perplexity", "accuracy", "bits_per_byte")}
    tokens |= {"examples", "tokens"}
    for row in rows:
        ranked = row["task"] not in ("all", "describe")
        of_tokens = row["task"] in RANKED and row["row"] == "model"
        assert set(row) == (OF_RANKS | (tokens if of_tokens else set()) if ranked else NUMBERS)
        assert row["perplexity"] == pytest.approx(math.exp(row["loss"]))
        if of_tokens:
            assert row["token_perplexity"] == pytest.approx(math.exp(row["token_loss"]))
            assert row["token_loss"] != row["loss"]
    whole, parts = found["all"], [found[task] for task in ("describe", *RANKED)]
    assert all(0 <= row.get("token_accuracy", row.get("accuracy")) <= 1 for row in parts)
    assert whole["n"] == sum(row.get("examples", row["n"]) for row in parts)
    assert whole["tokens"] == sum(row["tokens"] for row in parts)
    nats = sum(row.get("token_loss", row["loss"]) * row["tokens"] for row in parts)
    assert whole["loss"] == pytest.approx(nats / whole["tokens"])
    assert not list(elsewhere.iterdir())


def test_the_figures_do_not_depend_on_the_batches(
    model: str, quiet: list[str], sample: list[str], tmp_path: Path
) -> None:
    shapes = [
        ["--data.batch_tokens=8192"],
        ["--data.batch_tokens=200"],
        ["--data.pack=false", "--data.batch_size=1"],
        ["--data.pack=false", "--data.batch_size=7"],
    ]
    expected, *others = (
        table([model, *quiet, *sample, *shape, "--queries=5"], tmp_path / f"{place}.json")
        for place, shape in enumerate(shapes)
    )
    for found in others:
        for row, other in zip(expected, found, strict=True):
            assert (other.pop("task"), other.pop("row")) == (row["task"], row["row"])
            assert other == pytest.approx({name: row[name] for name in other}, rel=1e-5)
            assert set(row) == {"task", "row", *other}


def test_every_record_is_unseen_where_asked(
    model: str, quiet: list[str], sample: list[str], tmp_path: Path, run: Path
) -> None:
    report = json.loads((run / "data_report.json").read_text())
    every = [model, *quiet, *sample, "--data.splits=all", "--queries=0"]
    (whole, *_) = table([*every, "--data.include_trained=true"], tmp_path / "t.json")
    examples = [sum(task["examples"].values()) for task in report["tasks"].values()]
    assert whole["n"] == sum(examples)
    (unseen, *_) = table(every, tmp_path / "t.json")
    seen = sum(task["examples"]["train"] for task in report["tasks"].values())
    assert unseen["n"] <= sum(examples) - seen


def test_validate_gives_the_run_s_last_loss(
    model: str, run: Path, quiet: list[str], sample: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    losses = [row["val/loss"] for row in rows(run / "metrics.jsonl") if "val/loss" in row]
    main(["validate", model, *quiet, *sample])
    assert f"{min(losses):.4f}" in capsys.readouterr().out


def test_a_checkpoint_s_weights_can_be_validated(
    model: str, run: Path, quiet: list[str], sample: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*quiet, *sample, f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"]
    main(["validate", f"--model.pretrained={run / 'baseline'}", *words])
    losses = [row["val/loss"] for row in rows(run / "metrics.jsonl") if "val/loss" in row]
    assert f"{min(losses):.4f}" in capsys.readouterr().out


def test_a_checkpoint_s_run_says_what_it_trained_on(
    run: Path, quiet: list[str], sample: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = [*quiet, *sample, f"--ckpt_path={run / 'checkpoints' / 'best.ckpt'}"]
    main(["validate", f"--model.pretrained={run / 'baseline'}", *words, "--data.splits=all"])
    assert "the model was trained on" in capsys.readouterr().out


@pytest.mark.parametrize("suffix", ["txt", "jsonl"])
def test_predict_answers_a_file_s_prompts_in_order(
    model: str, quiet: list[str], tmp_path: Path, suffix: str, elsewhere: Path
) -> None:
    prompts = [f"Which skills does a {'very ' * (n % 4)}good nurse {n} need?" for n in range(7)]
    asked = tmp_path / f"asked.{suffix}"
    written = prompts if suffix == "txt" else [json.dumps({"prompt": p, "x": 1}) for p in prompts]
    asked.write_text("\n".join(written) + "\n")
    options = [f"--data.prompts={asked}", "--data.prompts_per_batch=3"]
    few = "--model.decoding.max_new_tokens=6"
    main(["predict", model, *quiet, *options, few, f"--out={tmp_path / 'out.jsonl'}"])
    found = rows(tmp_path / "out.jsonl")
    assert [row["prompt"] for row in found] == prompts
    assert [row["id"] for row in found] == [str(n) for n in range(1, 8)]
    for row in found:
        assert list(row) == FIELDS
        assert row["finish_reason"] == ("length" if row["n_tokens"] == 6 else "end")
        assert row["log_probability"] < 0
    assert not list(elsewhere.iterdir())


def test_predict_answers_the_unseen_records(
    model: str, run: Path, quiet: list[str], sample: list[str], tmp_path: Path
) -> None:
    few = "--model.decoding.max_new_tokens=3"
    main(["predict", model, *quiet, *sample, few, f"--out={tmp_path / 'out.jsonl'}"])
    found = rows(tmp_path / "out.jsonl")
    report = json.loads((run / "data_report.json").read_text())
    assert len(found) == report["splits"]["test"]
    assert len({row["id"] for row in found}) == len(found)
    starts = {row["prompt"].split(" a ")[0].split(":")[0] for row in found}
    assert starts == {"Tell me about the qualifications required for", "Career path"}


def test_samples_repeat_and_do_not_depend_on_batches(
    model: str, quiet: list[str], tmp_path: Path
) -> None:
    asked = tmp_path / "asked.txt"
    asked.write_text("\n".join(f"Which skills does a nurse {n} need?" for n in range(5)))
    answers = []
    for place, extra in enumerate(
        ([], ["--data.prompts_per_batch=2"], ["--model.decoding.seed=1"])
    ):
        out = tmp_path / f"{place}.jsonl"
        few = "--model.decoding.max_new_tokens=8"
        main(["predict", model, *quiet, f"--data.prompts={asked}", few, *extra, f"--out={out}"])
        answers.append([row["text"] for row in rows(out)])
    assert answers[0] == answers[1] != answers[2]


def test_what_the_folder_says_wins_unless_typed(
    run: Path, quiet: list[str], sample: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(run / "model", folder)
    settings = json.loads((folder / "careergpt.json").read_text())
    settings["tasks"] = {"job": {"prompt": "A {position_title}:", "completion": "{skills}"}}
    settings["decoding"]["max_new_tokens"] = 2
    (folder / "careergpt.json").write_text(json.dumps(settings))
    over = tmp_path / "over.yaml"
    other = {"prompt": "B {position_title}", "completion": "{skills}"}
    decoding = {"max_new_tokens": 4, "greedy": True}
    over.write_text(
        json.dumps({"data": {"tasks": {"other": other}}, "model": {"decoding": decoding}})
    )
    postings = f"{sample[0]}/postings.csv"
    words = [
        "predict",
        f"--config={over}",
        f"--model.pretrained={folder}",
        *quiet,
        *sample,
        postings,
    ]
    main([*words, f"--out={tmp_path / 'a.jsonl'}"])
    found = rows(tmp_path / "a.jsonl")
    assert all(row["prompt"].startswith("A ") for row in found)
    assert max(row["n_tokens"] for row in found) == 2
    typed = json.dumps({"t": {"prompt": "C {position_title}", "completion": "{skills}"}})
    words += [f"--data.tasks={typed}", "--model.decoding.max_new_tokens=3"]
    main([*words, f"--out={tmp_path / 'b.jsonl'}"])
    found = rows(tmp_path / "b.jsonl")
    assert all(row["prompt"].startswith("C ") for row in found)
    assert max(row["n_tokens"] for row in found) == 3


def test_audit_needs_no_tokenizer(
    sample: list[str], capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    main(["audit", *sample])
    told = capsys.readouterr().out
    assert "leaks across splits: 0" in told
    assert "token counts need --data.tokenizer" in told
    assert not list(elsewhere.iterdir())


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    told = capsys.readouterr().out
    main([])
    assert capsys.readouterr().out == told
    assert all(f"\n  {verb} " in told for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code in (0, None)
    own = {
        "recommend": "--history",
        "serve": "--baseline",
        "cache": "--limit",
        "fetch-model": "--out",
        "tables": "--out",
        "sweep": "--storage",
        "export": "--format",
    }
    assert own.get(verb, "--data.source") in capsys.readouterr().out


def test_the_tokenizer_in_the_folder_is_the_one_that_trained(run: Path, scratch: list[str]) -> None:
    own, first = (load_tokenizer(s) for s in (str(run / "model"), scratch[-1].partition("=")[2]))
    assert own.get_vocab() == first.get_vocab()
