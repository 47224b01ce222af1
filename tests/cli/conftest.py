"""One small run, made once, and the words that make another."""

import csv
import json
from contextlib import chdir
from itertools import islice
from pathlib import Path

import gguf
import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from careergpt.cli import main

ROOT = Path(__file__).parents[2]
HEADS, KEY_HEADS = 4, 2
SIZES = {"n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 128}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every command runs in an empty folder, where what it leaves behind is seen."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="session")
def scratch() -> list[str]:
    """The options of a model that trains in a second."""
    sizes = [f"--model.scratch.{name}={size}" for name, size in SIZES.items()]
    return [*sizes, f"--model.scratch.tokenizer={ROOT / 'data' / 'tokenizer'}"]


@pytest.fixture(scope="session")
def quiet() -> list[str]:
    """No account, no bar, no other device than the processor."""
    return [
        "--trainer.logger=false",
        "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false",
        "--trainer.enable_model_summary=false",
    ]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options of a table: the first rows of the embedded sample."""
    folder = tmp_path_factory.mktemp("sample")
    with (ROOT / "data" / "postings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(islice(csv.reader(file), 121))
    with (folder / "postings.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    careers = (ROOT / "data" / "careers.jsonl").read_text(encoding="utf-8").splitlines(True)
    (folder / "careers.jsonl").write_text("".join(careers[:60]), encoding="utf-8")
    options = [f"--data.source={folder}", f"--data.cache={folder / 'cache'}"]
    return [*options, "--data.processes=1", "--data.min_count=5"]


@pytest.fixture(scope="session")
def short(scratch: list[str], quiet: list[str], sample: list[str]) -> list[str]:
    """The options of a fit that takes a few seconds."""
    return [
        *scratch, *quiet, *sample, "--data.batch_tokens=1024", "--trainer.max_epochs=1",
        "--trainer.log_every_n_steps=2", "--samples.max_new_tokens=4", "--titles.limit=20",
    ]  # fmt: skip


@pytest.fixture(scope="session")
def brief(short: list[str]) -> list[str]:
    """The options of a fit that measures nothing of its finished model."""
    return [*short, "--titles.limit=0", "--rankings.limit=0"]


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, short: list[str]) -> Path:
    """The folder of a finished run; tests read it and write elsewhere."""
    folder = tmp_path_factory.mktemp("runs") / "short"
    with chdir(tmp_path_factory.mktemp("started-in")):
        main(["fit", *short, f"--trainer.default_root_dir={folder}"])
    return folder


@pytest.fixture(scope="session")
def model(run: Path) -> str:
    """The option that names the run's model."""
    return f"--model.pretrained={run / 'model'}"


@pytest.fixture(scope="session")
def llama(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A tiny Llama with the sample's tokens, of which every weight is its own."""
    end = tokenizer.eos_token_id
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=HEADS, num_key_value_heads=KEY_HEADS, max_position_embeddings=128,
        initializer_range=0.2, tie_word_embeddings=True, bos_token_id=end, eos_token_id=end,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    for name, weight in model.named_parameters():
        if "norm" in name:
            torch.nn.init.uniform_(weight, 0.5, 1.5)
    return model


NAMES = {
    "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
}  # fmt: skip


@pytest.fixture(scope="session")
def llama_file(
    tmp_path_factory: pytest.TempPathFactory,
    llama: LlamaForCausalLM,
    tokenizer: PreTrainedTokenizerFast,
) -> Path:
    """The model as llama.cpp's own converter would write it, in fp32."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    config, tokens = llama.config, json.loads(tokenizer.backend_tokenizer.to_str())["model"]
    writer.add_name("Tiny")
    writer.add_license("cc0-1.0")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_rope_dimension_count(config.hidden_size // HEADS)
    writer.add_vocab_size(config.vocab_size)
    ids = sorted(tokenizer.get_vocab().items(), key=lambda item: item[1])
    end = tokenizer.eos_token_id
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list([name for name, _ in ids])
    writer.add_token_types([3 if id == end else 1 for _, id in ids])
    writer.add_token_merges([" ".join(pair) for pair in tokens["merges"]])
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_add_bos_token(False)
    state = {name: weight.numpy() for name, weight in llama.state_dict().items()}
    writer.add_tensor("token_embd.weight", state["model.embed_tokens.weight"])
    writer.add_tensor("output_norm.weight", state["model.norm.weight"])
    for layer in range(config.num_hidden_layers):
        for name, short in NAMES.items():
            weight = state[f"model.layers.{layer}.{name}.weight"]
            if short in ("attn_q", "attn_k"):
                weight = interleaved(weight, HEADS if short == "attn_q" else KEY_HEADS)
            writer.add_tensor(f"blk.{layer}.{short}.weight", weight)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def interleaved(weight: np.ndarray, heads: int) -> np.ndarray:
    """As llama.cpp rotates: the halves of each head side by side."""
    rows, columns = weight.shape
    halves = weight.reshape(heads, 2, rows // heads // 2, columns)
    return np.ascontiguousarray(halves.swapaxes(1, 2).reshape(rows, columns))
