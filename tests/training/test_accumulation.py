"""However a step's examples are dealt into batches, the step is that of all their tokens."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import GPT2LMHeadModel

from careergpt.data.batches import IGNORED, Scored, collate
from careergpt.training.module import CareerModule

Fit = Callable[..., CareerModule]


def weights(model: CareerModule) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.model.parameters()])


def start(tiny_gpt2: Path) -> torch.Tensor:
    """The weights before any step."""
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def four(examples: list[Scored]) -> list[list[list[Scored]]]:
    """Four batches whose numbers of scored tokens are 2 to 170, both packed and padded."""
    a, b, c, d, e, f, g, h, i, j, k, m = examples
    return [[[a]], [[b], [h]], [[c, d, f], [g]], [[e, i, j, k, m]]]


def test_the_step_of_accumulated_batches_is_that_of_the_full_batch(
    fit: Fit, plain: type[CareerModule], examples: list[Scored], tiny_gpt2: Path
) -> None:
    batches = four(examples)
    scored = [collate(rows).n_scored for rows in batches]
    assert max(scored) > 50 * min(scored)
    apart = fit(batches, kind=plain, accumulate_grad_batches=4)
    whole = fit([[row for rows in batches for row in rows]], kind=plain)
    assert (weights(whole) - start(tiny_gpt2)).abs().max() > 1e-2
    torch.testing.assert_close(weights(apart), weights(whole), rtol=0, atol=1e-6)


def test_the_step_is_the_gradient_of_the_mean_over_tokens(
    fit: Fit, plain: type[CareerModule], examples: list[Scored], tiny_gpt2: Path
) -> None:
    moved = start(tiny_gpt2) - weights(fit(four(examples), kind=plain, accumulate_grad_batches=4))
    model = GPT2LMHeadModel.from_pretrained(tiny_gpt2).eval()
    nats = torch.zeros(())
    for example in examples:
        ids = torch.from_numpy(example.token_ids)[None]
        labels = ids.clone()
        labels[:, : example.n_prompt] = IGNORED
        nats = nats + model(ids, labels=labels).loss * (labels != IGNORED).sum()
    (nats / sum(len(e.token_ids) - e.n_prompt for e in examples)).backward()
    expected = torch.cat([p.grad.flatten() for p in model.parameters()])
    torch.testing.assert_close(moved, expected, rtol=1e-4, atol=1e-6)


def test_batches_left_over_at_an_epoch_s_end_weigh_as_they_are(
    fit: Fit, plain: type[CareerModule], examples: list[Scored]
) -> None:
    first, second, third, _ = four(examples)
    short = fit([first, second, third], kind=plain, accumulate_grad_batches=2)
    whole = fit([[*first, *second], third], kind=plain)
    torch.testing.assert_close(weights(short), weights(whole), rtol=0, atol=2e-6)


def test_gradients_are_clipped_by_the_step_s_own_norm(
    fit: Fit, plain: type[CareerModule], examples: list[Scored], tiny_gpt2: Path
) -> None:
    options = {"kind": plain, "accumulate_grad_batches": 4}
    free = weights(fit(four(examples), **options)) - start(tiny_gpt2)
    assert free.norm() > 0.2
    clipped = weights(fit(four(examples), **options, gradient_clip_val=0.1)) - start(tiny_gpt2)
    torch.testing.assert_close(clipped, free * 0.1 / free.norm(), rtol=1e-3, atol=1e-6)
    spared = weights(fit(four(examples), **options, gradient_clip_val=1e3)) - start(tiny_gpt2)
    assert torch.equal(spared, free)


@pytest.mark.parametrize("accumulated", [1, 2, 4])
def test_the_logged_loss_is_the_mean_over_the_step_s_tokens(
    fit: Fit, plain: type[CareerModule], examples: list[Scored], accumulated: int
) -> None:
    class Still(plain):  # type: ignore[misc, valid-type]
        """Never moves, so that every step has the starting weights."""

        def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
            super().on_before_optimizer_step(optimizer)
            seen.append(float(self.trainer.callback_metrics["train/loss"]))
            optimizer.param_groups[0]["lr"] = 0.0

    seen: list[float] = []
    batches = four(examples)
    model = fit(batches, kind=Still, accumulate_grad_batches=accumulated)
    losses = [model.loss(collate(rows)) for rows in batches]
    groups = [losses[at : at + accumulated] for at in range(0, 4, accumulated)]
    expected = [
        sum(part.nats.item() for part in group) / sum(part.tokens.item() for part in group)
        for group in groups
    ]
    assert seen == pytest.approx(expected, rel=1e-5)
