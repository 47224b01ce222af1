"""The two models that are compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.compare.comparison import ModelFacts
from careergpt.data.tasks import PromptCompletion
from careergpt.data.tokens import encode, load_tokenizer
from careergpt.errors import InputError
from careergpt.modeling.folder import build_model, check_folder, context_of, pretrained_config

ROLES = ("baseline", "finetuned")


class Contender(NamedTuple):
    """A model, its tokenizer and the longest input that it reads, in tokens."""

    source: str
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerFast
    context: int

    def facts(self) -> ModelFacts:
        """What the report says of it."""
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        return ModelFacts(self.source, parameters, len(self.tokenizer), self.context)


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


def load_contender(source: str, device: torch.device) -> Contender:
    """The model of a folder or hub name, in fp32.

    Raises:
        InputError: There is none.
    """
    check_folder(source)
    tokenizer = load_tokenizer(source)
    config = pretrained_config(source, tokenizer)
    model = build_model(config, source).eval()
    return Contender(source, model.to(device), tokenizer, context_of(config))


def same_tokens(one: Contender, other: Contender, probes: Sequence[PromptCompletion]) -> bool:
    """Whether both models read the same tokens: then their nats a token may be compared.

    Saved tokenizers may differ in what does not matter; so their words and the probes decide.
    """
    if one.tokenizer.get_vocab() != other.tokenizer.get_vocab():
        return False
    length = min(one.context, other.context)
    return encode(probes, one.tokenizer, length) == encode(probes, other.tokenizer, length)
