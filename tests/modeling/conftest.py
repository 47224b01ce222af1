"""Two families of tiny models, and examples of unequal lengths, for the laws of the loss."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from transformers import GPT2Config, LlamaConfig, PretrainedConfig, PreTrainedModel

from careergpt.data.batches import Scored
from careergpt.modeling.folder import build_model

VOCABULARY = 61


def gpt2_config() -> PretrainedConfig:
    sizes: dict[str, Any] = {"n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 64}
    rates = {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}
    # Wide random weights: with transformers' 0.02 attention hardly matters, and leaks would hide.
    return GPT2Config(vocab_size=VOCABULARY, initializer_range=0.3, **sizes, **rates)


def llama_config() -> PretrainedConfig:
    """Four query heads share two key heads; the head is not tied to the embedding."""
    return LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=64,
        initializer_range=0.3,
        tie_word_embeddings=False,
    )


FAMILIES: dict[str, Callable[[], PretrainedConfig]] = {"gpt2": gpt2_config, "llama": llama_config}


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> PreTrainedModel:
    """A tiny model of each family, as the package builds it."""
    torch.manual_seed(0)
    return build_model(FAMILIES[request.param](), None).eval()


@pytest.fixture
def examples() -> list[Scored]:
    """Five examples of different lengths, prompts, tasks and bytes."""
    rng = np.random.default_rng(0)
    shapes = [(9, 3), (2, 1), (17, 12), (30, 1), (6, 5)]
    return [
        Scored(rng.integers(VOCABULARY, size=length), n_prompt, place % 2, 7 * place, place)
        for place, (length, n_prompt) in enumerate(shapes)
    ]
