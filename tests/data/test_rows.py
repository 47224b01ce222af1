"""Laws of the plan: every example in exactly one row, no row over its budget, no order in time."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from careergpt.data.rows import Batch, Budget, draw_examples, plan_batches
from careergpt.errors import InputError

LENGTHS = st.lists(st.integers(1, 50), min_size=1, max_size=80)
ANY = settings(max_examples=80, deadline=None)


def plan(lengths, budget: Budget, *, seed=0, epoch=0, group=1, bins=None) -> list[Batch]:
    return plan_batches(
        np.array(lengths),
        np.arange(len(lengths)),
        budget,
        seed=seed,
        epoch=epoch,
        group=group,
        bins=bins,
    )


def flat(batches: list[Batch]) -> list[int]:
    return [example for batch in batches for row in batch for example in row]


def tokens(lengths, batches: list[Batch]) -> list[int]:
    return [sum(lengths[example] for example in flat([batch])) for batch in batches]


@given(LENGTHS, st.integers(50, 200), st.integers(1, 4), st.integers(0, 5))
@ANY
def test_every_example_lands_in_exactly_one_row_of_a_packed_plan(
    lengths, budget, group, epoch
) -> None:
    # As many examples as fill the group: one a row fits always, so a plan there must be.
    lengths = lengths[: len(lengths) // group * group]
    assume(lengths)
    batches = plan(lengths, Budget(budget, None), epoch=epoch, group=group)
    assert sorted(flat(batches)) == list(range(len(lengths)))
    assert max(tokens(lengths, batches)) <= budget
    assert len(batches) % group == 0
    assert all(len(batch) == 1 for batch in batches)


@given(LENGTHS, st.integers(1, 9), st.integers(1, 4), st.integers(0, 5))
@ANY
def test_every_example_lands_in_exactly_one_row_of_a_padded_plan(
    lengths, size, group, epoch
) -> None:
    assume(len(lengths) >= group)
    batches = plan(lengths, Budget(None, size), epoch=epoch, group=group)
    assert sorted(flat(batches)) == list(range(len(lengths)))
    assert len(batches) % group == 0
    assert all(len(row) == 1 for batch in batches for row in batch)
    sizes = [len(batch) for batch in batches]
    assert max(sizes) - min(sizes) <= 1
    # Batches of one row cannot be a multiple of the group where the examples are none.
    assert max(sizes) <= (size if size > 1 or len(lengths) % group == 0 else 2)


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 3))
@ANY
def test_the_plan_is_a_pure_function_of_seed_and_epoch(seed, epoch, group) -> None:
    lengths = np.random.default_rng(0).integers(1, 50, 60)
    for budget in (Budget(100, None), Budget(None, 4)):
        first = plan(lengths, budget, seed=seed, epoch=epoch, group=group)
        assert first == plan(lengths, budget, seed=seed, epoch=epoch, group=group)
        for other in ({"seed": seed + 1, "epoch": epoch}, {"seed": seed, "epoch": epoch + 1}):
            assert first != plan(lengths, budget, group=group, **other)


def test_another_epoch_mixes_other_examples_into_a_batch() -> None:
    lengths = [10] * 40
    for budget in (Budget(100, None), Budget(None, 4)):
        first, second = (
            {frozenset(flat([batch])) for batch in plan(lengths, budget, epoch=epoch)}
            for epoch in (0, 1)
        )
        assert not first & second


def test_packed_batches_are_balanced_and_full() -> None:
    lengths = np.random.default_rng(0).lognormal(3, 0.8, 2000).astype(int).clip(1, 400)
    for group in (1, 8):
        batches = plan(lengths, Budget(1024, None), group=group)
        sums = tokens(lengths, batches)
        assert max(sums) - min(sums) <= 0.02 * max(sums)
        assert len(batches) <= math.ceil(lengths.sum() / 1024 / group + 0.1) * group


def test_padded_batches_waste_little() -> None:
    lengths = np.random.default_rng(0).lognormal(3, 0.8, 2000).astype(int).clip(1, 400)
    batches = plan(lengths, Budget(None, 8))
    laid = sum(len(batch) * max(lengths[flat([batch])]) for batch in batches)
    assert lengths.sum() / laid > 0.9


@pytest.mark.parametrize("budget", [Budget(256, None), Budget(None, 4)])
def test_lengths_have_no_trend_through_an_epoch(budget: Budget) -> None:
    # Sorted, the hardest case: an order that shows would correlate by nearly 1.
    lengths = np.sort(np.random.default_rng(0).integers(1, 100, 800))
    trends = []
    for epoch in range(20):
        batches = plan(lengths, budget, epoch=epoch)
        for law in (np.mean, np.max, len):
            values = [float(law(lengths[flat([batch])])) for batch in batches]
            if np.std(values):
                trends.append(np.corrcoef(np.arange(len(values)), values)[0, 1])
    assert len(trends) >= 40
    assert abs(np.mean(trends)) < 0.06
    assert np.abs(trends).max() < 0.6


def test_a_budget_below_the_longest_example_names_both() -> None:
    with pytest.raises(InputError, match=r"batch_tokens is 9, but the longest example has 10"):
        plan([10, 3], Budget(9, None))
    assert plan([10, 3], Budget(10, None))


@pytest.mark.parametrize("budget", [Budget(100, None), Budget(None, 1)])
def test_too_few_examples_for_the_group_are_refused(budget: Budget) -> None:
    with pytest.raises(InputError, match="3 examples cannot fill 4 batches"):
        plan([10, 10, 10], budget, group=4)
    assert len(plan([10, 10, 10, 10], budget, group=4)) == 4


@given(st.lists(st.integers(0, 2), min_size=1, max_size=60), st.integers(0, 5), st.integers(0, 3))
@ANY
def test_whole_weights_show_every_example_as_often(tasks, epoch, weight) -> None:
    drawn = draw_examples(np.array(tasks), [1, weight, 0], seed=0, epoch=epoch)
    counts = np.bincount(drawn, minlength=len(tasks))
    assert counts.tolist() == [[1, weight, 0][task] for task in tasks]


@given(st.integers(1, 60), st.integers(1, 20), st.integers(1, 20), st.integers(0, 9))
@settings(max_examples=200, deadline=None)
def test_a_fractional_weight_leaves_no_example_out(count, above, below, start) -> None:
    weight = Fraction(min(above, below), max(above, below))
    seen = np.zeros(count, dtype=int)
    epochs = math.ceil(1 / weight)
    for epoch in range(start, start + epochs):
        drawn = draw_examples(np.zeros(count, dtype=int), [float(weight)], seed=3, epoch=epoch)
        assert len(drawn) == math.ceil(weight * count)
        assert len(set(drawn.tolist())) == len(drawn)
        seen[drawn] += 1
    assert (seen > 0).all()


def test_a_mixed_weight_repeats_all_and_adds_a_part() -> None:
    drawn = draw_examples(np.zeros(10, dtype=int), [2.3], seed=0, epoch=4)
    assert sorted(np.bincount(drawn).tolist()) == [2] * 7 + [3] * 3
    # 1.1 % 1 is a little above 0.1: that is no eleventh example.
    assert len(draw_examples(np.zeros(10, dtype=int), [1.1], seed=0, epoch=0)) == 11


def test_the_draw_depends_on_epoch_and_seed_alone() -> None:
    tasks = np.arange(50) % 2
    for other in ({"seed": 0, "epoch": 1}, {"seed": 1, "epoch": 0}):
        first = draw_examples(tasks, [0.5, 0.1], seed=0, epoch=0)
        assert (first == draw_examples(tasks, [0.5, 0.1], seed=0, epoch=0)).all()
        assert set(first) != set(draw_examples(tasks, [0.5, 0.1], **other))
