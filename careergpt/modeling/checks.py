"""Checks of a model folder before any work: whole, of a size that this machine holds, and exact."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from transformers import (
    AutoModelForCausalLM,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)

from careergpt.data.batches import Scored, collate
from careergpt.data.foreign_files import read_json
from careergpt.errors import InputError
from careergpt.modeling.attention import SEGMENTS, library_attention
from careergpt.modeling.loss import hidden_states

# Even an empty layer takes its time to be made, and so does the name of a label; the deepest
# published models have some 130.
_MOST = 1000
_LAYERS = re.compile(r"(?:n|num)_(?:\w+_)?(?:layer|expert|label)s?")

# Bytes of a parameter in memory, whatever it takes in its file.
_PARAMETER_BYTES = 4

# Rows of an embedding that its tokenizer does not use: models are padded to round numbers.
_SPARE_ROWS = 1024

_TOLERANCE = 1e-3

_ADAPTER = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"

# Of an adapter's configuration: more than products of two matrices beside linear layers.
_BEYOND_LORA = (
    "alora_invocation_tokens", "arrow_config", "bias", "kasa_config", "layer_replication",
    "modules_to_save", "target_parameters", "trainable_token_indices", "use_bdlora", "use_qalora",
)  # fmt: skip


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file of the folder's."""
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object; save the model again")
    return content


def check_folder(source: str) -> None:
    """Raises InputError for a local folder that is missing or holds no model."""
    folder = Path(source)
    if source.endswith(".gguf"):
        raise InputError(
            f"{source} is a GGUF file: python main.py fetch-model {source} --out FOLDER makes a "
            "model folder of it; name that"
        )
    if not folder.is_dir():
        if "@" in source:
            raise InputError(
                f"no such model folder: {source}; of the hub's models the main revision is read: "
                "hf download NAME --revision REVISION --local-dir FOLDER, and name the folder"
            )
        if source.count("/") > 1 or source.startswith((".", "/", "~")):
            raise InputError(f"no such model folder: {source}")
        return  # The name of a model on the hub.
    if (base := base_of(source)) != source:
        try:
            check_folder(base)
        except InputError as error:
            raise InputError(
                f"{source} holds an adapter of another model: {error}; name its base in {_ADAPTER}"
            ) from None
        return
    if not (folder / "config.json").exists():
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise InputError(
            f"{source} holds no model: there is no config.json in it (found: {inside})"
        )
    check_layers(read_object(folder / "config.json"), source)


def base_of(source: str) -> str:
    """The model that a folder's adapter belongs to; the source itself where there is no adapter.

    Raises:
        InputError: The adapter is none that can be merged.
    """
    path = Path(source) / _ADAPTER
    if not path.exists():
        return source
    told = read_object(path)
    more = sorted(name for name in _BEYOND_LORA if told.get(name) not in (None, False, "none", []))
    if told.get("peft_type") != "LORA" or more:
        kind = more[0] if more else told.get("peft_type")
        raise InputError(
            f"{source}: its adapter is no plain LoRA ({str(kind)[:50]}): merge it by peft's "
            "merge_and_unload() and save_pretrained(FOLDER), with the tokenizer"
        )
    base = told.get("base_model_name_or_path")
    if not isinstance(base, str) or not base or (Path(base) / _ADAPTER).exists():
        raise InputError(f"{path}: its base_model_name_or_path names no whole model: {base}")
    if not (path.parent / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"{source} holds no weights: there is no {ADAPTER_WEIGHTS} in it")
    return base


def tokenizer_source(source: str) -> str:
    """Where the model's tokenizer is: an adapter's may be its base's."""
    own = (Path(source) / "tokenizer_config.json").exists()
    return source if own else base_of(source)


def check_layers(told: Mapping[Any, Any], source: str) -> None:
    """Raises InputError for layers or labels beyond all models: transformers makes a list of all.

    `told` are the configuration's values, and those of its parts.
    """
    for name, value in told.items():
        if isinstance(value, Mapping):
            check_layers(value, source)
        elif isinstance(value, int) and _LAYERS.fullmatch(str(name)) and not 0 <= value <= _MOST:
            raise InputError(f"{source}: {name} is {str(value)[:20]}: it can be {_MOST} at most")


def check_vocabulary(
    source: str, config: PretrainedConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    """Raises InputError for a tokenizer that is not the model's."""
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    spare = config.vocab_size - len(tokenizer)
    if abs(spare) > _SPARE_ROWS or (ends != [None] and tokenizer.eos_token_id not in ends):
        raise InputError(
            f"{source}: its tokenizer has {len(tokenizer)} tokens and ends texts by "
            f"{tokenizer.eos_token_id}, its model {config.vocab_size} and {config.eos_token_id}: "
            "they are not of one kind; save the right tokenizer into the folder"
        )
    if spare < 0:
        raise InputError(
            f"{source}: its tokenizer has {len(tokenizer)} tokens, its model {config.vocab_size}: "
            "tokens were added to one alone; load both, and save both after "
            "model.resize_token_embeddings(len(tokenizer))"
        )


def check_size(config: PretrainedConfig, source: str) -> None:
    """Weighs a model before anything of it is allocated; `source` is its folder, or an option.

    Raises:
        InputError: The sizes are no model's, neither its weights nor this machine can hold them,
            or the folder's weights are missing or damaged.
    """
    check_layers(config.to_dict(), source)
    parameters, numbers = _count(config, source)
    if Path(source).is_dir() and parameters > (stored := _stored_bytes(Path(source))):
        raise InputError(
            f"{source}: its config.json describes {parameters:,} parameters, for which its weights "
            f"of {stored:,} bytes are too small: take all files from one model"
        )
    needed = numbers * _PARAMETER_BYTES
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise InputError(
            f"{source}: a model of {parameters:,} parameters needs {needed / 2**30:,.1f} "
            f"GiB, and this machine has {memory / 2**30:,.1f}: choose a smaller one"
        )


def _count(config: PretrainedConfig, source: str) -> tuple[int, int]:
    """How many parameters the model has, and how many numbers with its buffers."""
    try:
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(
                deepcopy(config), attn_implementation="sdpa", trust_remote_code=False
            )
    except Exception as error:  # Whatever impossible sizes lead an architecture to.
        reason = " ".join(str(error).split())[:150]
        raise InputError(
            f"{source}: no model that can be used here has its configuration ({reason}): give "
            "other sizes, or a family whose attention can be replaced, as in GPT-2, GPT-NeoX, "
            "Llama, Mistral, OPT or Qwen2"
        ) from None
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return parameters, parameters + sum(buffer.numel() for buffer in model.buffers())


def _stored_bytes(folder: Path) -> int:
    """Bytes of the folder's weights, of which each parameter takes one or more."""
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    if not files:
        raise InputError(f"{folder} holds no weights: there is no model.safetensors in it")
    index = folder / "model.safetensors.index.json"
    if index.exists() and not (folder / "model.safetensors").exists():
        _check_shards(index)
    for path in files:
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, "pt"):
                    pass
        except (OSError, SafetensorError) as error:
            raise InputError(
                f"{path} is damaged, or cut off ({error}): fetch it, or copy it, anew"
            ) from None
    return sum(path.stat().st_size for path in files)


def _check_shards(index: Path) -> None:
    try:
        named = {str(name) for name in read_json(index)["weight_map"].values()}
    except (KeyError, TypeError, AttributeError):
        raise InputError(f"{index} names no weights: copy it anew") from None
    for name in sorted(named):
        if not (index.parent / name).is_file():
            raise InputError(f"{index.parent} lacks {name}, which {index.name} names: copy it anew")


def check_loaded(source: str, missing: Collection[str], unexpected: Collection[str]) -> None:
    """Raises InputError where the file's weights do not fill the model, by their names."""
    lacking = sorted(missing)
    for name in lacking:
        if wrapped := next((found for found in unexpected if found.endswith(f".{name}")), None):
            raise InputError(
                f"{source}: its weights' names begin with {wrapped.removesuffix(name)!r}, as "
                "torch.compile and other wrappers save them; remove that from each, and save them "
                "again"
            )
    if lacking:
        shown = ", ".join(lacking[:3])
        raise InputError(f"{source} lacks weights ({shown}): fetch or save the model again")


@torch.no_grad()
def check_model(model: PreTrainedModel, name: str) -> None:
    """Two short forward passes that show whether scoring and packing are exact for this model.

    Raises:
        InputError: The weights are no numbers, the head is not a linear map of the last hidden
            state, or packed examples see each other.
    """
    for weight, values in model.named_parameters():
        if not values.isfinite().all():
            raise InputError(
                f"{name}: {weight} is not finite everywhere: its training diverged, or the file is "
                "damaged; take weights from before that"
            )
    rng = torch.Generator().manual_seed(0)
    examples = [
        Scored(torch.randint(model.config.vocab_size, (length,), generator=rng).numpy(), 1)
        for length in (5, 7)
    ]
    training = model.training
    model.eval().set_attn_implementation(SEGMENTS)
    try:
        hidden = hidden_states(model, collate([examples]))
        packed = F.linear(hidden, model.get_output_embeddings().weight)
        with library_attention(model):
            alone = [
                model(collate([[example]]).input_ids, use_cache=False).logits
                for example in examples
            ]
    except Exception as error:  # Whatever a foreign architecture raises.
        raise InputError(f"{name}: this architecture cannot be scored here ({error})") from None
    finally:
        model.train(training)
    gap = (packed - torch.cat(alone, dim=1)).abs().max()
    if not gap < _TOLERANCE * (1 + packed.abs().max()):
        raise InputError(
            f"{name}: {type(model).__name__} does not keep packed examples apart, or its logits are"
            f" not a linear map of its hidden states (logits differ by {gap:.2g}); use a GPT-2"
        )
