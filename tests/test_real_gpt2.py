"""A model in GPT-2's own format, its vocabulary of 50,257, through every verb."""

import json
from pathlib import Path

import pytest
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from careergpt.cli import main
from careergpt.data.tokens import load_tokenizer


@pytest.fixture
def gpt2(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """GPT-2's own files but for its depth and width: vocab.json, merges.txt, 50,257 tokens.

    The sample's tokens come first, then names that no text has, and the end of text is the last.
    """
    folder = tmp_path / "gpt2"
    config = GPT2Config(n_layer=2, n_head=2, n_embd=32)
    assert (config.vocab_size, config.n_positions, config.eos_token_id) == (50257, 1024, 50256)
    assert config.activation_function == "gelu_new"
    GPT2LMHeadModel(config).save_pretrained(folder)
    model = json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    names = [name for name in model["vocab"] if name != tokenizer.eos_token]
    names += [f"unused {n}" for n in range(50256 - len(names))]
    vocabulary = {name: n for n, name in enumerate([*names, "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    merges = [" ".join(pair) if isinstance(pair, list) else pair for pair in model["merges"]]
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return folder


def test_its_tokens_are_those_that_the_merges_make(
    gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    own, text = load_tokenizer(str(gpt2)), " Registered nurse, wound care"
    assert own.convert_ids_to_tokens(own(text).input_ids) == tokenizer.tokenize(text)
    assert (len(own), own.eos_token_id) == (50257, 50256)


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
    few += ["--rankings.limit=8"]
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
    main(["export", model, "--format=ctranslate2", f"--out={tmp_path / 'export'}", "--limit=1"])
    own = AutoModelForCausalLM.from_pretrained(run / "model")
    assert own.config.vocab_size == 50257
    assert own.lm_head.weight.data_ptr() == own.transformer.wte.weight.data_ptr()
