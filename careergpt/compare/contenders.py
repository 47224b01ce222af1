"""The two models that are compared."""

from __future__ import annotations

from collections.abc import Sequence

from careergpt.compare.comparison import ModelFacts
from careergpt.data.tasks import PromptCompletion
from careergpt.data.tokens import encode
from careergpt.modeling.loaded import LoadedModel

ROLES = ("baseline", "finetuned")

Contender = LoadedModel


def facts_of(contender: Contender) -> ModelFacts:
    """What the report says of it."""
    parameters = sum(parameter.numel() for parameter in contender.model.parameters())
    return ModelFacts(contender.source, parameters, len(contender.tokenizer), contender.context)


def same_tokens(one: Contender, other: Contender, probes: Sequence[PromptCompletion]) -> bool:
    """Whether both models read the same tokens: then their nats a token may be compared.

    Saved tokenizers may differ in what does not matter, such as a token for padding; so their
    words, the end of text and the probes decide.
    """
    words = [some.tokenizer.backend_tokenizer.get_vocab(False) for some in (one, other)]
    if words[0] != words[1] or one.tokenizer.eos_token_id != other.tokenizer.eos_token_id:
        return False
    length = min(one.context, other.context)
    return encode(probes, one.tokenizer, length) == encode(probes, other.tokenizer, length)
