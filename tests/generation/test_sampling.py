"""Sampling draws from the model's distribution, and by the seed and the prompt's place alone."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import TopPLogitsWarper

from careergpt.errors import InputError
from careergpt.generation.sampling import (
    Choice,
    Decoding,
    draw,
    draw_likely,
    likeliest,
    processors,
)

PROBABILITIES = torch.tensor([0.5, 0.0, 0.3, 0.001, 0.199, 0.0])
PLACES = 20_000
PLAIN = Decoding(temperature=1.0, top_p=1.0, repetition_penalty=1.0)


def drawn(seed: int, places: Sequence[int], steps: int, **settings: float) -> torch.Tensor:
    """(places, steps) the token of each draw."""
    choice = Choice(replace(PLAIN, seed=seed, **settings), places, steps)
    logits = PROBABILITIES.log().expand(len(places), -1)
    rows = torch.arange(len(places))
    written = torch.zeros(len(places), 1, dtype=torch.int64)
    return torch.stack([choice(logits, step, rows, written) for step in range(steps)], dim=1)


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


def test_a_draw_does_not_know_how_many_may_follow() -> None:
    assert torch.equal(drawn(5, range(9), 300)[:, :2], drawn(5, range(9), 2))


def test_rows_that_are_left_keep_their_draws() -> None:
    choice, written = Choice(PLAIN, range(50), 1), torch.zeros(50, 1, dtype=torch.int64)
    logits, rows = PROBABILITIES.log().expand(50, -1), torch.tensor([40, 3, 17])
    left = choice(logits[rows], 0, rows, written[rows])
    assert torch.equal(left, drawn(0, range(50), 1)[rows, 0])


@pytest.mark.parametrize("top_p", [0.45, 0.6, 0.9])
def test_likely_tokens_come_as_often_as_they_are_probable_among_themselves(top_p: float) -> None:
    tokens = drawn(1, range(PLACES), 1, top_p=top_p)[:, 0]
    kept = likeliest(PROBABILITIES[None], top_p)[0]
    counts = torch.bincount(tokens, minlength=6)
    assert counts[kept == 0].sum() == 0
    expected = (kept / kept.sum() * PLACES)[kept > 0].numpy()
    # At most 2 degrees of freedom: above 18.4 once in 10,000.
    assert chi_square(counts[kept > 0].numpy(), expected) < 18.4


@pytest.mark.parametrize("width", [0.1, 1.0, 5.0])
@pytest.mark.parametrize("top_p", [0.05, 0.5, 0.95, 0.999])
def test_the_likeliest_tokens_are_those_of_transformers(width: float, top_p: float) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(8, 3000, generator=generator, dtype=torch.float64) * width
    theirs = TopPLogitsWarper(top_p)(torch.zeros(8, 1, dtype=torch.int64), logits).isfinite()
    probabilities = logits.softmax(-1)
    assert torch.equal(likeliest(probabilities, top_p) > 0, theirs)
    # What is drawn of all tokens stays where it is one of them; else another of them is drawn.
    for _ in range(20):
        uniform = torch.rand(8, 2, generator=generator, dtype=torch.float64)
        tokens = draw_likely(probabilities, uniform, top_p)
        assert theirs.gather(1, tokens[:, None]).all()
        first = draw(probabilities, uniform[:, :1])
        stays = theirs.gather(1, first[:, None])[:, 0]
        assert torch.equal(tokens[stays], first[stays])


def test_equally_likely_tokens_are_all_among_the_likeliest_or_none() -> None:
    assert (likeliest(torch.full((1, 10), 0.1), 0.25) > 0).all()
    tied = torch.tensor([[0.4, 0.2, 0.2, 0.1, 0.1]])
    assert (likeliest(tied, 0.5) > 0).tolist() == [[True, True, True, False, False]]


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-53])
def test_the_ends_of_the_unit_interval_draw_possible_tokens(uniform: float) -> None:
    probabilities = torch.tensor(
        [[-torch.inf, 0.1, 0.7, -torch.inf], [-torch.inf, 3.0, 0.0, -torch.inf]]
    ).softmax(-1)
    ends = torch.full((2, 1), uniform, dtype=torch.float64)
    assert draw(probabilities, ends).tolist() == [1 if uniform == 0 else 2] * 2


def warped(decoding: Decoding, logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The distribution that the settings leave, before anything is drawn."""
    kept = likeliest(processors(decoding)(ids, logits).softmax(-1), decoding.top_p)
    return kept / kept.sum(-1, keepdim=True)


def test_settings_shape_the_distribution() -> None:
    logits, ids = torch.tensor([[2.0, 1.0, 0.0, -1.0]]), torch.tensor([[1]])
    torch.testing.assert_close(warped(PLAIN, logits, ids), logits.softmax(-1))
    cold = warped(replace(PLAIN, temperature=0.5), logits, ids)
    torch.testing.assert_close(cold, (logits * 2).softmax(-1))
    two = torch.tensor([[2.0, 1.0]]).softmax(-1)
    for some in (replace(PLAIN, top_k=2), replace(PLAIN, top_p=0.85)):
        torch.testing.assert_close(warped(some, logits, ids)[:, :2], two)
        assert warped(some, logits, ids)[:, 2:].sum() == 0
    penalised = warped(replace(PLAIN, repetition_penalty=2.0), logits, ids)
    torch.testing.assert_close(penalised, torch.tensor([[2.0, 0.5, 0.0, -1.0]]).softmax(-1))


def test_greedy_decoding_passes_the_sampling_settings_over() -> None:
    greedy = Decoding(greedy=True, temperature=0.1, top_k=3, repetition_penalty=1.0)
    assert len(processors(greedy)) == 0


def test_the_logits_stay_as_they_are() -> None:
    # The answer's log-probability is taken from them afterwards.
    logits, written = torch.randn(3, 9), torch.zeros(3, 2, dtype=torch.int64)
    before = logits.clone()
    Choice(Decoding(top_k=3), range(3), 1)(logits, 0, torch.arange(3), written)
    assert torch.equal(logits, before)


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
    with pytest.raises(InputError, match=rf"decoding\.{name} must be .*, found"):
        replace(Decoding(), **{name: value})


def test_the_ends_of_the_ranges_are_right() -> None:
    ends = {"max_new_tokens": 1, "temperature": 1e-3, "top_k": 0, "top_p": 1.0}
    found = Decoding(**ends, repetition_penalty=0.1)
    assert (found.max_new_tokens, found.top_p) == (1, 1.0)
