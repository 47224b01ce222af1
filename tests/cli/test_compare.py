"""`compare` end to end: what it writes, what it finds, what it refuses."""

import errno
import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import wandb
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from careergpt.cli import compare as comparing
from careergpt.cli import main
from careergpt.compare.trigram import Trigram
from careergpt.data.datamodule import CareerDataModule
from careergpt.data.splits import TRAIN
from careergpt.recommend.candidates import TARGET

FILES = {"scores.parquet", "answers.jsonl", "comparison.json", "report.html"}


@pytest.fixture(scope="module")
def few() -> list[str]:
    """The options of a comparison that takes seconds."""
    return ["--answers=6", "--decoding.max_new_tokens=12", "--device=cpu"]


def compared(out: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    return found


def finding(found: dict[str, Any], metric: str, task: str = "") -> dict[str, Any]:
    [one] = [one for one in found["findings"] if (one["metric"], one["task"]) == (metric, task)]
    return one


@pytest.fixture(scope="module")
def results(
    run: Path, sample: list[str], few: list[str], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The start of the run beside its end: an earlier checkpoint beside a later one."""
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(run / "baseline", folder / "start")
    shutil.copytree(run / "model", folder / "end")
    models = [f"--baseline={folder / 'start'}", f"--finetuned={folder / 'end'}"]
    main(["compare", *models, *sample, *few])
    return folder / "comparison"


def test_it_writes_its_files_beside_the_finetuned_folder(results: Path) -> None:
    assert {path.name for path in results.iterdir()} == FILES


def test_an_earlier_checkpoint_is_found_worse(results: Path) -> None:
    found = compared(results)
    loss = finding(found, "loss")
    assert loss["verdict"] == "better"
    assert loss["high"] < 0
    assert loss["p_holm"] < 0.05
    assert found["verdict"][0].startswith("Fine-tuned is better")
    assert found["same_tokenizer"] is True


def test_every_loss_can_be_computed_again_from_the_scores(results: Path) -> None:
    rows = pq.read_table(results / "scores.parquet").to_pylist()
    own = [row for row in rows if row["asked_title"] == row["title"]]
    found = compared(results)
    for task in {row["task"] for row in own} | {""}:
        for model in ("baseline", "finetuned"):
            some = [r for r in own if r["model"] == model and task in ("", r["task"])]
            loss = sum(r["nats"] for r in some) / sum(r["tokens"] for r in some)
            assert finding(found, "loss", task)[model] == pytest.approx(loss, rel=1e-9)
    for answer in map(json.loads, (results / "answers.jsonl").read_text().splitlines()):
        assert answer["model"] in ("baseline", "finetuned")


def test_a_score_is_transformers_loss_times_its_tokens(results: Path) -> None:
    rows = pq.read_table(results / "scores.parquet").to_pylist()
    for role, folder in (("baseline", "start"), ("finetuned", "end")):
        theirs = AutoModelForCausalLM.from_pretrained(results.parent / folder, dtype=torch.float32)
        some = [row for row in rows if row["model"] == role][::7]
        assert len({row["task"] for row in some}) == 4
        for row in some:
            ids = torch.tensor([row["token_ids"]])
            labels = ids.clone()
            labels[:, : row["n_prompt"]] = -100
            with torch.no_grad():
                loss = float(theirs(input_ids=ids, labels=labels).loss)
            assert row["tokens"] == ids.shape[1] - row["n_prompt"]
            assert row["nats"] == pytest.approx(loss * row["tokens"], abs=1e-3)


def test_the_finetuned_loss_is_what_test_says(
    results: Path, sample: list[str], quiet: list[str], tmp_path: Path
) -> None:
    model = f"--model.pretrained={results.parent / 'end'}"
    main(["test", model, *sample, *quiet, f"--json={tmp_path / 'test.json'}"])
    rows = json.loads((tmp_path / "test.json").read_text())
    tested = {row["task"]: row for row in rows if row["row"] == "model"}
    for task in ("", "describe", "position", "skills", "path"):
        one = finding(compared(results), "loss", task)
        # Where a task is ranked, its loss is an answer's, and that of its tokens stands beside it.
        loss, n = ("token_loss", "examples") if task in TARGET else ("loss", "n")
        assert one["finetuned"] == pytest.approx(tested[task or "all"][loss], abs=1e-5)
        assert one["n"] == tested[task or "all"][n]


def test_the_title_s_worth_can_be_computed_again_from_the_scores(results: Path) -> None:
    rows = pq.read_table(results / "scores.parquet").to_pylist()
    other = [row for row in rows if row["asked_title"] != row["title"]]
    gains = finding(compared(results), "title_gain", "describe")
    assert gains["n"] == len(other) / 2 > 5
    for model in ("baseline", "finetuned"):
        some = [row for row in other if row["model"] == model]
        saved = sum(row["nats"] - row["nats_own_title"] for row in some)
        assert gains[model] == pytest.approx(saved / sum(row["tokens"] for row in some), rel=1e-9)


def test_what_a_text_costs_under_its_own_title_is_of_the_same_tokens(results: Path) -> None:
    rows = pq.read_table(results / "scores.parquet").to_pylist()
    theirs = AutoModelForCausalLM.from_pretrained(results.parent / "end", dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(results.parent / "end")
    for row in rows:
        if row["asked_title"] == row["title"] or row["model"] == "baseline":
            continue
        completion = row["token_ids"][row["n_prompt"] :]
        prompt = tokenizer(row["prompt"].replace(row["asked_title"], row["title"])).input_ids
        ids = torch.tensor([prompt + completion])
        labels = ids.clone()
        labels[:, : len(prompt)] = -100
        with torch.no_grad():
            loss = float(theirs(input_ids=ids, labels=labels).loss)
        assert row["nats_own_title"] == pytest.approx(loss * len(completion), abs=1e-3)


def test_answers_are_each_model_s_own(results: Path, quiet: list[str], tmp_path: Path) -> None:
    rows = [json.loads(line) for line in (results / "answers.jsonl").read_text().splitlines()]
    prompts = [row["prompt"] for row in rows if row["model"] == "baseline"]
    assert prompts[0] == "Tell me about the qualifications required for a Data scientist."
    (tmp_path / "prompts.txt").write_text("\n".join(prompts))
    for role, folder in (("baseline", "start"), ("finetuned", "end")):
        options = [
            f"--model.pretrained={results.parent / folder}", "--model.decoding.max_new_tokens=12",
            f"--data.prompts={tmp_path / 'prompts.txt'}", f"--out={tmp_path / 'out.jsonl'}",
        ]  # fmt: skip
        main(["predict", *options, *quiet])
        predicted = [json.loads(x) for x in (tmp_path / "out.jsonl").read_text().splitlines()]
        own = [row for row in rows if row["model"] == role]
        assert [row["text"] for row in own] == [row["text"] for row in predicted]
        # The first three are of nobody; what was measured of the others is what is reported.
        for metric in ("tokens", "rouge_l", "copied_run"):
            mean = sum(row[metric] for row in own[3:]) / len(own[3:])
            assert finding(compared(results), metric)[role] == pytest.approx(mean)


def test_a_run_s_configuration_serves_and_what_is_typed_wins(
    results: Path, run: Path, few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={results.parent / 'start'}", f"--finetuned={results.parent / 'end'}"]
    config = f"--config={run / 'config.yaml'}"
    main(["compare", config, *models, *few, f"--out={tmp_path / 'same'}"])
    again, before = compared(tmp_path / "same"), compared(results)
    assert again["findings"] == before["findings"]
    assert again["data"]["kept_out"] is True
    only = ["--data.tasks.path.weight=0", "--decoding.max_new_tokens=3", "--answers=2"]
    main(["compare", config, *models, *few, *only, f"--out={tmp_path / 'typed'}"])
    found = compared(tmp_path / "typed")
    assert {f["task"] for f in found["findings"]} == {"", "describe", "skills", "position"}
    assert found["settings"]["decoding"]["max_new_tokens"] == 3
    assert finding(found, "tokens")["finetuned"] <= 3


def test_records_that_training_may_have_seen_are_not_called_unseen(
    results: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={results.parent / 'start'}", f"--finetuned={results.parent / 'end'}"]
    read_otherwise = "--data.mask_contacts=false"
    out = tmp_path / "out"
    main(["compare", *models, *sample, *few, read_otherwise, "--answers=2", f"--out={out}"])
    found = compared(out)
    assert found["data"]["kept_out"] is False
    assert "unseen" not in found["verdict"][0]
    assert any("not known" in note for note in found["notes"])
    assert not [one for one in found["findings"] if one["metric"].startswith("copied")]


@pytest.mark.parametrize("included", [False, True])
def test_records_that_a_stage_was_trained_on_are_told_before_any_figure(
    results: Path,
    run: Path,
    sample: list[str],
    few: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    included: bool,
) -> None:
    models = [f"--baseline={results.parent / 'start'}", f"--finetuned={results.parent / 'end'}"]
    options = ["--data.test_fraction=0.3", "--answers=0", f"--out={tmp_path / 'out'}"]
    options.append(f"--data.include_trained={str(included).lower()}")
    main(["compare", *models, *sample, *few, *options])
    printed = capsys.readouterr().out
    found = compared(tmp_path / "out")
    assert found["data"]["trained"] > 10
    assert found["data"]["kept_out"] is not included
    done = "as asked" if included else "left out"
    assert any("were trained on" in note and done in note for note in found["notes"])
    assert printed.index("the model was trained on") < printed.index("perplexity")
    asked = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    own = pq.read_table(results / "scores.parquet").to_pylist()
    assert ({r["record"] for r in asked} <= {r["record"] for r in own}) is not included


def test_a_folder_that_does_not_say_what_it_was_taught_can_be_compared(
    results: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    shutil.copytree(results.parent / "end", tmp_path / "bare")
    (tmp_path / "bare" / "careergpt.json").unlink()
    models = [f"--baseline={results.parent / 'start'}", f"--finetuned={tmp_path / 'bare'}"]
    main(["compare", *models, *sample, *few])
    assert finding(compared(tmp_path / "comparison"), "loss")["verdict"] == "better"


def test_cards_change_only_when_asked_and_tell_of_the_last_comparison_once(
    results: Path, sample: list[str], few: list[str]
) -> None:
    cards = [results.parent / name / "README.md" for name in ("start", "end")]
    before = [card.read_bytes() for card in cards]
    models = [f"--{role}={results.parent / 'end'}" for role in ("baseline", "finetuned")]
    out = [f"--out={results.parent / 'again'}", "--limit=20", "--answers=0"]
    swapped = [f"--baseline={results.parent / 'end'}", f"--finetuned={results.parent / 'start'}"]
    main(["compare", *swapped, *sample, *few, *out])
    assert [card.read_bytes() for card in cards] == before
    assert b"<!-- comparison -->" not in before[1]
    for _ in range(2):
        main(["compare", *models, *sample, *few, *out, "--card=true"])
        assert cards[1].read_text().count("<!-- comparison -->") == 1
    assert "No difference found" in cards[1].read_text()
    assert cards[0].read_bytes() == before[0]


def test_the_trigram_is_what_its_counts_of_the_training_split_say(
    results: Path, run: Path, sample: list[str]
) -> None:
    options = dict(word.removeprefix("--data.").split("=", 1) for word in sample[:2])
    data = CareerDataModule(
        options["source"], cache=options["cache"], processes=1, tokenizer=str(run / "model"),
        context=128,
    )  # fmt: skip
    data.setup("test")
    dataset = data.dataset
    rows = [dataset.store.token_ids(n) for n in dataset.members(TRAIN).tolist()]
    trigram = Trigram.fit(rows, len(data.tokenizer))
    scored = pq.read_table(results / "scores.parquet").to_pylist()
    own = [r for r in scored if r["asked_title"] == r["title"] and r["model"] == "finetuned"]
    for task in ("", "path", "describe"):
        some = [row for row in own if task in ("", row["task"])]
        nats = [trigram.nats(np.array(r["token_ids"]), r["n_prompt"]).sum() for r in some]
        told = finding(compared(results), "loss", task)["trigram"]
        assert told == pytest.approx(sum(nats) / sum(row["tokens"] for row in some))


def test_a_copy_of_a_model_differs_in_exactly_nothing(
    run: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    shutil.copytree(run / "model", tmp_path / "another place" / "model")
    models = [f"--baseline={run / 'model'}", f"--finetuned={tmp_path / 'another place' / 'model'}"]
    main(["compare", *models, *sample, *few])
    found = compared(tmp_path / "another place" / "comparison")
    assert len(found["findings"]) > 8
    for one in found["findings"]:
        assert one["difference"] == 0
        # One title alone shows nothing of how titles vary.
        assert (one["low"], one["high"]) == ((0, 0) if one["titles"] > 1 else (None, None))
        assert (one["p"], one["p_holm"], one["wins"]) == (1, 1, 0.5)
        assert one["verdict"] == "no difference found"
    assert len(found["verdict"]) == 1
    assert found["verdict"][0].startswith("No difference found")


def test_batch_size_changes_no_score(
    results: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={results.parent / 'start'}", f"--finetuned={results.parent / 'end'}"]
    main(["compare", *models, *sample, *few, "--batch_tokens=100", f"--out={tmp_path / 'out'}"])
    both = [pq.read_table(f / "scores.parquet").to_pylist() for f in (results, tmp_path / "out")]
    assert len(both[0]) == len(both[1])
    for one, other in zip(*both, strict=True):
        assert one["record"] == other["record"]
        assert one["nats"] == pytest.approx(other["nats"], abs=1e-3)


def test_models_of_different_tokenizers_are_compared_in_bits(
    run: Path,
    sample: list[str],
    few: list[str],
    other_tokenizer: PreTrainedTokenizerFast,
    tmp_path: Path,
) -> None:
    from transformers import GPT2Config, GPT2LMHeadModel

    sizes = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 100}
    end = other_tokenizer.eos_token_id
    torch.manual_seed(0)
    GPT2LMHeadModel(
        GPT2Config(vocab_size=len(other_tokenizer), eos_token_id=end, bos_token_id=end, **sizes)
    ).save_pretrained(tmp_path / "other")
    other_tokenizer.save_pretrained(tmp_path / "other")
    models = [f"--baseline={tmp_path / 'other'}", f"--finetuned={run / 'model'}"]
    main(["compare", *models, *sample, *few, "--limit=30", f"--out={tmp_path / 'out'}"])
    found = compared(tmp_path / "out")
    assert found["same_tokenizer"] is False
    assert not [one for one in found["findings"] if one["metric"] in ("loss", "title_gain")]
    rows = pq.read_table(tmp_path / "out" / "scores.parquet").to_pylist()
    own = [row for row in rows if row["asked_title"] == row["title"]]
    for model in ("baseline", "finetuned"):
        some = [row for row in own if row["model"] == model]
        bits = sum(r["nats"] for r in some) / math.log(2) / sum(r["n_bytes"] for r in some)
        assert finding(found, "bits_per_byte")[model] == pytest.approx(bits)
    assert "bits" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def test_the_same_command_says_the_same(
    results: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={results.parent / 'start'}", f"--finetuned={results.parent / 'end'}"]
    main(["compare", *models, *sample, *few, f"--out={tmp_path / 'out'}"])
    again, before = compared(tmp_path / "out"), compared(results)
    assert again["findings"] == before["findings"]
    assert again["described"] == before["described"]


def test_all_rows_of_another_table_can_be_unseen(
    run: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    options = ["--data.splits=all", "--limit=10", f"--out={tmp_path / 'out'}"]
    main(["compare", *models, *sample, *few, *options])
    found = compared(tmp_path / "out")
    assert found["data"]["records"] == 10
    assert not [one for one in found["findings"] if one["metric"].startswith("copied")]
    assert any("training" in note for note in found["notes"])


def test_without_answers_only_scores_are_compared(
    run: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    main(["compare", *models, *sample, *few, "--answers=0", f"--out={tmp_path / 'out'}"])
    names = {one["metric"] for one in compared(tmp_path / "out")["findings"]}
    assert names == {"loss", "title_gain"}
    rows = [json.loads(x) for x in (tmp_path / "out" / "answers.jsonl").read_text().splitlines()]
    assert {row["record"] for row in rows} == {""}  # What everyone is shown, and no more.


def test_careers_without_titles_to_ask_by_can_be_compared(
    run: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    careers = Path(sample[0].partition("=")[2]) / "careers.jsonl"
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    options = [f"--data.source={careers}", f"--out={tmp_path / 'out'}"]
    main(["compare", *models, *sample[1:], *few, *options])
    found = compared(tmp_path / "out")
    assert {one["metric"] for one in found["findings"]} == {"loss"}
    assert found["notes"]


def test_skills_can_be_named_in_a_file(
    run: Path, sample: list[str], few: list[str], tmp_path: Path
) -> None:
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    (tmp_path / "skills.txt").write_text("no such skill anywhere\n")
    skills = f"--skills={tmp_path / 'skills.txt'}"
    main(["compare", *models, *sample, *few, skills, f"--out={tmp_path / 'out'}"])
    names = [one["metric"] for one in compared(tmp_path / "out")["findings"]]
    assert "rep_4" in names
    assert not [name for name in names if name.startswith("skills")]


def test_wandb_gets_the_figures_and_both_tables(
    run: Path,
    sample: list[str],
    few: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    logged: dict[str, Any] = {}
    monkeypatch.setattr(
        "careergpt.training.logs.Wandb.log_table",
        lambda _, key, columns, data: logged.update({key: (columns, data)}),
    )
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    out = tmp_path / "out"
    main(["compare", *models, *sample, *few, "--limit=10", "--wandb=true", f"--out={out}"])
    assert list(out.glob("wandb/offline-run-*/*.wandb"))
    assert wandb.run is None
    assert set(logged) == {"compare/findings", "compare/answers"}
    for columns, rows in logged.values():
        assert rows
        assert {len(row) for row in rows} == {len(columns)}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--data.test_fraction=0"], "test split"),
        ([f"--data.columns.{name}=none" for name in ("position_title", "titles")], "has no column"),
        (["--data.columns.skills=skils"], "--data.columns.skills: no table has a column skils"),
        (["--finetuned=EMPTY"], "holds no model"),
        (["--baseline=./nowhere"], "no such model folder"),
        (["--limit=0"], "--limit must be 1 or more, found 0"),
        (["--answers=-1"], "--answers must be 0 or more, found -1"),
        (["--device=abacus"], "--device abacus"),
        (["--out=FILE"], "is no folder; name one"),
        (["--skills=nowhere.txt"], "nowhere.txt"),
        (["--data.tokenizer=gpt2"], "leave them out"),
        (["--decoding.temperature=0"], "temperature"),
        (["--embedder=./nowhere"], "nowhere"),
        (["--data.max_length=4"], "no room within data.max_length (4)"),
        (["--seed=-1"], "--seed must be 0 or more, found -1"),
        (["--finetuned=LIST"], "holds no JSON object"),
        (["--finetuned", "RUN", "RUN"], "two of them are one model"),
        (["--gate=lost<=0"], "no metric 'lost'"),
        (["--gate=mrr>=0", "--answers=0"], "mrr is not measured here"),
        (["--gate=bits_per_byte<=0"], "bits_per_byte is not measured here"),
        (["--equivalence=loss"], "is no condition"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    run: Path,
    sample: list[str],
    few: list[str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: list[str],
    said: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    shutil.copytree(run / "model", tmp_path / "list")
    (tmp_path / "list" / "careergpt.json").write_text("[]")
    named = {name.upper(): str(tmp_path / name) for name in ("empty", "file", "list")}
    named["RUN"] = str(run / "model")
    for name, path in named.items():
        options = [option.replace(name, path) for option in options]
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    out = tmp_path / "out"
    with pytest.raises(SystemExit) as left:
        main(["compare", *models, *sample, *few, f"--out={out}", *options])
    assert left.value.code == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if "error:" in line]
    assert len(errors) == 1
    assert said in errors[0]
    assert not out.exists()


def test_several_models_are_compared_with_one_baseline_and_ranked(
    results: Path, run: Path, sample: list[str], few: list[str], tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    shutil.copytree(results.parent / "start", tmp_path / "start")
    models = [f"--baseline={results.parent / 'start'}", "--finetuned", str(results.parent / "end")]
    words = [
        "compare",
        *models,
        str(tmp_path / "start"),
        *sample,
        *few,
        f"--out={tmp_path / 'out'}",
    ]
    with pytest.raises(SystemExit, match="1"):
        main([*words, "--gate=loss<=0.0,loss<=-0.001", "--equivalence=loss=0.001"])
    told = capsys.readouterr()
    [line] = told.err.splitlines()[-1:]
    assert line.startswith("the gate is shut: loss<=-0.001 does not hold for start")
    assert "rank (95 % interval)" in told.out
    found = compared(tmp_path / "out")
    assert [*found["models"]] == ["baseline", "end", "start"]
    one, other = (
        {f["metric"]: f for f in found["findings"] if f["model"] == name and not f["task"]}
        for name in ("end", "start")
    )
    before = finding(compared(results), "loss")
    assert one["loss"]["verdict"] == "better"
    assert [one["loss"][k] for k in ("difference", "low", "high", "p")] == pytest.approx(
        [before[k] for k in ("difference", "low", "high", "p")], abs=1e-5
    )
    assert one["loss"]["equivalent"] is False
    assert (other["loss"]["difference"], other["loss"]["equivalent"]) == (0, True)
    assert found["ranks"]["loss"]["end"] == {"rank": 1, "low": 1, "high": 1}
    assert found["ranks"]["loss"]["start"] == {"rank": 2, "low": 2, "high": 3}
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Ranks" in page
    assert page.count('class="side finetuned"') == 2 * page.count('class="side baseline"')


def test_a_full_disk_takes_the_files_and_not_the_verdict(
    run: Path, sample: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(comparing, "report_html", full)
    models = [f"--baseline={run / 'baseline'}", f"--finetuned={run / 'model'}"]
    words = ["compare", *models, *sample, "--answers=2", "--decoding.max_new_tokens=2"]
    with pytest.raises(SystemExit, match="2"):
        main([*words, "--device=cpu", f"--out={tmp_path / 'out'}"])
    told = capsys.readouterr()
    error = [line for line in told.err.splitlines() if line.startswith("error: ")]
    assert len(error) == 1
    assert error[0].startswith(f"error: cannot write {tmp_path / 'out'}")
    assert "loss" in told.out.casefold()
    assert list((tmp_path / "out").iterdir()) == []
