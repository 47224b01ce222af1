"""The model folder: what is refused, what survives a save, what loads without us."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoConfig,
    BertConfig,
    GPT2LMHeadModel,
    MistralConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.attention import library_attention
from careergpt.modeling.checks import check_folder
from careergpt.modeling.folder import (
    Scratch,
    build_model,
    context_of,
    pretrained_config,
    read_settings,
    save_model,
    scratch_config,
    set_dropout,
    stages_of,
    write_card,
)

IDS = torch.arange(1, 41)[None]
SETTINGS = {"tasks": {"path": {"prompt": "a {b}", "completion": "{c}", "weight": 0.5}}}


@torch.no_grad()
def logits(model: PreTrainedModel) -> torch.Tensor:
    with library_attention(model.eval()):
        return model(IDS, use_cache=False).logits


def build(folder: Path, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return build_model(pretrained_config(str(folder), tokenizer), str(folder))


def copy_of(folder: Path, target: Path, **changed: Any) -> Path:
    """A copy of a model folder, its configuration changed."""
    target.mkdir()
    for path in folder.iterdir():
        (target / path.name).write_bytes(path.read_bytes())
    config = json.loads((target / "config.json").read_text())
    (target / "config.json").write_text(json.dumps(config | changed))
    return target


@pytest.fixture
def saved(tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """The tiny model, built and saved by the package."""
    save_model(
        build(tiny_gpt2, tokenizer),
        load_tokenizer(str(tiny_gpt2)),
        tmp_path / "saved",
        settings=SETTINGS,
        decoding={"max_new_tokens": 7, "do_sample": True, "temperature": 0.5},
    )
    write_card(tmp_path / "saved", "# A card\n")
    return tmp_path / "saved"


def test_a_saved_model_gives_the_logits_that_the_library_gives(
    tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    with torch.no_grad():
        expected = GPT2LMHeadModel.from_pretrained(tiny_gpt2).eval()(IDS).logits
    # The fused activation is the same function.
    torch.testing.assert_close(logits(build(tiny_gpt2, tokenizer)), expected, rtol=1e-5, atol=1e-6)


def test_saving_and_loading_changes_nothing(
    saved: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    again = build(saved, load_tokenizer(str(saved)))
    assert torch.equal(logits(again), logits(build(tiny_gpt2, tokenizer)))
    assert SETTINGS.items() <= read_settings(str(saved)).items()
    assert (saved / "README.md").read_text() == "# A card\n"
    text = "A nurse's “work” – naïve\n* 日本 🚑 <|endoftext|>"
    assert load_tokenizer(str(saved))(text).input_ids == tokenizer(text).input_ids


def test_the_folder_names_no_attention_of_ours(saved: Path) -> None:
    for path in saved.glob("*.json"):
        assert "careergpt_segments" not in path.read_text()
    assert not [
        key for key in json.loads((saved / "config.json").read_text()) if "attn_impl" in key
    ]


def test_generation_defaults_are_saved(saved: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    defaults = json.loads((saved / "generation_config.json").read_text())
    assert defaults["eos_token_id"] == defaults["pad_token_id"] == tokenizer.eos_token_id
    assert (defaults["max_new_tokens"], defaults["temperature"]) == (7, 0.5)


def test_the_tokenizer_is_saved_with_the_model_s_context(saved: Path) -> None:
    assert json.loads((saved / "tokenizer_config.json").read_text())["model_max_length"] == 128


ALONE = """
import json, sys
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, pipeline
folder, out = sys.argv[1:]
model = AutoModelForCausalLM.from_pretrained(folder).eval()
with torch.no_grad():
    torch.save(model(torch.arange(1, 41)[None]).logits, out)
write = pipeline("text-generation", folder)
answer = write("Which skills does a Nurse need?", max_new_tokens=5, do_sample=False)
ids = AutoTokenizer.from_pretrained(folder)("Which skills does a Nurse need?").input_ids
ours = [name for name in sys.modules if name.startswith("careergpt")]
print(json.dumps([answer[0]["generated_text"], ids, ours]))
"""


def test_the_folder_loads_in_transformers_alone(
    saved: Path, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    out = tmp_path / "logits.pt"
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(saved), str(out)],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        timeout=120,
    )
    text, ids, ours = json.loads(done.stdout.splitlines()[-1])
    assert ours == []
    assert text.startswith("Which skills does a Nurse need?")
    assert ids == tokenizer("Which skills does a Nurse need?").input_ids
    expected = logits(build(saved, tokenizer))
    torch.testing.assert_close(torch.load(out), expected, rtol=1e-5, atol=1e-6)


def test_a_bf16_checkpoint_loads_as_fp32(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    GPT2LMHeadModel.from_pretrained(tiny_gpt2, dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["dtype"] == "bfloat16"
    model = build(tmp_path, tokenizer)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert logits(model).dtype == torch.float32


def test_random_weights_are_fp32_and_follow_the_seed(tokenizer: PreTrainedTokenizerFast) -> None:
    models = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        config = scratch_config(Scratch(n_layer=1, n_embd=16, n_positions=64), tokenizer)
        models.append(build_model(config, None))
    assert {p.dtype for p in models[0].parameters()} == {torch.float32}
    assert torch.equal(logits(models[0]), logits(models[1]))
    assert not torch.equal(logits(models[0]), logits(models[2]))


def test_missing_weights_are_refused(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "holed")
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lacks weights \(transformer.h.1.mlp.c_fc.weight\)"):
        build(folder, tokenizer)


def test_truncated_weights_are_refused(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "short")
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"model.safetensors is damaged, or cut off"):
        build(folder, tokenizer)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "model._orig_mod."])
def test_weights_of_a_wrapped_model_are_refused_with_the_cure(
    prefix: str, tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "wrapped")
    weights = load_file(folder / "model.safetensors")
    named = {prefix + name: weight for name, weight in weights.items()}
    save_file(named, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=f"names begin with '{prefix}'.*remove that from each"):
        build(folder, tokenizer)


def swap_ids(tokenizer: dict[str, Any]) -> None:
    ids = tokenizer["model"]["vocab"]
    one, other = list(ids)[-2:]
    ids[one], ids[other] = ids[other], ids[one]


EDITS: dict[str, Callable[[dict[str, Any]], Any]] = {
    "ids": swap_ids,
    "merges": lambda told: told["model"]["merges"].insert(0, told["model"]["merges"].pop()),
    "a normalizer": lambda told: told.update(normalizer={"type": "Lowercase"}),
    "another split": lambda told: told["pre_tokenizer"].update(add_prefix_space=True),
}


@pytest.mark.parametrize("edit", EDITS)
def test_a_tokenizer_with_other_tokens_for_the_same_ids_is_refused(
    edit: str, saved: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    pretrained_config(str(saved), tokenizer)
    edited = json.loads((saved / "tokenizer.json").read_text())
    EDITS[edit](edited)
    (saved / "tokenizer.json").write_text(json.dumps(edited))
    with pytest.raises(InputError, match="was taught with another tokenizer"):
        pretrained_config(str(saved), load_tokenizer(str(saved)))


def test_sharded_weights_load_and_a_lost_shard_is_refused(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2)
    model.save_pretrained(tmp_path, max_shard_size="40KB")
    shards = sorted(tmp_path.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert torch.equal(logits(build(tmp_path, tokenizer)), logits(build(tiny_gpt2, tokenizer)))
    shards[1].unlink()
    with pytest.raises(InputError, match=f"lacks {shards[1].name}, which model.safetensors.index"):
        build(tmp_path, tokenizer)
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(InputError, match=r"index.json names no weights"):
        build(tmp_path, tokenizer)


def test_tokens_that_were_added_to_the_tokenizer_alone_are_refused_with_the_cure(
    tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    more = load_tokenizer(str(tiny_gpt2))
    more.add_special_tokens({"pad_token": "[PAD]"})
    told = f"has {len(more)} tokens, its model {len(tokenizer)}.*resize_token_embeddings"
    with pytest.raises(InputError, match=told):
        pretrained_config(str(tiny_gpt2), more)


def test_weights_of_another_shape_are_refused(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "wide", n_embd=64)
    with pytest.raises(InputError, match="wide"):
        build(folder, tokenizer)


def test_weights_that_are_larger_than_the_config_says_are_refused_with_the_cure(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "short", n_positions=64)
    with pytest.raises(InputError, match=r"not of the sizes that its config.json says: take all"):
        build(folder, tokenizer)


@pytest.mark.parametrize("length", ["x", -3, 1.5])
def test_a_window_that_is_no_length_is_refused(
    length: object, tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "window", sliding_window=length)
    with pytest.raises(InputError, match=f"sliding_window is '{length}': it is a number of tokens"):
        pretrained_config(str(folder), tokenizer)


def test_a_tokenizer_larger_than_the_vocabulary_is_refused(
    tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    folder = copy_of(tiny_gpt2, tmp_path / "small", vocab_size=100)
    with pytest.raises(InputError, match=f"has {len(tokenizer)} tokens and .* its model 100 "):
        pretrained_config(str(folder), tokenizer)


def test_a_vocabulary_padded_beyond_the_tokenizer_is_accepted(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config = scratch_config(Scratch(n_layer=1, n_embd=16, n_positions=64), tokenizer)
    config.vocab_size = len(tokenizer) + 48
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    assert logits(build(tmp_path, tokenizer)).shape[-1] == len(tokenizer) + 48


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"holds no model.*found: nothing"):
        check_folder(str(tmp_path))
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match=r"no config.json in it \(found: notes.txt\)"):
        check_folder(str(tmp_path))
    with pytest.raises(InputError, match="no such model folder"):
        check_folder(str(tmp_path / "nowhere"))


def test_a_model_that_writes_no_text_is_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(InputError, match="holds a vit, which writes no text"):
        pretrained_config(str(tmp_path), tokenizer)


def test_a_model_that_reads_both_ways_is_refused(
    tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    """BERT has a causal head in the library, but a checkpoint of BERT attends to the future."""
    from transformers import BertForMaskedLM

    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
    )
    BertForMaskedLM(config).save_pretrained(tmp_path)
    with pytest.raises(InputError):
        build(tmp_path, tokenizer)


def test_a_broken_config_is_refused(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(InputError, match="no model can be loaded"):
        pretrained_config(str(tmp_path), tokenizer)


def test_a_broken_careergpt_json_is_refused(tmp_path: Path) -> None:
    assert read_settings(str(tmp_path)) == {}
    (tmp_path / "careergpt.json").write_text("{")
    with pytest.raises(InputError, match="is not JSON"):
        read_settings(str(tmp_path))
    for name in ("tasks", "separators", "decoding"):
        (tmp_path / "careergpt.json").write_text(json.dumps({name: 5}))
        with pytest.raises(InputError, match=f"its {name} is no object"):
            read_settings(str(tmp_path))


@pytest.mark.parametrize("told", [5, [5], [{"val_fraction": None}]])
def test_stages_that_are_none_are_refused(told: object) -> None:
    with pytest.raises(InputError, match="its trained_on is no list of stages"):
        stages_of({"trained_on": told})


@pytest.mark.parametrize("name", ["n_layer", "n_head", "n_embd", "n_positions"])
def test_sizes_of_zero_are_refused(name: str, tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(InputError, match="1 or more"):
        scratch_config(Scratch(**{name: 0}), tokenizer)


def test_a_width_that_heads_do_not_divide_is_refused(tokenizer: PreTrainedTokenizerFast) -> None:
    with pytest.raises(InputError, match=r"n_embd \(30\) must be a multiple of n_head \(4\)"):
        scratch_config(Scratch(n_embd=30), tokenizer)


def test_dropout_is_what_was_asked_in_any_family(tiny_gpt2: Path) -> None:
    gpt2, mistral = AutoConfig.from_pretrained(tiny_gpt2), MistralConfig()
    for config in (gpt2, mistral):
        set_dropout(config, 0.25, 0.125)
    assert (gpt2.resid_pdrop, gpt2.embd_pdrop, gpt2.attn_pdrop) == (0.25, 0.25, 0.125)
    assert mistral.attention_dropout == 0.125


def test_the_context_is_the_configuration_s(tiny_gpt2: Path) -> None:
    assert context_of(AutoConfig.from_pretrained(tiny_gpt2)) == 128


def test_no_example_may_outgrow_a_sliding_window() -> None:
    config = MistralConfig(max_position_embeddings=512, sliding_window=64)
    assert context_of(config) == 64
