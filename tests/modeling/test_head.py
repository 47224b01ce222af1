"""Laws of the head that is chunked: it is the plain one, without its logits."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from careergpt.modeling import loss as chunked
from careergpt.modeling.loss import chunk_of, linear_cross_entropy

WORDS, WIDTH, COUNT = 61, 16, 23


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Five positions at a time: 23 are five chunks, the last not full."""
    monkeypatch.setitem(chunked._ELEMENTS, "cpu", 5 * WORDS)


def tensors(dtype: torch.dtype, spread: float = 1.0) -> tuple[torch.Tensor, ...]:
    torch.manual_seed(0)
    states = (spread * torch.randn(COUNT, WIDTH, dtype=dtype)).requires_grad_()
    head = torch.randn(WORDS, WIDTH, dtype=dtype, requires_grad=True)
    return states, head, torch.randint(WORDS, (COUNT,))


def plain(states: torch.Tensor, head: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(F.linear(states, head).float(), targets, reduction="sum")


def with_gradients(loss: torch.Tensor, *of: torch.Tensor) -> tuple[torch.Tensor, ...]:
    return (loss.detach(), *torch.autograd.grad(loss, of))


@pytest.mark.parametrize("multiple", [1, 64])
def test_the_chunked_head_is_the_plain_one(multiple: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(chunked._MULTIPLE, "cpu", multiple)
    states, head, targets = tensors(torch.float32)
    expected = with_gradients(plain(states, head, targets), states, head)
    found = with_gradients(linear_cross_entropy(states, head, targets), states, head)
    assert chunk_of(head) == 5
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


def test_its_gradients_are_those_of_finite_differences() -> None:
    states, head, targets = tensors(torch.float64)
    states, head = (one[:, :4].detach().requires_grad_() for one in (states, head))
    assert torch.autograd.gradcheck(
        lambda s, h: linear_cross_entropy(s, h, targets), (states, head)
    )


def test_what_comes_after_scales_its_gradients() -> None:
    states, head, targets = tensors(torch.float32)
    once = with_gradients(linear_cross_entropy(states, head, targets), states, head)
    thrice = with_gradients(3 * linear_cross_entropy(states, head, targets), states, head)
    for one, three in zip(once[1:], thrice[1:], strict=True):
        torch.testing.assert_close(three, 3 * one)


def test_a_head_that_is_not_trained_gets_no_gradient() -> None:
    states, head, targets = tensors(torch.float32)
    linear_cross_entropy(states, head.detach(), targets).backward()
    assert states.grad is not None
    assert head.grad is None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_right_to_its_last_digits(dtype: torch.dtype) -> None:
    states, head, targets = tensors(torch.float32)
    expected = with_gradients(plain(states, head, targets), states, head)
    with torch.autocast("cpu", dtype):
        loss = linear_cross_entropy(states, head, targets)
    # Lightning calls backward outside of autocast, under a scale for fp16.
    scale = 2.0**16 if dtype == torch.float16 else 1.0
    found = with_gradients(loss * scale, states, head)
    assert loss.dtype == torch.float32
    digits = 0.02 if dtype == torch.bfloat16 else 0.003
    assert loss.item() == pytest.approx(expected[0].item(), rel=digits)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert ours.dtype == torch.float32
        assert (ours / scale - theirs).norm() < digits * theirs.norm()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_weights_in_half_precision_learn_too(dtype: torch.dtype) -> None:
    states, head, targets = tensors(torch.float32)
    expected = with_gradients(plain(states, head, targets), states, head)
    halves = [tensor.detach().to(dtype).requires_grad_() for tensor in (states, head)]
    scale = 2.0**-12  # As the module's own, which keeps fp16 in range.
    found = with_gradients(linear_cross_entropy(halves[0], halves[1], targets) * scale, *halves)
    for ours, theirs in zip(found[1:], expected[1:], strict=True):
        assert ours.dtype == dtype
        assert (ours.float() / scale - theirs).norm() < 0.03 * theirs.norm()


def test_a_second_derivative_is_refused() -> None:
    states, head, targets = tensors(torch.float64)
    (first,) = torch.autograd.grad(
        2 * linear_cross_entropy(states, head, targets), states, create_graph=True
    )
    with pytest.raises(RuntimeError, match=r"does not require grad|differentiate"):
        first.sum().backward()


def test_fp16_neither_loses_rare_words_nor_overflows_on_common_ones() -> None:
    words, count = 40_000, 1000
    states, head = torch.full((count, 1), 100.0), torch.zeros(words, 1)
    states.requires_grad_(), head.requires_grad_()
    targets = torch.zeros(count, dtype=torch.int64)
    with torch.autocast("cpu", torch.float16):
        loss = linear_cross_entropy(states, head, targets)
    loss.backward()
    assert head.grad is not None
    # Uniform: each absent word's gradient is count / words x 100, the present one's that - count.
    torch.testing.assert_close(
        head.grad[1:], torch.full((words - 1, 1), 100 * count / words), rtol=2e-3, atol=0
    )
    assert head.grad[0].item() == pytest.approx(100 * (count / words - count), rel=2e-3)


def test_the_graph_keeps_nothing_of_the_size_of_the_logits() -> None:
    states, head, targets = tensors(torch.float32)
    kept: list[int] = []

    def keep(tensor: torch.Tensor) -> Any:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        linear_cross_entropy(states, head, targets)
    assert sorted(kept) == sorted([states.numel(), head.numel()])
    assert max(kept) < COUNT * WORDS


def test_no_gradients_are_made_where_none_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    states, head, targets = tensors(torch.float32)
    expected = plain(states, head, targets).item()

    def refuse(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(chunked, "_product", refuse)
    monkeypatch.setattr(chunked, "_add_product", refuse)
    with torch.no_grad():
        found = linear_cross_entropy(states, head, targets)
    assert found.item() == pytest.approx(expected, rel=1e-6)
