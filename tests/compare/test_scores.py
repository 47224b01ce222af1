"""Scores of single completions beside transformers' own loss."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from careergpt.compare.contenders import Contender
from careergpt.compare.scores import completion_nats, token_nats
from careergpt.data.tokens import Example
from careergpt.errors import InputError
from careergpt.modeling.loaded import find_model


@pytest.fixture(scope="module")
def contender(tiny_gpt2: Path) -> Contender:
    return find_model(str(tiny_gpt2)).load(torch.device("cpu"))


@pytest.fixture(scope="module")
def examples(tokenizer: PreTrainedTokenizerFast) -> list[Example]:
    """Of 2 to 120 tokens, with prompts of any share of them."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 120, size=40).tolist()
    return [
        Example(rng.integers(len(tokenizer), size=n).tolist(), int(rng.integers(1, n)), 9, 0, [])
        for n in lengths
    ]


def test_a_score_is_transformers_loss_times_its_tokens(
    contender: Contender, examples: list[Example], tiny_gpt2: Path
) -> None:
    theirs = AutoModelForCausalLM.from_pretrained(tiny_gpt2, dtype=torch.float32)
    for example, nats in zip(examples, completion_nats(contender.model, examples), strict=True):
        ids = torch.tensor([example.token_ids])
        labels = ids.clone()
        labels[:, : example.n_prompt] = -100
        with torch.no_grad():
            loss = theirs(input_ids=ids, labels=labels).loss
        assert nats == pytest.approx(float(loss) * example.n_scored, abs=1e-3)


def test_no_batch_size_changes_a_score(contender: Contender, examples: list[Example]) -> None:
    scores = [
        completion_nats(contender.model, examples, batch_tokens=tokens) for tokens in (1, 200, 9999)
    ]
    assert np.abs(scores[0] - scores[1]).max() < 1e-3
    assert np.abs(scores[0] - scores[2]).max() < 1e-3


def test_a_token_s_nats_come_in_its_order(contender: Contender, examples: list[Example]) -> None:
    together = dict(token_nats(contender.model, examples))
    for place, example in enumerate(examples):
        [(_, alone)] = token_nats(contender.model, [example])
        assert len(alone) == example.n_scored
        assert np.allclose(together[place], alone, atol=1e-4)


def test_a_model_that_diverged_is_refused(tiny_gpt2: Path, examples: list[Example]) -> None:
    broken = find_model(str(tiny_gpt2)).load(torch.device("cpu"))
    with torch.no_grad():
        broken.model.base_model.ln_f.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="not finite"):
        completion_nats(broken.model, examples)
