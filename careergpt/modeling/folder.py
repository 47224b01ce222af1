"""The model folder: Hugging Face's files, with our tasks and decoding beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, get_args

import torch
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    GenerationConfig,
    GPT2Config,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
from transformers.utils import logging

from careergpt.data.tasks import PromptForm
from careergpt.data.tokens import token_digests
from careergpt.data.whole_files import whole, whole_files, write_json
from careergpt.errors import InputError
from careergpt.modeling.attention import SEGMENTS
from careergpt.modeling.checks import (
    base_of,
    check_loaded,
    check_model,
    check_size,
    check_vocabulary,
    read_object,
)
from careergpt.modeling.lora import BASE, merge_adapter

SETTINGS = "careergpt.json"
CARD = "README.md"

FORM = "prompt_form"
"""Where careergpt.json says how the model reads prompts."""

TAUGHT_DATA = ("tasks", "separators", FORM)
"""What careergpt.json says of the data that the model was taught with, as options of the data."""

RANDOM = "random"
"""What careergpt.json says of the weights of a model that was never trained."""


@dataclass(frozen=True)
class Scratch:
    """A GPT-2 to train from random weights, by its sizes.

    Args:
        n_layer: Blocks.
        n_head: Attention heads in each.
        n_embd: Width of the hidden states.
        n_positions: Longest input in tokens.
        tokenizer: Folder or hub name of the tokenizer.
        vocabulary: Train a tokenizer of so many tokens on the training split instead; the run's
            folder keeps it.
    """

    n_layer: int = 4
    n_head: int = 4
    n_embd: int = 128
    n_positions: int = 256
    tokenizer: str = "data/tokenizer"
    vocabulary: int | None = None


def scratch_config(scratch: Scratch, tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    """The configuration of a GPT-2 of these sizes for this tokenizer."""
    sizes = asdict(scratch)
    del sizes["tokenizer"], sizes["vocabulary"]
    if min(sizes.values()) < 1:
        raise InputError(f"model.scratch: every size must be 1 or more, found {scratch}")
    if scratch.n_embd % scratch.n_head:
        raise InputError(
            f"model.scratch.n_embd ({scratch.n_embd}) must be a multiple of n_head "
            f"({scratch.n_head})"
        )
    end = tokenizer.eos_token_id
    config = GPT2Config(vocab_size=len(tokenizer), bos_token_id=end, eos_token_id=end, **sizes)
    check_size(config, "model.scratch")
    return config


def pretrained_config(source: str, tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    """The configuration of a saved model.

    Raises:
        InputError: There is no causal language model, its weights are not of its sizes, or its
            vocabulary is not the tokenizer's.
    """
    base = base_of(source)
    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(base, trust_remote_code=False)
    except Exception as error:  # OSError, ValueError, its own kind for a wrong value …
        raise _no_model(source, error) from None
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"{source} holds a {config.model_type}, which writes no text; give a GPT-2"
        )
    for name in ("max_position_embeddings", "sliding_window"):
        if not isinstance(length := getattr(config, name, None) or 0, int) or length < 0:
            raise InputError(f"{source}: {name} is {str(length)[:20]!r}: it is a number of tokens")
    check_vocabulary(source, config, tokenizer)
    # Of what was saved by others, or by earlier versions, some or none is told.
    told = read_settings(source)
    digests = token_digests(tokenizer) if told else {}
    if any(told.get(name, digest) != digest for name, digest in digests.items()):
        raise InputError(
            f"{source}: its model was taught with another tokenizer than the one beside it: copy "
            "tokenizer.json from where the model was saved"
        )
    check_size(config, base)
    return config


def context_of(config: PretrainedConfig) -> int:
    """The longest input in tokens that the model reads, all of it at once."""
    positions = int(getattr(config, "max_position_embeddings", 0) or 1024)
    # Attention by segment knows no window: no example may be longer than one.
    return min(positions, getattr(config, "sliding_window", None) or positions)


def set_dropout(config: PretrainedConfig, dropout: float, attention_dropout: float) -> None:
    """Writes our two rates into whichever of the library's names this configuration has."""
    # An attention dropout above 0 keeps SDPA from its fast kernels.
    rates = dict.fromkeys(("resid_pdrop", "embd_pdrop"), dropout)
    rates |= dict.fromkeys(("attn_pdrop", "attention_dropout"), attention_dropout)
    for name, rate in rates.items():
        if hasattr(config, name):
            setattr(config, name, rate)


def build_model(config: PretrainedConfig, pretrained: str | None) -> PreTrainedModel:
    """The model in fp32, attending by segment: saved weights, or random ones where none are named.

    Raises:
        InputError: Weights are missing, or the model is not one that we can score.
    """
    if getattr(config, "activation_function", "") == "gelu_new":
        config.activation_function = "gelu_pytorch_tanh"  # The same function, fused.
    if pretrained is None:
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, attn_implementation="sdpa", trust_remote_code=False
        )
    else:
        base = base_of(pretrained)
        model = _load(base, config)
        if base != pretrained:
            merge_adapter(model, pretrained, read_settings(pretrained).get(BASE))
    check_model(model, pretrained or "scratch")
    model.set_attn_implementation(SEGMENTS)
    # The folder's own (bans, beams, …) would fill in whatever our decoding leaves unsaid.
    model.generation_config = GenerationConfig()
    return model


def _load(source: str, config: PretrainedConfig) -> PreTrainedModel:
    logging.disable_progress_bar()
    try:
        # A checkpoint in bf16 would load as bf16: weights are fp32, precision is the Trainer's.
        loader: Any = AutoModelForCausalLM
        model, info = loader.from_pretrained(
            source,
            config=config,
            dtype=torch.float32,
            attn_implementation="sdpa",
            output_loading_info=True,
            trust_remote_code=False,
        )
    except UnpicklingError:
        raise InputError(
            f"{source}: its weights are damaged, or hold more than numbers, which may be code: "
            "nothing of it was run; give model.safetensors"
        ) from None
    except Exception as error:  # OSError, ValueError, RuntimeError, safetensors' own …
        if "ignore_mismatched_sizes" in str(error):
            raise InputError(
                f"{source}: its weights are not of the sizes that its config.json says: take all "
                "files from one model"
            ) from None
        raise _no_model(source, error) from None
    check_loaded(source, info["missing_keys"], info["unexpected_keys"])
    loaded: PreTrainedModel = model
    return loaded


def _no_model(source: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:150] or repr(error)
    return InputError(
        f"no model can be loaded from {source!r} ({reason}); "
        "name a folder that holds one, or a hub name on a machine with a network"
    )


def save_model(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    folder: Path,
    *,
    settings: Mapping[str, Any],
    decoding: Mapping[str, Any],
) -> None:
    """Writes the folder: weights, tokenizer, generation defaults, our settings.

    `settings` go into careergpt.json, `decoding` into transformers' GenerationConfig.
    """
    settings = {**settings, **token_digests(tokenizer)}
    end = tokenizer.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end, **decoding)
    with whole_files(folder) as partial:
        write_pretrained(model, tokenizer, partial)
        write_json(partial / SETTINGS, dict(settings))


def write_pretrained(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, partial: Path
) -> None:
    """Writes transformers' own files into a folder that is there."""
    logging.disable_progress_bar()  # Its bars would break up the training's own.
    unbounded, tokenizer.model_max_length = tokenizer.model_max_length, context_of(model.config)
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    tokenizer.model_max_length = unbounded  # Here lengths are checked by us, without warnings.
    for weights in partial.glob("*.safetensors"):
        # Safetensors writes for its owner alone; who may read the folder may read them.
        weights.chmod((partial / "config.json").stat().st_mode)


def add_settings(folder: Path, settings: Mapping[str, Any]) -> None:
    """Adds to the folder's careergpt.json; what it said under the same names is replaced."""
    write_json(folder / SETTINGS, {**read_settings(str(folder)), **settings})


def write_card(folder: Path, card: str) -> None:
    """Writes the model card, in Markdown, into the folder."""
    with whole(folder / CARD) as partial:
        partial.write_text(card, encoding="utf-8")


def read_settings(source: str) -> dict[str, Any]:
    """What careergpt.json in the folder says; empty where there is none."""
    path = Path(source) / SETTINGS
    # Earlier versions knew no other form, and did not say so.
    settings = {FORM: "plain", **read_object(path)} if path.exists() else {}
    if settings.get(FORM, "plain") not in get_args(PromptForm):
        forms = ", ".join(get_args(PromptForm))
        raise InputError(f"{path}: its {FORM} is none of {forms}; save the model again")
    for name in ("tasks", "separators", "decoding"):
        if not isinstance(settings.get(name, {}), dict):
            raise InputError(f"{path}: its {name} is no object; save the model again")
    return settings


def stages_of(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a model was trained on, the first stage first; earlier versions told of the last."""
    told = settings.get("trained_on", [])
    stages = told if isinstance(told, list) else [told]
    if not all(isinstance(stage, dict) and None not in stage.values() for stage in stages):
        raise InputError(f"{SETTINGS}: its trained_on is no list of stages; save the model again")
    return stages
