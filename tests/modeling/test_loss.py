"""Laws of the loss on completions."""

import math

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from careergpt.data.batches import IGNORED, Scored, TokenBatch, collate
from careergpt.data.tasks import Task, prompt_completion
from careergpt.data.tokens import Example, encode
from careergpt.modeling.attention import library_attention
from careergpt.modeling.loss import (
    TokenLoss,
    chunk_of,
    completion_loss,
    hidden_states,
    token_scores,
)


def loss_of(model: PreTrainedModel, batch: TokenBatch) -> TokenLoss:
    head = model.get_output_embeddings().weight
    return completion_loss(hidden_states(model, batch), batch, head)


@pytest.mark.parametrize("shape", [(3,), (3, 4, 5)])
def test_a_tensor_of_another_shape_than_the_signature_names_is_refused(shape: tuple[int]) -> None:
    with pytest.raises(TypeCheckError, match="V D"):
        chunk_of(torch.zeros(shape))


def layouts(examples: list[Scored]) -> dict[str, list[list[list[Scored]]]]:
    """The same examples as batches of rows."""
    a, b, c, d, e = examples
    return {
        "one by one": [[[example]] for example in examples],
        "padded": [[[example] for example in examples]],
        "packed": [[examples]],
        "packed otherwise": [[[d, a], [e, b, c]]],
        "packed beside padded": [[[c, b, a], [e]], [[d]]],
    }


def summed(model: PreTrainedModel, batches: list[list[list[Scored]]]) -> tuple[float, int, list]:
    """Nats, tokens and gradients of the batches' sum."""
    model.zero_grad()
    losses = [loss_of(model, collate(rows)) for rows in batches]
    nats = torch.stack([loss.nats for loss in losses]).sum()
    nats.backward()
    gradients = [parameter.grad.clone() for parameter in model.parameters()]
    return nats.item(), sum(int(loss.tokens) for loss in losses), gradients


@pytest.mark.parametrize("layout", ["padded", "packed", "packed otherwise", "packed beside padded"])
def test_the_layout_changes_neither_loss_nor_gradients(
    model: PreTrainedModel, examples: list[Scored], layout: str
) -> None:
    nats, tokens, gradients = summed(model, layouts(examples)["one by one"])
    other_nats, other_tokens, other_gradients = summed(model, layouts(examples)[layout])
    assert other_tokens == tokens == sum(len(e.token_ids) - e.n_prompt for e in examples)
    assert other_nats == pytest.approx(nats, rel=1e-6)
    assert nats > 10  # Wide weights: the losses of right and wrong layouts lie far apart.
    largest = max(gradient.abs().max() for gradient in gradients)
    for gradient, other in zip(gradients, other_gradients, strict=True):
        torch.testing.assert_close(other / largest, gradient / largest, rtol=1e-5, atol=1e-6)


def test_the_loss_is_the_library_s_own_with_the_prompt_left_out(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    batch = collate([[example] for example in examples])
    nats, tokens, gradients = summed(model, [[[example] for example in examples]])
    model.zero_grad()
    with library_attention(model):
        expected = model(batch.input_ids, labels=batch.labels, use_cache=False).loss
    expected.backward()
    assert nats / tokens == pytest.approx(expected.item(), rel=1e-5)
    for parameter, ours in zip(model.parameters(), gradients, strict=True):
        torch.testing.assert_close(ours / tokens, parameter.grad, rtol=1e-4, atol=1e-6)


def test_the_loss_is_the_sum_of_log_probabilities_of_completion_tokens(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    expected = 0.0
    for example in examples:
        ids = torch.from_numpy(example.token_ids)
        with library_attention(model), torch.no_grad():
            logs = model(ids[None], use_cache=False).logits[0].log_softmax(-1)
        places = range(example.n_prompt, len(ids))
        expected -= sum(logs[place - 1, ids[place]].item() for place in places)
    assert loss_of(model, collate([examples])).nats.item() == pytest.approx(expected, rel=1e-5)


def test_only_states_before_a_completion_token_have_a_gradient(examples: list[Scored]) -> None:
    batch = collate([examples[:2], examples[2:]])
    hidden = torch.randn(*batch.input_ids.shape, 8, requires_grad=True)
    completion_loss(hidden, batch, torch.randn(61, 8)).nats.backward()
    assert hidden.grad is not None
    touched = hidden.grad.abs().sum(-1) > 0
    predicting = torch.zeros_like(touched)
    for example, (row, start, end) in zip(examples, batch.segments, strict=True):
        predicting[row, start + example.n_prompt - 1 : end - 1] = True
    assert torch.equal(touched, predicting)


def test_prompt_tokens_are_no_targets(examples: list[Scored]) -> None:
    batch = collate([examples])
    hidden, head = torch.randn(*batch.input_ids.shape, 8), torch.randn(61, 8)
    loss = completion_loss(hidden, batch, head)
    others = [
        e._replace(token_ids=np.concatenate([(e.token_ids[: e.n_prompt] + 1) % 61, rest]))
        for e in examples
        for rest in [e.token_ids[e.n_prompt :]]
    ]
    changed = completion_loss(hidden, collate([others]), head)
    assert not torch.equal(collate([others]).input_ids, batch.input_ids)
    assert torch.equal(changed.nats, loss.nats)
    assert changed.tokens == loss.tokens


def test_uniform_logits_cost_log_vocabulary(examples: list[Scored]) -> None:
    batch = collate([examples])
    loss = completion_loss(torch.randn(*batch.input_ids.shape, 8), batch, torch.zeros(61, 8))
    assert loss.nats.item() / loss.tokens.item() == pytest.approx(math.log(61), rel=1e-6)


def test_the_end_of_text_is_scored(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = prompt_completion("t", Task("A {a}", "{b}"), {"a": "nurse", "b": "cares"})
    assert pair is not None
    (example,) = encode([pair], tokenizer, 100)
    assert isinstance(example, Example)
    batch = collate([[Scored(np.array(example.token_ids), example.n_prompt)]])
    assert batch.labels[0, -1] == tokenizer.eos_token_id
    hidden = torch.zeros(*batch.input_ids.shape, 4, requires_grad=True)
    completion_loss(hidden, batch, torch.randn(len(tokenizer), 4)).nats.backward()
    assert hidden.grad is not None
    assert hidden.grad[0, -2].abs().sum() > 0


def test_a_cut_completion_teaches_no_end(tokenizer: PreTrainedTokenizerFast) -> None:
    pair = prompt_completion("t", Task("A {a}", "{b}"), {"a": "nurse", "b": "cares " * 50})
    assert pair is not None
    (example,) = encode([pair], tokenizer, 20)
    assert isinstance(example, Example)
    assert len(example.token_ids) == 20
    assert tokenizer.eos_token_id not in example.token_ids


def test_token_scores_sum_to_the_loss(model: PreTrainedModel, examples: list[Scored]) -> None:
    batch = collate([examples[:3], examples[3:]])
    scores, loss = token_scores(model, batch), loss_of(model, batch)
    assert scores.nats.sum().item() == pytest.approx(loss.nats.item(), rel=1e-6)
    assert len(scores.nats) == loss.tokens


def test_an_example_s_scores_are_those_of_the_example_alone(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    together = token_scores(model, collate([examples[:3], examples[3:]]))
    for place, example in enumerate(examples):
        alone = token_scores(model, collate([[example]]))
        own = together.segment_ids == place
        torch.testing.assert_close(together.nats[own], alone.nats, rtol=1e-4, atol=1e-5)
        assert torch.equal(together.correct[own], alone.correct)
        assert len(alone.nats) == len(example.token_ids) - example.n_prompt


def test_right_tokens_are_those_that_were_the_likeliest(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    batch = collate([[example] for example in examples])
    with library_attention(model), torch.no_grad():
        guesses = model(batch.input_ids, use_cache=False).logits.argmax(-1)[:, :-1]
    targets = batch.labels[:, 1:]
    # The guesses as the truth: then every token is right; the random truth: hardly any.
    guessed = batch._replace(
        labels=torch.cat(
            [batch.labels[:, :1], torch.where(targets == IGNORED, IGNORED, guesses)], dim=1
        )
    )
    assert token_scores(model, guessed).correct.all()
    expected = (guesses == targets)[targets != IGNORED]
    assert torch.equal(token_scores(model, batch).correct, expected)


def test_long_batches_are_scored_as_short_ones(model: PreTrainedModel) -> None:
    # More scored tokens than the scores take at a time.
    rng = np.random.default_rng(1)
    many = [Scored(rng.integers(61, size=50), 1) for _ in range(30)]
    whole = token_scores(model, collate([[example] for example in many])).nats
    halves = [collate([[e] for e in half]) for half in (many[:15], many[15:])]
    parts = torch.cat([token_scores(model, half).nats for half in halves])
    torch.testing.assert_close(whole, parts, rtol=1e-5, atol=1e-5)
