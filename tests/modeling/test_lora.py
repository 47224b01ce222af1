"""Laws of LoRA: what it adds, what a state holds of it, what is left when it is merged."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.batches import Scored, collate
from careergpt.errors import InputError
from careergpt.modeling.attention import library_attention
from careergpt.modeling.checks import base_of, check_folder
from careergpt.modeling.folder import Scratch, build_model, pretrained_config, scratch_config
from careergpt.modeling.lora import (
    LoRA,
    add_adapters,
    merge,
    merge_adapter,
    save_adapters,
    weights_digest,
)
from careergpt.modeling.loss import completion_loss, hidden_states

KINDS = [LoRA(r=4), LoRA(r=4, use_dora=True), LoRA(r=9, alpha=3, use_rslora=True)]
IDS = torch.arange(1, 41)[None]


def nats(model: PreTrainedModel, rows: list[list[Scored]]) -> torch.Tensor:
    batch = collate(rows)
    head = model.get_output_embeddings().weight
    return completion_loss(hidden_states(model, batch), batch, head).nats


def moved(model: PreTrainedModel) -> PreTrainedModel:
    """As if its adapters had learned."""
    chance = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.add_(0.1 * torch.randn(weight.shape, generator=chance))
    return model


def adapted(model: PreTrainedModel, lora: LoRA = KINDS[0]) -> PreTrainedModel:
    add_adapters(model, lora, "base")
    return moved(model)


@torch.no_grad()
def logits(model: torch.nn.Module) -> torch.Tensor:
    return model.eval()(input_ids=IDS, use_cache=False).logits


@pytest.mark.parametrize("lora", KINDS, ids=["plain", "dora", "rslora"])
def test_adapters_begin_as_nothing_and_merged_ones_are_the_weights(
    model: PreTrainedModel, lora: LoRA, examples: list[Scored]
) -> None:
    start, names = nats(model, [examples]), list(model.state_dict())
    add_adapters(model, lora, "base")
    torch.testing.assert_close(nats(model, [examples]), start, rtol=1e-5, atol=1e-4)
    learned = nats(moved(model), [examples])
    assert (learned - start).abs() > 0.1
    merge(model)
    assert list(model.state_dict()) == names
    assert all(weight.requires_grad for weight in model.parameters())
    torch.testing.assert_close(nats(model, [examples]), learned, rtol=1e-5, atol=1e-4)


def test_packed_examples_beside_adapters_cost_what_they_cost_alone(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    adapted(model)
    alone = torch.stack([nats(model, [[example]]) for example in examples]).sum()
    torch.testing.assert_close(nats(model, [examples]), alone, rtol=0, atol=1e-4)
    torch.testing.assert_close(nats(model, [[e] for e in examples]), alone, rtol=0, atol=1e-4)


def test_every_linear_layer_but_the_head_is_adapted(model: PreTrainedModel) -> None:
    linear = sum(
        type(part).__name__ in ("Linear", "Conv1D")
        for part in model.modules()
        if part is not model.get_output_embeddings()
    )
    add_adapters(model, LoRA(), "base")
    trained = [name for name, weight in model.named_parameters() if weight.requires_grad]
    assert len(trained) == 2 * linear
    assert all("lora_" in name for name in trained)


def test_a_state_holds_adapters_alone_and_no_fewer(model: PreTrainedModel) -> None:
    before = hidden_of(model)
    state = {name: value.clone() for name, value in adapted(model).state_dict().items()}
    assert set(state) == {name for name, weight in model.named_parameters() if weight.requires_grad}
    expected = hidden_of(model)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.add_(1.0 if "lora_" in name else 0.0)
    assert not torch.equal(hidden_of(model), expected)
    model.load_state_dict(state)
    assert torch.equal(hidden_of(model), expected)
    assert not torch.equal(before, expected)
    state.popitem()
    with pytest.raises(RuntimeError, match="Missing key"):
        model.load_state_dict(state)


@torch.no_grad()
def hidden_of(model: PreTrainedModel) -> torch.Tensor:
    with library_attention(model):
        return model.base_model(IDS, use_cache=False).last_hidden_state


@pytest.mark.parametrize(
    ("targets", "told"),
    [(["nowhere"], "nowhere"), (["lm_head"], "cannot be adapted"), (["wte", "embed_tokens"], "")],
)
def test_layers_that_cannot_be_adapted_are_refused(
    model: PreTrainedModel, targets: list[str], told: str
) -> None:
    with pytest.raises(InputError, match=f"model.lora.*{told}"):
        add_adapters(model, LoRA(targets=targets), "base")


@pytest.mark.parametrize("odd", [{"r": 0}, {"alpha": 0}, {"dropout": 1.0}])
def test_values_that_no_adapter_has_are_refused(odd: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"model\.lora"):
        LoRA(**odd)


def build(source: Path | str, tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return build_model(pretrained_config(str(source), tokenizer), str(source))


@pytest.fixture
def adapter(tmp_path: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast) -> Path:
    """A folder with an adapter of the tiny GPT-2."""
    model = build(tiny_gpt2, tokenizer)
    add_adapters(model, LoRA(r=4), str(tiny_gpt2))
    save_adapters(moved(model), tmp_path / "adapter")
    return tmp_path / "adapter"


def test_an_adapter_folder_loads_as_peft_loads_it(
    adapter: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    base = AutoModelForCausalLM.from_pretrained(tiny_gpt2)
    expected = logits(PeftModel.from_pretrained(base, adapter))
    ours = build(adapter, tokenizer)
    with library_attention(ours):
        found = logits(ours)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert (expected - logits(AutoModelForCausalLM.from_pretrained(tiny_gpt2))).abs().max() > 0.01
    size = (adapter / "adapter_model.safetensors").stat().st_size
    assert size < (tiny_gpt2 / "model.safetensors").stat().st_size / 10


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"base_model_name_or_path": "/no/such/base"}, "no such model folder: /no/such/base"),
        ({"base_model_name_or_path": None}, "names no whole model: None"),
        ({"peft_type": "IA3"}, r"no plain LoRA \(IA3\)"),
        ({"modules_to_save": ["lm_head"]}, r"no plain LoRA \(modules_to_save\)"),
        ({"bias": "all"}, r"no plain LoRA \(bias\)"),
    ],
)
def test_an_adapter_that_cannot_be_merged_is_refused(
    adapter: Path, changed: dict[str, Any], told: str
) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changed))
    with pytest.raises(InputError, match=told):
        check_folder(str(adapter))


def test_an_adapter_without_its_weights_is_refused(adapter: Path) -> None:
    check_folder(str(adapter))
    (adapter / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match="holds no weights"):
        base_of(str(adapter))


@pytest.mark.parametrize("sizes", [{"n_layer": 1}, {"n_embd": 16}])
def test_an_adapter_of_a_model_of_other_sizes_is_refused(
    adapter: Path, sizes: dict[str, int], tokenizer: PreTrainedTokenizerFast
) -> None:
    own = {"n_layer": 2, "n_head": 2, "n_embd": 32}
    other = build_model(scratch_config(Scratch(**{**own, **sizes}), tokenizer), None)
    with pytest.raises(InputError, match="its adapter does not fit its base"):
        merge_adapter(other, str(adapter), None)


def test_an_adapter_beside_other_weights_than_its_base_had_is_refused(
    adapter: Path, tiny_gpt2: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    base = build(tiny_gpt2, tokenizer)
    digest = weights_digest(base)
    with torch.no_grad():
        base.base_model.wte.weight[3, 5] += 1e-6
    with pytest.raises(InputError, match="trained beside other weights than its base has now"):
        merge_adapter(base, str(adapter), digest)
