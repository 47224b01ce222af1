"""The model folder: Hugging Face's files, with our tasks and decoding beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

import torch

from careergpt.data.foreign_files import read_json
from careergpt.data.tokens import vocabulary_digest
from careergpt.data.whole_files import whole, whole_files, write_json
from careergpt.errors import InputError
from careergpt.modeling.sizes import check_parts, check_size

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

SETTINGS = "careergpt.json"
CARD = "README.md"

VOCABULARY = "vocabulary"
"""Where careergpt.json names the tokens that the model's ids are of."""

RANDOM = "random"
"""What careergpt.json says of the weights of a model that was never trained."""

# Rows of an embedding that its tokenizer does not use: models are padded to round numbers.
_SPARE = 1024


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
    from transformers import GPT2Config

    if min(scratch.n_layer, scratch.n_head, scratch.n_embd, scratch.n_positions) < 1:
        raise InputError(f"model.scratch: every size must be 1 or more, found {scratch}")
    if scratch.n_embd % scratch.n_head:
        raise InputError(
            f"model.scratch.n_embd ({scratch.n_embd}) must be a multiple of n_head "
            f"({scratch.n_head})"
        )
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_layer=scratch.n_layer,
        n_head=scratch.n_head,
        n_embd=scratch.n_embd,
        n_positions=scratch.n_positions,
        bos_token_id=tokenizer.eos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    check_size(config, "model.scratch")
    return config


def pretrained_config(source: str, tokenizer: PreTrainedTokenizerFast) -> PretrainedConfig:
    """The configuration of a saved model.

    Raises:
        InputError: There is no causal language model, its weights are not of its sizes, or its
            vocabulary is not the tokenizer's.
    """
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(source, trust_remote_code=False)
    except Exception as error:  # OSError, ValueError, its own kind for a wrong value …
        raise _no_model(source, error) from None
    if config.model_type not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(
            f"{source} holds a {config.model_type}, which writes no text; give a GPT-2"
        )
    for name in ("max_position_embeddings", "sliding_window"):
        if not isinstance(length := getattr(config, name, None) or 0, int) or length < 0:
            raise InputError(f"{source}: {name} is {str(length)[:20]!r}: it is a number of tokens")
    _check_vocabulary(source, config, tokenizer)
    check_size(config, source)
    return config


def _check_vocabulary(
    source: str, config: PretrainedConfig, tokenizer: PreTrainedTokenizerFast
) -> None:
    ends = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    spare = config.vocab_size - len(tokenizer)
    if abs(spare) > _SPARE or (ends != [None] and tokenizer.eos_token_id not in ends):
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
    told = read_settings(source).get(VOCABULARY)
    if told is not None and told != vocabulary_digest(tokenizer):
        raise InputError(
            f"{source}: its model was taught with another tokenizer than the one beside it: copy "
            "tokenizer.json from where the model was saved"
        )


def context_of(config: PretrainedConfig) -> int:
    """The longest input in tokens that the model reads, all of it at once."""
    positions = int(getattr(config, "max_position_embeddings", 0) or 1024)
    # Attention by segment knows no window: no example may be longer than one.
    return min(positions, getattr(config, "sliding_window", None) or positions)


def set_dropout(config: PretrainedConfig, dropout: float, attention_dropout: float) -> None:
    """Writes our two rates into whichever of the library's names this configuration has."""
    # An attention dropout above 0 keeps SDPA from its fast kernels.
    names = {
        "resid_pdrop": dropout,
        "embd_pdrop": dropout,
        "attn_pdrop": attention_dropout,
        "attention_dropout": attention_dropout,
    }
    for name, rate in names.items():
        if hasattr(config, name):
            setattr(config, name, rate)


def build_model(config: PretrainedConfig, pretrained: str | None) -> PreTrainedModel:
    """The model in fp32, attending by segment: saved weights, or random ones where none are named.

    Raises:
        InputError: Weights are missing, or the model is not one that we can score.
    """
    from transformers import AutoModelForCausalLM, GenerationConfig

    from careergpt.modeling.attention import SEGMENTS
    from careergpt.modeling.checks import check_model

    if getattr(config, "activation_function", "") == "gelu_new":
        config.activation_function = "gelu_pytorch_tanh"  # The same function, fused.
    if pretrained is None:
        model: PreTrainedModel = AutoModelForCausalLM.from_config(
            config, attn_implementation="sdpa", trust_remote_code=False
        )
    else:
        model = _load(pretrained, config)
    check_model(model, pretrained or "scratch")
    model.set_attn_implementation(SEGMENTS)
    # The folder's own (bans, beams, …) would fill in whatever our decoding leaves unsaid.
    model.generation_config = GenerationConfig()
    return model


def _load(source: str, config: PretrainedConfig) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

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
    if info["missing_keys"]:
        raise _lacking(source, sorted(info["missing_keys"]), info["unexpected_keys"])
    loaded: PreTrainedModel = model
    return loaded


def _lacking(source: str, missing: Sequence[str], unexpected: Iterable[str]) -> InputError:
    same = ((n, found) for n in missing for found in unexpected if found.endswith(f".{n}"))
    for name, found in same:
        return InputError(
            f"{source}: its weights' names begin with {found.removesuffix(name)!r}, as "
            "torch.compile and other wrappers save them; remove that from each, and save them again"
        )
    some = ", ".join(missing[:3])
    return InputError(f"{source} lacks weights ({some}): fetch or save the model again")


def check_folder(source: str) -> None:
    """Raises InputError for a local folder that is missing or holds no model."""
    folder = Path(source)
    if (folder / "adapter_config.json").exists():
        raise InputError(
            f"{source} holds an adapter, which is no whole model: merge it into its base by "
            "peft's merge_and_unload() and save_pretrained(FOLDER), with the tokenizer"
        )
    if folder.is_dir() and not (folder / "config.json").exists():
        inside = ", ".join(sorted(path.name for path in folder.iterdir())[:6]) or "nothing"
        raise InputError(
            f"{source} holds no model: there is no config.json in it (found: {inside})"
        )
    if not folder.is_dir() and (source.count("/") > 1 or source.startswith((".", "/", "~"))):
        raise InputError(f"no such model folder: {source}")
    if folder.is_dir():
        check_parts(_read_object(folder / "config.json"), source)


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

    Args:
        model: The model.
        tokenizer: Its tokenizer.
        folder: Where to write; made if it is missing.
        settings: What goes into careergpt.json.
        decoding: Options of transformers' GenerationConfig.
    """
    from transformers import GenerationConfig
    from transformers.utils import logging

    logging.disable_progress_bar()  # Its bars would break up the training's own.
    settings = {**settings, VOCABULARY: vocabulary_digest(tokenizer)}
    end = tokenizer.eos_token_id
    model.generation_config = GenerationConfig(eos_token_id=end, pad_token_id=end, **decoding)
    unbounded, tokenizer.model_max_length = tokenizer.model_max_length, context_of(model.config)
    with whole_files(folder) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_json(partial / SETTINGS, dict(settings))
        for weights in partial.glob("*.safetensors"):
            # Safetensors writes for its owner alone; who may read the folder may read them.
            weights.chmod((partial / SETTINGS).stat().st_mode)
    tokenizer.model_max_length = unbounded  # Here lengths are checked by us, without warnings.


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
    settings = _read_object(path) if path.exists() else {}
    for name in ("tasks", "separators", "decoding"):
        if not isinstance(settings.get(name, {}), dict):
            raise InputError(f"{path}: its {name} is no object; save the model again")
    return settings


def _read_object(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path} holds no JSON object; save the model again")
    return content


def stages_of(settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What a model was trained on, the first stage first; earlier versions told of the last."""
    told = settings.get("trained_on", [])
    stages = told if isinstance(told, list) else [told]
    if not all(isinstance(stage, dict) and None not in stage.values() for stage in stages):
        raise InputError(f"{SETTINGS}: its trained_on is no list of stages; save the model again")
    return stages


def tokenizer_of(pretrained: str | None, scratch: Scratch) -> str:
    """Where the model's tokenizer is: in the saved model, or where the sizes say."""
    return scratch.tokenizer if pretrained is None else pretrained
