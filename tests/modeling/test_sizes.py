"""Sizes that no model has are refused before anything of them is allocated."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, PreTrainedTokenizerFast

from careergpt.errors import InputError
from careergpt.modeling.checks import check_folder, check_layers, check_size
from careergpt.modeling.folder import Scratch, pretrained_config, scratch_config


@pytest.fixture
def folder(tiny_gpt2: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model's folder."""
    for path in tiny_gpt2.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path


def change(folder: Path, **changed: Any) -> str:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | changed))
    return str(folder)


@pytest.mark.parametrize("layers", [10**9, 10**400, -1])
@pytest.mark.parametrize(
    "name", ["n_layer", "num_hidden_layers", "num_local_experts", "num_labels"]
)
def test_a_number_of_parts_that_no_model_has_is_refused_before_transformers_reads_it(
    name: str, layers: int, folder: Path
) -> None:
    for told in ({name: layers}, {"text_config": {name: layers}}):
        with pytest.raises(InputError, match=f"{name} is {str(layers)[:20]}: it can be 1000 at"):
            check_folder(change(folder, **told))


def test_names_that_only_sound_alike_are_no_number_of_layers() -> None:
    told = {"vocab_size_per_layer_input": 262_144, "layer_norm_eps": 1, "layers": 5000}
    check_layers(told | {"id2label": {0: "a"}, "n_layer": None}, "it")


@pytest.mark.parametrize(
    "sizes",
    [{"n_embd": 2 * 10**7}, {"n_positions": 10**9}, {"n_inner": 10**12}, {"n_layer": 900}],
)
def test_a_model_larger_than_its_weights_is_refused(
    sizes: dict[str, int], folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(InputError, match=r"describes [\d,]+ parameters, for which its weights"):
        pretrained_config(change(folder, **sizes), tokenizer)


@pytest.mark.parametrize("sizes", [{"n_head": 0}, {"n_head": 5}, {"n_positions": 10**30}])
def test_sizes_that_make_no_model_are_one_line(
    sizes: dict[str, int], folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(InputError) as refused:
        pretrained_config(change(folder, **sizes), tokenizer)
    assert str(folder) in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sizes", [{"n_embd": 4 * 10**6}, {"n_positions": 10**12}])
def test_a_model_from_scratch_that_this_machine_cannot_hold_is_refused(
    sizes: dict[str, int], tokenizer: PreTrainedTokenizerFast
) -> None:
    with pytest.raises(InputError, match=r"model.scratch: .* parameters .* this machine has"):
        scratch_config(Scratch(**sizes), tokenizer)
    with pytest.raises(InputError, match=r"model.scratch: n_layer is 1000000: it can be 1000"):
        scratch_config(Scratch(n_layer=10**6), tokenizer)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"version https://git-lfs"])
def test_weights_that_are_none_are_told_before_any_work(
    content: bytes, folder: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    (folder / "model.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"model.safetensors is damaged, or cut off"):
        pretrained_config(str(folder), tokenizer)
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no weights: there is no model.safetensors"):
        pretrained_config(str(folder), tokenizer)


def test_to_look_at_a_size_draws_no_number_and_changes_no_configuration() -> None:
    config = LlamaConfig(vocab_size=61, hidden_size=32, num_hidden_layers=2, num_attention_heads=2)
    before, state = config.to_dict(), torch.get_rng_state()
    check_size(config, "it")
    assert config.to_dict() == before
    assert torch.equal(torch.get_rng_state(), state)
