"""A loaded model: found by its name first, its weights read later."""

from __future__ import annotations

import ctypes
from typing import NamedTuple

import torch
from transformers import PretrainedConfig, PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.tasks import PromptForm
from careergpt.data.tokens import load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.checks import check_folder, tokenizer_source
from careergpt.modeling.folder import (
    FORM,
    build_model,
    context_of,
    pretrained_config,
    read_settings,
)

# Names of malloc.h.
_TRIM_THRESHOLD, _MMAP_MAX = -1, -4


class LoadedModel(NamedTuple):
    """A model, its tokenizer, the longest input in tokens that it reads, and its prompts' form."""

    source: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    context: int
    form: PromptForm = "plain"


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
        form = read_settings(self.name).get(FORM, "plain")
        return LoadedModel(self.name, model.to(device), self.tokenizer, self.context, form)


def find_model(name: str) -> Source:
    """The model of a folder or hub name.

    Raises:
        InputError: There is none.
    """
    check_folder(name)
    tokenizer = load_tokenizer(tokenizer_source(name))
    return Source(name, tokenizer, pretrained_config(name, tokenizer))


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


def keep_freed_memory() -> bool:
    """On a CPU, has glibc keep what is freed for the next step; whether there is a glibc.

    Every step frees and asks for the same gigabytes. By default glibc takes each large tensor from
    the system and gives it back, and the system fills each new page with zeros first. It holds for
    all that the process does from then on.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # Another C library, another system.
        return False
    return bool(mallopt(_MMAP_MAX, 0)) and bool(mallopt(_TRIM_THRESHOLD, -1))
