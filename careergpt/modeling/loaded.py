"""A model that is there to be read: found by its name first, its weights loaded later."""

from __future__ import annotations

from typing import NamedTuple

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.folder import build_model, check_folder, context_of, pretrained_config


class LoadedModel(NamedTuple):
    """A model, its tokenizer and the longest input that it reads, in tokens."""

    source: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    context: int


def device_named(name: str) -> torch.device:
    """The device of this name; "auto": a GPU where there is one.

    Raises:
        InputError: There is no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"--device {name}: {reason}; give auto, cpu or cuda") from None
    return device


class Source(NamedTuple):
    """A model that is there to be loaded: all that can be known without its weights."""

    name: str
    tokenizer: PreTrainedTokenizerFast
    config: PretrainedConfig

    @property
    def context(self) -> int:
        """The longest input that it reads, in tokens."""
        return context_of(self.config)

    def load(self, device: torch.device) -> LoadedModel:
        """The model with its weights, in fp32."""
        model = build_model(self.config, self.name).eval()
        return LoadedModel(self.name, model.to(device), self.tokenizer, self.context)


def find_model(name: str) -> Source:
    """The model of a folder or hub name.

    Raises:
        InputError: There is none.
    """
    check_folder(name)
    tokenizer = load_tokenizer(name)
    return Source(name, tokenizer, pretrained_config(name, tokenizer))
