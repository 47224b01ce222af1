"""Laws of what validation chooses."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import log_softmax

from careergpt.recommend.calibration import (
    Calibration,
    blended,
    calibrated,
    fit_blend,
    fit_calibration,
    fit_temperature,
    query_nats,
)

Logs = NDArray[np.float64]
seeds = st.integers(0, 2**32 - 1)
N, C = 400, 8


def drawn(seed: int, n: int = N) -> tuple[Logs, list[list[int | None]]]:
    """Distributions over C candidates, and a target drawn from each."""
    chance = np.random.default_rng(seed)
    true = log_softmax(2 * chance.normal(size=(n, C)), axis=1)
    # The largest after Gumbel's noise is a draw from the distribution.
    return true, [[int(place)] for place in (true + chance.gumbel(size=true.shape)).argmax(axis=1)]


@settings(max_examples=20, deadline=None)
@given(seeds, st.floats(0.2, 5))
def test_the_temperature_is_the_best_of_a_fine_grid(seed: int, true: float) -> None:
    logs, targets = drawn(seed, 100)
    found = fit_temperature(logs * true, targets)
    grid = np.exp(np.linspace(-3, 3, 121))

    def cost(temperature: float) -> float:
        divided = log_softmax(logs * true / temperature, axis=1)
        return float(query_nats(divided, targets).sum() - divided.mean())  # And one of any answer.

    assert cost(found) <= min(map(cost, grid)) + 1e-4


@pytest.mark.parametrize("n", [5, 50, 500])
def test_answers_that_are_all_right_make_nobody_certain(n: int) -> None:
    logs = np.tile(np.log([0.7, 0.2, 0.1]), (n, 1))
    found = fit_temperature(logs, [[0]] * n)
    wrong = 1 - np.exp(log_softmax(logs[0] / found)[0])
    # As Laplace's rule has it, within a factor: about one in as many as were asked.
    assert 0.1 / n < wrong < 3 / n


@pytest.mark.parametrize("sharpened", [0.5, 1.0, 3.0])
def test_a_distribution_sharpened_is_made_as_flat_again(sharpened: float) -> None:
    logs, targets = drawn(1, 5000)
    assert fit_temperature(logs * sharpened, targets) == pytest.approx(sharpened, rel=0.05)


@given(seeds, st.floats(0, 1), st.floats(0.05, 20))
def test_calibrated_probabilities_sum_to_one(seed: int, surface: float, temperature: float) -> None:
    scores, neutral = np.random.default_rng(seed).normal(-30, 9, size=(5, C)), np.arange(-C, 0.0)
    logs = calibrated(scores, neutral, Calibration(surface, temperature))
    assert np.exp(logs).sum(axis=1) == pytest.approx(1)


def test_no_correction_and_temperature_one_only_normalise() -> None:
    logs, _ = drawn(0)
    assert calibrated(logs - 7, logs[0], Calibration()) == pytest.approx(logs)


def test_the_weight_and_the_temperature_are_applied_as_defined() -> None:
    # P(c) is in proportion to (P(c | prompt) / P(c | neutral) ** a) ** (1 / T).
    prompt, neutral = np.array([[0.5, 0.3, 0.2]]), np.array([0.1, 0.1, 0.8])
    found = calibrated(np.log(prompt), np.log(neutral), Calibration(0.5, 2.0))
    expected = (prompt / neutral**0.5) ** 0.5
    assert np.exp(found) == pytest.approx(expected / expected.sum())


@given(seeds, st.floats(0.05, 20))
def test_the_temperature_changes_no_order(seed: int, temperature: float) -> None:
    logs, _ = drawn(seed, 5)
    cooled = calibrated(logs, logs[0], Calibration(0.0, temperature))
    assert (np.argsort(cooled, axis=1) == np.argsort(logs, axis=1)).all()


@pytest.mark.parametrize("surface", [0.0, 0.5, 1.0])
def test_the_surface_form_is_taken_off_as_far_as_it_was_put_on(surface: float) -> None:
    logs, targets = drawn(2, 3000)
    neutral = log_softmax(3 * np.random.default_rng(3).normal(size=C))
    found = fit_calibration(2 * logs + surface * neutral, neutral, targets)
    assert found.surface == pytest.approx(surface)
    assert found.temperature == pytest.approx(2, rel=0.1)


@settings(max_examples=20, deadline=None)
@given(seeds)
@example(1116080)  # Its savings were rounding alone, alike for every query.
def test_a_neutral_prompt_that_says_nothing_is_not_used(seed: int) -> None:
    logs, targets = drawn(seed, 20)
    assert fit_calibration(logs, np.full(C, -3.0), targets).surface == 0


def test_a_saving_within_its_standard_error_is_no_reason() -> None:
    used = 0
    for seed in range(30):
        logs, targets = drawn(seed, 60)
        neutral = log_softmax(np.random.default_rng(seed + 999).normal(size=C))
        used += fit_calibration(logs, neutral, targets).surface > 0
    assert used <= 8


@given(seeds, st.floats(0, 1))
def test_a_blend_sums_to_one_and_is_the_sum_of_its_parts(seed: int, weight: float) -> None:
    model, peer = drawn(seed, 4)[0], drawn(seed + 1, 4)[0]
    mixed = blended(model, peer, weight)
    assert np.exp(mixed) == pytest.approx(weight * np.exp(model) + (1 - weight) * np.exp(peer))
    assert np.exp(mixed).sum(axis=1) == pytest.approx(1)


@settings(max_examples=25, deadline=None)
@given(seeds)
def test_the_blends_weight_is_the_best_of_a_fine_grid(seed: int) -> None:
    model, targets = drawn(seed, 40)
    peer = drawn(seed + 1, 40)[0]
    costs = [query_nats(blended(model, peer, w), targets).sum() for w in np.linspace(0, 1, 101)]
    found = query_nats(blended(model, peer, fit_blend(model, peer, targets)), targets).sum()
    assert found <= min(costs) + 1e-4


@pytest.mark.filterwarnings("error")
def test_a_peer_that_adds_nothing_gets_no_weight() -> None:
    logs, targets = drawn(4)
    sure = np.where(np.arange(C) == np.array(targets), np.log(0.9), np.log(0.1 / (C - 1)))
    uniform = np.full_like(logs, -np.log(C))
    assert fit_blend(sure, uniform, targets) == 1.0
    assert fit_blend(uniform, sure, targets) == 0.0


@pytest.mark.filterwarnings("error")
def test_where_nothing_can_be_chosen_nothing_is_changed() -> None:
    logs, _ = drawn(5, 2)
    none: list[list[list[int | None]]] = [[[], []], [[None], [None, None]]]
    for targets in none:
        assert fit_calibration(logs, logs[0], targets) == Calibration(0.0, 1.0)
        assert fit_blend(logs, logs, targets) == 1.0
    # One query has no standard error.
    assert fit_calibration(logs, logs[0], [[0], []]).surface == 0


def test_queries_weigh_alike_however_many_targets_they_have() -> None:
    logs = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.1, 0.8], [0.2, 0.2, 0.6]]))
    nats = query_nats(logs, [[0, 1, None, 1], [None], [2]])
    assert nats == pytest.approx([-(np.log(0.5) + np.log(0.25)) / 2, -np.log(0.6)])
