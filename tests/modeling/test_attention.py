"""Laws of attention within each example."""

from typing import Any

import numpy as np
import pytest
import torch
from transformers import PreTrainedModel

from careergpt.data.batches import Scored, Segment, collate
from careergpt.modeling import attention
from careergpt.modeling.attention import (
    SEGMENTS,
    Layout,
    checkpoint_blocks,
    library_attention,
    segment_attention,
)
from careergpt.modeling.lora import LoRA, add_adapters
from careergpt.modeling.loss import completion_loss, hidden_states


@torch.no_grad()
def states(model: PreTrainedModel, rows: list[list[Scored]]) -> list[torch.Tensor]:
    """The hidden states of each example."""
    batch = collate(rows)
    hidden = hidden_states(model, batch)
    return [hidden[row, start:end] for row, start, end in batch.segments]


def test_a_packed_example_has_the_states_that_it_has_alone(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    alone = [states(model, [[example]])[0] for example in examples]
    for rows in ([examples], [examples[:2], examples[2:]], [[example] for example in examples]):
        for expected, found in zip(alone, states(model, rows), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_an_example_alone_has_the_states_of_the_library(
    model: PreTrainedModel, examples: list[Scored]
) -> None:
    for example in examples:
        with library_attention(model), torch.no_grad():
            ids = torch.from_numpy(example.token_ids)[None]
            expected = model.base_model(ids, use_cache=False).last_hidden_state[0]
        torch.testing.assert_close(states(model, [[example]])[0], expected, rtol=1e-5, atol=1e-5)


def test_no_token_sees_its_neighbours(model: PreTrainedModel, examples: list[Scored]) -> None:
    first, second, third = examples[:3]
    changed = [e._replace(token_ids=(e.token_ids + 1) % 61) for e in (first, third)]
    before = states(model, [[first, second, third]])[1]
    after = states(model, [[changed[0], second, changed[1]]])[1]
    assert torch.equal(before, after)


def test_no_token_sees_the_future(model: PreTrainedModel, examples: list[Scored]) -> None:
    example = examples[3]
    other = example._replace(
        token_ids=np.append(example.token_ids[:-1], (example.token_ids[-1] + 1) % 61)
    )
    before, after = states(model, [[example]])[0], states(model, [[other]])[0]
    torch.testing.assert_close(before[:-1], after[:-1], rtol=1e-5, atol=1e-6)
    assert not torch.allclose(before[-1], after[-1])


def test_every_token_sees_its_past(model: PreTrainedModel, examples: list[Scored]) -> None:
    example = examples[0]
    other = example._replace(
        token_ids=np.append((example.token_ids[0] + 1) % 61, example.token_ids[1:])
    )
    before, after = (states(model, [[e, examples[1]]])[0] for e in (example, other))
    assert (before - after).abs().amax(-1).min() > 1e-4


def test_attention_is_softmax_of_scaled_products_within_each_segment() -> None:
    heads, kept, width, size = 4, 2, 7, 3
    query = torch.randn(1, heads, width, size)
    key, value = torch.randn(2, 1, kept, width, size)
    segments = [Segment(0, 0, 3), Segment(0, 3, 6)]  # The last token is padding.
    layout = Layout(segments, torch.tensor([0, 3, 6, 7], dtype=torch.int32), False)
    found, _ = segment_attention(
        torch.nn.Module(), query, key, value, None, scaling=0.7, careergpt_layout=layout
    )
    assert found.shape == (1, width, heads, size)
    for _, start, end in segments:
        for head in range(heads):
            shared = head // (heads // kept)
            for place in range(start, end):
                past = slice(start, place + 1)
                weights = (0.7 * key[0, shared, past] @ query[0, head, place]).softmax(0)
                expected = weights @ value[0, shared, past]
                torch.testing.assert_close(found[0, place, head], expected, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("adapters", [False, True])
def test_blocks_that_are_computed_anew_give_the_same_loss_and_gradients(
    model: PreTrainedModel, examples: list[Scored], adapters: bool
) -> None:
    if adapters:
        add_adapters(model, LoRA(r=4, dropout=0.2), "base")
    for part in model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.2
    batch, found = collate([examples[:3], examples[3:]]), []
    for anew in (False, True):
        if anew:
            checkpoint_blocks(model)
        assert (
            any(getattr(part, "gradient_checkpointing", False) for part in model.modules()) == anew
        )
        model.train().zero_grad()
        torch.manual_seed(0)
        head = model.get_output_embeddings().weight
        nats = completion_loss(hidden_states(model, batch), batch, head).nats
        nats.backward()
        found.append([nats, *(p.grad for p in model.parameters() if p.grad is not None)])
    assert len(found[0]) > 8
    assert len(found[0]) == len(found[1])
    assert all(map(torch.equal, *found))


def test_a_window_shorter_than_a_segment_is_refused() -> None:
    query, key, value = torch.randn(3, 1, 2, 6, 4)
    layout = Layout([Segment(0, 0, 6)], torch.tensor([0, 6], dtype=torch.int32), True)

    def attend(window: int) -> None:
        options: dict[str, Any] = {"careergpt_layout": layout, "sliding_window": window}
        segment_attention(torch.nn.Module(), query, key, value, None, **options)

    with pytest.raises(NotImplementedError, match="sliding window 5"):
        attend(5)
    attend(6)


def test_dropout_falls_on_attention_weights() -> None:
    query, key, value = torch.randn(3, 1, 2, 6, 4)
    layout = Layout([Segment(0, 0, 6)], torch.tensor([0, 6], dtype=torch.int32), True)
    kept, _ = segment_attention(torch.nn.Module(), query, key, value, None, careergpt_layout=layout)
    dropped = [
        segment_attention(
            torch.nn.Module(), query, key, value, None, dropout=0.5, careergpt_layout=layout
        )
        for _ in range(2)
    ]
    assert not torch.equal(dropped[0][0], dropped[1][0])
    assert not torch.equal(dropped[0][0], kept)


def test_the_library_s_attention_is_lent_and_given_back(model: PreTrainedModel) -> None:
    with library_attention(model):
        assert model.config._attn_implementation == "sdpa"
    assert model.config._attn_implementation == SEGMENTS
    with pytest.raises(KeyError), library_attention(model):
        raise KeyError
    assert model.config._attn_implementation == SEGMENTS


def test_the_kernel_for_unequal_lengths_is_given_the_same_segments(
    model: PreTrainedModel, examples: list[Scored], monkeypatch: pytest.MonkeyPatch
) -> None:
    # No CPU has the kernel: a stand-in takes what it takes and does what it does.
    def stand_in(
        query: torch.Tensor, key: torch.Tensor, value: torch.Tensor,
        bounds: torch.Tensor, key_bounds: torch.Tensor, longest: int, longest_key: int,
        *, scale: float | None, window_size: tuple[int, int],
    ) -> torch.Tensor:  # fmt: skip
        assert bounds.dtype == torch.int32
        assert torch.equal(bounds, key_bounds)
        assert window_size == (-1, 0)
        assert longest == longest_key >= bounds.diff().max()
        lengths = bounds.diff().tolist()
        split = [t.transpose(0, 1).split(lengths, 1) for t in (query, key, value)]
        done = [
            torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scale)
            for q, k, v in zip(*split, strict=True)
        ]
        return torch.cat(done, 1).transpose(0, 1)

    for rows in ([examples], [examples[3:]], [examples[::-1]]):
        expected = states(model, rows)
        with monkeypatch.context() as patch:
            patch.setattr(attention, "_fits_varlen", lambda q, k, _: q.shape[1] == k.shape[1])
            patch.setattr(attention, "varlen_attn", stand_in)
            found = states(model, rows)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
