"""Sampling draws from the model's distribution, and by the seed and the prompt's place alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from careergpt.errors import InputError
from careergpt.generation.sampling import Decoding, SeededChoice, processors

PROBABILITIES = torch.tensor([0.5, 0.0, 0.3, 0.001, 0.199, 0.0])
PLACES = 20_000


def drawn(seed: int, places: range, steps: int) -> torch.Tensor:
    """(places, steps) the token of each draw."""
    choice = SeededChoice(seed, places, steps)
    scores = PROBABILITIES.log().expand(len(places), -1)
    ids = torch.zeros(len(places), 1, dtype=torch.int64)
    return torch.stack([choice(ids, scores).argmax(-1) for _ in range(steps)], dim=1)


def chi_square(observed: np.ndarray, expected: np.ndarray) -> float:
    return float(((observed - expected) ** 2 / expected).sum())


@pytest.mark.parametrize("seed", [0, 1, 2**40])
def test_tokens_come_as_often_as_they_are_probable(seed: int) -> None:
    tokens = drawn(seed, range(PLACES), 2)
    possible = PROBABILITIES > 0
    for step in range(2):
        counts = torch.bincount(tokens[:, step], minlength=6)
        assert counts[~possible].sum() == 0
        # 3 degrees of freedom: above 21.1 once in 10,000.
        expected = (PROBABILITIES[possible] * PLACES).numpy()
        assert chi_square(counts[possible].numpy(), expected) < 21.1


def test_neighbouring_draws_know_nothing_of_each_other() -> None:
    tokens = drawn(3, range(PLACES), 2)
    beside = drawn(4, range(PLACES), 1)[:, 0]
    pairs = {
        "steps": (tokens[:, 0], tokens[:, 1]),
        "places": (tokens[:-1, 0], tokens[1:, 0]),
        "seeds": (tokens[:, 0], beside),
    }
    for first, second in pairs.values():
        # The two likeliest tokens and the rest: 9 cells, 8 degrees, above 31.8 once in 10,000.
        cells = [
            torch.where(some == 0, 0, torch.where(some == 2, 1, 2)) for some in (first, second)
        ]
        counts = torch.bincount(cells[0] * 3 + cells[1], minlength=9).numpy()
        marginal = np.array([0.5, 0.3, 0.2])
        expected = np.outer(marginal, marginal).ravel() * len(first)
        assert chi_square(counts, expected) < 31.8


def test_a_draw_belongs_to_seed_place_and_step() -> None:
    whole = drawn(5, range(50), 6)
    assert torch.equal(drawn(5, range(50), 6), whole)
    assert torch.equal(drawn(5, range(20, 30), 6), whole[20:30])
    assert torch.equal(drawn(5, range(50), 3), whole[:, :3])
    assert not torch.equal(drawn(6, range(50), 6), whole)


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_interval_draw_possible_tokens(uniform: float) -> None:
    scores = torch.tensor([[-torch.inf, 0.1, 0.7, -torch.inf], [-torch.inf, 3.0, 0.0, -torch.inf]])
    choice = SeededChoice(0, range(2), 1)
    choice._uniform.fill_(uniform)
    expected = 1 if uniform == 0 else 2
    assert (
        choice(torch.zeros(2, 1, dtype=torch.int64), scores).argmax(-1).tolist() == [expected] * 2
    )


def test_all_but_the_drawn_token_are_impossible() -> None:
    left = SeededChoice(0, range(3), 1)(torch.zeros(3, 1, dtype=torch.int64), torch.randn(3, 9))
    assert (left.isfinite().sum(-1) == 1).all()


def warped(decoding: Decoding, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The distribution that the settings leave, before anything is drawn."""
    for step in processors(decoding, range(len(logits)), [0] * len(logits)):
        if not isinstance(step, SeededChoice):
            logits = step(ids, logits)
    return logits.softmax(-1)


def test_settings_shape_the_distribution() -> None:
    logits, ids = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[1]])
    plain = Decoding(temperature=1.0, top_p=1.0, repetition_penalty=1.0)
    torch.testing.assert_close(warped(plain, logits, ids), logits.softmax(-1))
    cold = warped(replace(plain, temperature=0.5), logits, ids)
    torch.testing.assert_close(cold, (logits * 2).softmax(-1))
    two = torch.tensor([[2.0, 1.0]]).softmax(-1)
    for some in (replace(plain, top_k=2), replace(plain, top_p=0.85)):
        torch.testing.assert_close(warped(some, logits, ids)[:, :2], two)
        assert warped(some, logits, ids)[:, 2:].sum() == 0
    penalised = warped(replace(plain, repetition_penalty=2.0), logits, ids)
    torch.testing.assert_close(penalised, torch.tensor([[2.0, 0.5, 0.0, -1.0]]).softmax(-1))


def test_greedy_decoding_passes_the_sampling_settings_over() -> None:
    greedy = Decoding(greedy=True, temperature=0.1, top_k=3, repetition_penalty=1.0)
    assert len(processors(greedy, range(2), [0, 0])) == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_new_tokens", 0),
        ("temperature", 0.0),
        ("temperature", -1.0),
        ("top_k", -1),
        ("top_p", 0.0),
        ("top_p", 1.01),
        ("repetition_penalty", 0.0),
        ("temperature", float("nan")),
    ],
)
def test_settings_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"model\.decoding\.{name} must be .*, found"):
        replace(Decoding(), **{name: value})


def test_the_ends_of_the_ranges_are_right() -> None:
    ends = {"max_new_tokens": 1, "temperature": 1e-3, "top_k": 0, "top_p": 1.0}
    found = Decoding(**ends, repetition_penalty=0.1)
    assert (found.max_new_tokens, found.top_p) == (1, 1.0)


def test_padding_is_not_penalized() -> None:
    (penalty,) = processors(Decoding(greedy=True, repetition_penalty=2.0), range(2), [2, 0])
    scores = torch.tensor([[4.0, -3.0, 2.0]]).expand(2, -1)
    ids = torch.tensor([[0, 0, 1], [0, 0, 1]])
    assert penalty(ids, scores).tolist() == [[4.0, -6.0, 2.0], [2.0, -6.0, 2.0]]


def test_logits_that_are_no_numbers_are_the_users_to_know() -> None:
    choice = SeededChoice(0, range(1), 1)
    with pytest.raises(InputError, match="not finite"):
        choice(torch.zeros(1, 1, dtype=torch.int64), torch.full((1, 4), float("nan")))
