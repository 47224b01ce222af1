"""How large a model is, known before anything of it is allocated."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open

from careergpt.data.foreign_files import read_json
from careergpt.errors import InputError

if TYPE_CHECKING:
    from transformers import PretrainedConfig

MOST = 1000
"""Even an empty layer takes its time to be made, and so does the name of a label; the deepest
published models have some 130."""

_PARTS = re.compile(r"(?:n|num)_(?:\w+_)?(?:layer|expert|label)s?")

_WIDEST = 4
"""Bytes of a parameter in memory, whatever it takes in its file."""


def check_size(config: PretrainedConfig, source: str) -> None:
    """Refuses sizes that are no model's, or that neither its weights nor this machine can hold.

    Args:
        config: Of the model.
        source: Its folder, or where its sizes come from.

    Raises:
        InputError: The sizes are wrong, or the folder's weights are missing or damaged.
    """
    check_parts(config.to_dict(), source)
    parameters, held = _numbers(config, source)
    if Path(source).is_dir() and parameters > (stored := _stored(Path(source))):
        raise InputError(
            f"{source}: its config.json describes {parameters:,} parameters, for which its weights "
            f"of {stored:,} bytes are too small: take all files from one model"
        )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if held * _WIDEST > memory:
        raise InputError(
            f"{source}: a model of {parameters:,} parameters needs {held * _WIDEST / 2**30:,.1f} "
            f"GiB, and this machine has {memory / 2**30:,.1f}: choose a smaller one"
        )


def check_parts(told: Mapping[Any, Any], source: str) -> None:
    """Raises InputError for layers or labels beyond all models: transformers makes a list of all.

    Args:
        told: The configuration's values, and of its parts.
        source: Where it comes from.
    """
    for name, value in told.items():
        if isinstance(value, Mapping):
            check_parts(value, source)
        elif isinstance(value, int) and _PARTS.fullmatch(str(name)) and not 0 <= value <= MOST:
            raise InputError(f"{source}: {name} is {str(value)[:20]}: it can be {MOST} at most")


def _numbers(config: PretrainedConfig, source: str) -> tuple[int, int]:
    """How many parameters the model has, and how many numbers with its buffers."""
    from transformers import AutoModelForCausalLM

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


def _stored(folder: Path) -> int:
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
