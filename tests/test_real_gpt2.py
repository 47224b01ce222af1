"""A model in GPT-2's own format, its vocabulary of 50,257, through every verb."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from careergpt.cli import main


@pytest.fixture
def gpt2(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """GPT-2's own configuration but for its depth and width, saved as the hub has it."""
    folder = tmp_path / "gpt2"
    config = GPT2Config(
        vocab_size=50257, n_layer=2, n_head=2, n_embd=64,
        bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    assert (config.n_positions, config.activation_function) == (1024, "gelu_new")
    GPT2LMHeadModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_gpt2_goes_through_every_verb(
    gpt2: Path, tables: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quiet = [
        "--trainer.logger=false", "--trainer.accelerator=cpu", "--data.processes=1",
        "--trainer.enable_progress_bar=false", f"--data.cache={tmp_path / 'cache'}",
    ]  # fmt: skip
    data = [f"--data.source={tables}", "--data.batch_tokens=1024"]
    run = tmp_path / "run"
    few = ["--trainer.max_steps=2", "--samples.max_new_tokens=3", "--titles.limit=4"]
    start = f"--model.pretrained={gpt2}"
    main(["fit", start, *quiet, *data, *few, f"--trainer.default_root_dir={run}"])
    settings = json.loads((run / "model" / "careergpt.json").read_text())
    assert settings["started_from"] == str(gpt2)
    assert not (run / "baseline").exists()  # Its name leads back to it.
    model = f"--model.pretrained={run / 'model'}"
    capsys.readouterr()
    main(["validate", model, *quiet, *data])
    assert "perplexity" in capsys.readouterr().out
    out = tmp_path / "out.jsonl"
    short = "--model.decoding.max_new_tokens=3"
    main(["predict", model, *quiet, *data, short, f"--out={out}"])
    assert len(out.read_text().splitlines()) > 3
    own = AutoModelForCausalLM.from_pretrained(run / "model")
    assert own.config.vocab_size == 50257
    assert own.lm_head.weight.data_ptr() == own.transformer.wte.weight.data_ptr()
