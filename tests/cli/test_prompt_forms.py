"""A prompt form of a fit is that of its model folder: whoever asks the model follows it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import careergpt
from careergpt.cli import main
from careergpt.compare import compare as comparing
from careergpt.compare.answers import answer
from careergpt.modeling.folder import read_settings

PROMPT = "Which skills does a welder need?"


def answers(model: Path, *words: str, out: Path) -> list[dict[str, Any]]:
    """What predict answers greedily, whatever the form in a configuration."""
    prompts = out.with_suffix(".txt")
    prompts.write_text(f"{PROMPT}\n")
    main([
        "predict", f"--model.pretrained={model}", f"--data.prompts={prompts}", f"--out={out}",
        "--model.decoding.greedy=true", *words,
    ])  # fmt: skip
    return [json.loads(line) for line in out.read_text().splitlines()]


@pytest.fixture(scope="module")
def newline(tmp_path_factory: pytest.TempPathFactory, short: list[str], quiet: list[str]) -> Path:
    """The folder of a model that was taught with a line feed after each prompt."""
    run = tmp_path_factory.mktemp("runs") / "newline"
    main([
        "fit", *short, "--data.prompt_form=newline", "--model.decoding.max_new_tokens=8",
        "--model.decoding.no_repeat_ngram_size=3", "--model.decoding.stop=[zzz]",
        f"--trainer.default_root_dir={run}",
    ])  # fmt: skip
    return run / "model"


def test_the_folder_keeps_the_form_and_the_decoding(newline: Path) -> None:
    told = read_settings(str(newline))
    assert told["prompt_form"] == "newline"
    assert told["decoding"]["no_repeat_ngram_size"] == 3
    defaults = json.loads((newline / "generation_config.json").read_text())
    assert defaults["no_repeat_ngram_size"] == 3
    assert defaults["stop_strings"] == told["decoding"]["stop"] == ["zzz"]


def test_predict_and_the_api_ask_in_the_folder_s_form(
    newline: Path, quiet: list[str], tmp_path: Path
) -> None:
    [found] = answers(newline, *quiet, out=tmp_path / "own.jsonl")
    [told] = answers(newline, *quiet, "--data.prompt_form=plain", out=tmp_path / "plain.jsonl")
    [api] = careergpt.load(newline, device="cpu").generate([PROMPT], greedy=True)
    assert found["log_probability"] == pytest.approx(api.log_probability, abs=1e-3)
    assert found["log_probability"] != pytest.approx(told["log_probability"], abs=1e-3)
    assert found["prompt"] == PROMPT
    assert 0 < found["n_tokens"] <= 8  # As the folder says.
    # A folder that says nothing reads prompts as they are, whatever a configuration says.
    older = tmp_path / "older"
    shutil.copytree(newline, older)
    settings = json.loads((older / "careergpt.json").read_text())
    del settings["prompt_form"]
    (older / "careergpt.json").write_text(json.dumps(settings))
    (tmp_path / "c.yaml").write_text("data: {prompt_form: newline}")
    [plain] = answers(older, *quiet, f"--config={tmp_path / 'c.yaml'}", out=tmp_path / "old.jsonl")
    assert plain["log_probability"] == pytest.approx(told["log_probability"], abs=1e-3)


def test_compare_asks_both_in_the_fine_tuned_folder_s_form_and_tells_of_silence(
    newline: Path, run: Path, sample: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def watched(*arguments: Any) -> Any:
        table = answer(*arguments)
        asked.append(arguments[-1])
        silent = ["" if m == "baseline" else t for m, t in zip(table["model"].to_pylist(),
                  table["text"].to_pylist(), strict=True)]  # fmt: skip
        place = table.column_names.index("text")
        return table.set_column(place, table.schema.field("text"), [silent])

    monkeypatch.setattr(comparing, "answer", watched)
    main([
        "compare", f"--baseline={run / 'baseline'}", f"--finetuned={newline}", *sample,
        "--answers=4", "--limit=20", "--device=cpu", f"--out={tmp_path / 'out'}",
    ])  # fmt: skip
    assert asked == ["newline"]
    found = json.loads((tmp_path / "out" / "comparison.json").read_text())
    [note] = [note for note in found["notes"] if "are empty" in note]
    assert note.startswith("4 of 4 answers of the baseline model are empty")
    assert {one["metric"] for one in found["findings"]}.isdisjoint({"rouge_l", "mrr", "rep_4"})
    assert found["described"] == {}
    first = (tmp_path / "out" / "answers.jsonl").read_text().splitlines()
    assert len(first) == 2 * (4 + 3)
