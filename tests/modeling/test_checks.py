"""A model that our loss or our packing does not fit is refused before any work."""

from pathlib import Path

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma3TextConfig,
    GPT2LMHeadModel,
    GPTNeoConfig,
    MistralConfig,
    PhiConfig,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from careergpt.data.batches import TokenBatch
from careergpt.errors import InputError
from careergpt.modeling import checks
from careergpt.modeling.checks import check_model
from careergpt.modeling.folder import pretrained_config
from careergpt.modeling.loss import hidden_states


def made(config: PretrainedConfig) -> PreTrainedModel:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config, attn_implementation="sdpa")


def gemma3(softcap: float | None) -> PretrainedConfig:
    return Gemma3TextConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=16,
        initializer_range=0.3,
        final_logit_softcapping=softcap,
        query_pre_attn_scalar=16,
    )


def test_a_plain_model_is_accepted_and_left_as_it_was(model: PreTrainedModel) -> None:
    before = [parameter.clone() for parameter in model.parameters()]
    for training in (True, False):
        model.train(training)
        check_model(model, "it")
        assert model.training == training
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


def test_a_check_draws_no_random_number(model: PreTrainedModel) -> None:
    state = torch.get_rng_state()
    check_model(model, "it")
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_no_numbers_are_named(model: PreTrainedModel, value: float) -> None:
    name, weight = list(model.named_parameters())[-1]
    weight.data.view(-1)[0] = value
    with pytest.raises(InputError, match=f"it: {name} is not finite everywhere: its training"):
        check_model(model, "it")


def test_a_softcap_on_the_logits_is_refused() -> None:
    with pytest.raises(InputError, match="linear map"):
        check_model(made(gemma3(5.0)), "it")


def test_the_same_model_without_the_softcap_is_accepted() -> None:
    check_model(made(gemma3(None)), "it")


def test_a_bias_on_the_logits_is_refused() -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
    model = made(PhiConfig(vocab_size=61, num_attention_heads=2, **sizes))
    check_model(model, "it")  # It starts at 0.
    torch.nn.init.normal_(model.lm_head.bias)
    with pytest.raises(InputError, match="it: "):
        check_model(model, "it")


def test_a_head_that_bends_is_refused(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    head = model.get_output_embeddings()
    straight = head.forward
    monkeypatch.setattr(head, "forward", lambda hidden: straight(hidden).tanh())
    with pytest.raises(InputError, match="it: "):
        check_model(model, "it")


def test_a_scaled_head_is_refused(model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch) -> None:
    head = model.get_output_embeddings()
    straight = head.forward
    monkeypatch.setattr(head, "forward", lambda hidden: straight(hidden) / 8)
    with pytest.raises(InputError, match="it: "):
        check_model(model, "it")


def test_positions_that_run_on_through_a_row_are_refused(
    model: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def running_on(model: PreTrainedModel, batch: TokenBatch) -> torch.Tensor:
        width = batch.input_ids.shape[1]
        return hidden_states(model, batch._replace(position_ids=torch.arange(width)[None]))

    monkeypatch.setattr(checks, "hidden_states", running_on)
    if isinstance(model, GPT2LMHeadModel):  # Llama's positions are relative: it may run on.
        with pytest.raises(InputError, match="apart"):
            check_model(model, "it")
    else:
        check_model(model, "it")


BLOOM = BloomConfig(hidden_size=32, n_layer=1, n_head=2)
NEO = GPTNeoConfig(
    hidden_size=32, num_layers=2, num_heads=2, attention_types=[[["global", "local"], 1]]
)


@pytest.mark.parametrize("config", [BLOOM, NEO], ids=lambda config: config.model_type)
def test_a_family_whose_attention_is_its_own_is_refused_before_its_weights_are_read(
    config: PretrainedConfig, tmp_path: Path, tokenizer: PreTrainedTokenizerFast
) -> None:
    config.vocab_size, config.eos_token_id = len(tokenizer), tokenizer.eos_token_id
    config.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=r"ForCausalLM does not support .* as in GPT-2"):
        pretrained_config(str(tmp_path), tokenizer)


def test_a_window_of_a_few_tokens_is_refused() -> None:
    config = MistralConfig(
        vocab_size=61,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        sliding_window=4,
    )
    with pytest.raises(InputError, match="sliding window 4"):
        check_model(made(config), "it")


def test_a_refusal_is_one_line() -> None:
    with pytest.raises(InputError) as caught:
        check_model(made(gemma3(5.0)), "some/folder")
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("some/folder: Gemma3ForCausalLM")
