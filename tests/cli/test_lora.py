"""A fit by LoRA, end to end: small states, exact resuming, a merged model and its adapter."""

import json
import shutil
from contextlib import chdir
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from careergpt.cli import main

IDS = torch.arange(1, 41)[None]


@pytest.fixture(scope="module")
def words(quiet: list[str], sample: list[str], model: str) -> list[str]:
    """A fit of the run's model by adapters."""
    return [
        "fit", model, *quiet, *sample, "--data.batch_tokens=1024", "--trainer.max_epochs=2",
        "--trainer.log_every_n_steps=1", "--titles.limit=0", "--rankings.limit=20",
        "--samples.max_new_tokens=2", "--samples.records=0", "--checkpoints.every_n_steps=1",
        "--ckpt_path=last", "--model.lora.r=4", "--model.lora.dropout=0.1", "--model.lr=3e-2",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def tuned(words: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished run."""
    folder = tmp_path_factory.mktemp("lora") / "run"
    with chdir(folder.parent):
        main([*words, f"--trainer.default_root_dir={folder}"])
    return folder


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model.eval()(input_ids=IDS, use_cache=False).logits


def losses(run: Path, name: str = "val/loss") -> list[float]:
    rows = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [row[name] for row in rows if name in row]


def test_the_folder_is_an_ordinary_model_and_the_adapter_beside_it_gives_the_same(
    tuned: Path, run: Path
) -> None:
    first, *later = losses(tuned)
    assert min(later) < first
    merged = AutoModelForCausalLM.from_pretrained(tuned / "model")
    base = AutoModelForCausalLM.from_pretrained(run / "model")
    expected, start = logits(merged), logits(base)
    assert (expected - start).abs().max() > 1e-3
    told = json.loads((tuned / "adapter" / "adapter_config.json").read_text())
    assert told["base_model_name_or_path"] == str(run / "model")
    found = logits(PeftModel.from_pretrained(base, tuned / "adapter"))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_states_hold_adapters_and_their_optimizer_alone(tuned: Path) -> None:
    last, best = (torch.load(tuned / "checkpoints" / f"{n}.ckpt") for n in ("resume", "best"))
    assert set(last["state_dict"]) == set(best["state_dict"])
    assert all("lora_" in name for name in last["state_dict"])
    assert len(last["optimizer_states"][0]["state"]) == len(last["state_dict"])


class StopError(Exception):
    """Stands for whatever breaks."""


def test_a_run_by_adapters_goes_on_exactly(
    words: list[str], tuned: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from careergpt.training.module import CareerModule

    step, left, folder = CareerModule.training_step, [5], tmp_path / "broken"

    def breaks(self: Any, *args: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise StopError
        return step(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(CareerModule, "training_step", breaks)
        with pytest.raises(StopError):
            main([*words, f"--trainer.default_root_dir={folder}"])
    main([*words, f"--trainer.default_root_dir={folder}"])
    for name in ("train/loss", "val/loss"):
        assert losses(folder, name) == losses(tuned, name)
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        assert (folder / name).read_bytes() == (tuned / name).read_bytes()


@pytest.fixture
def base(run: Path, tmp_path: Path) -> Path:
    """The base with a weight of it changed, at another place."""
    folder = Path(shutil.copytree(run / "model", tmp_path / "base"))
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        model.base_model.wte.weight[5, 3] += 1e-3
    model.save_pretrained(folder)
    return folder


def test_a_base_that_changed_is_refused(
    words: list[str], tuned: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path(shutil.copytree(tuned, tmp_path / "copy"))
    more = [*words, f"--trainer.default_root_dir={folder}", "--trainer.max_epochs=3"]
    with pytest.raises(SystemExit, match="2"):
        main([*more, f"--model.pretrained={base}"])
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "the checkpoint is of another model" in error
    assert "what --model.pretrained holds was" in error
    path = folder / "adapter" / "adapter_config.json"
    changed = json.loads(path.read_text()) | {"base_model_name_or_path": str(base)}
    path.write_text(json.dumps(changed))
    with pytest.raises(SystemExit, match="2"):
        main(["recommend", f"--model.pretrained={folder / 'adapter'}", "--position=Nurse"])
    assert "other weights than its base has now" in capsys.readouterr().err


def test_an_adapter_recommends_and_answers_as_the_merged_model(
    tuned: Path, quiet: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "prompts.txt"
    prompts.write_text("Which skills does a nurse need?\n")
    told = []
    for name in ("model", "adapter"):
        source, out = f"--model.pretrained={tuned / name}", tmp_path / f"{name}.jsonl"
        main(["recommend", source, "--skills=sql; reporting", "--format=json"])
        told.append([capsys.readouterr().out])
        main(["predict", source, *quiet, f"--data.prompts={prompts}", f"--out={out}"])
        told[-1].append(out.read_text())
    assert told[0][1].replace("model", "") == told[1][1].replace("adapter", "")


def test_the_next_commands_work_with_the_run_s_own_configuration(
    tuned: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = f"--config={tuned / 'config.yaml'}"
    main(["validate", config, f"--model.pretrained={tuned / 'model'}"])
    merged = capsys.readouterr().out.splitlines()
    main(["validate", config, "--ckpt_path=best"])
    kept = capsys.readouterr().out.splitlines()
    assert merged[-5:] == kept[-5:]
